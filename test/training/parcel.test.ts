import { expect, test } from 'vitest';
import { createTeamCells } from '../../src/engine/wasm/team-cells.ts';
import { open, seal } from '../../src/training/parcel.ts';

const module = new WebAssembly.Module(new Uint8Array([0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00]));

test('a parcel gives whoever opens it the same memory', () => {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const parcel = seal({ module, memory, data: {}, cells: createTeamCells(1) });
  new Uint8Array(memory.buffer)[5] = 7;
  const opened = open(parcel);
  expect(new Uint8Array(opened.memory.buffer)[5]).toBe(7);
  opened.cells[0] = 3;
});
