import { expect, it } from 'vitest';
import { plan } from '../../../src/engine/plan.ts';
import { ModuleBuilder } from '../../../src/engine/wasm/assembler.ts';
import type { Phase } from '../../../src/engine/wasm/phases.ts';
import { piecesOf } from '../../../src/engine/wasm/stages.ts';
import { Team } from '../../../src/engine/wasm/team.ts';
import { disband, memberCell, memberStates, recall, type TeamWork } from '../../../src/engine/wasm/team-cells.ts';
import { serveTeam } from '../../../src/engine/wasm/team-member.ts';

/** A team of one place whose only phase counts in the first word of the memory how often it was carried out. */
function team(): { readonly leader: Team; readonly work: TeamWork; readonly carriedOut: () => number } {
  const builder = new ModuleBuilder({ module: 'engine', name: 'memory', minimum: 1, shared: true, maximum: 1 });
  builder.function(
    ['i32', 'i32'],
    [],
    (f) => f.i32(0).i32(0).memory('i32.load', 0).i32(1).op('i32.add').memory('i32.store', 0),
    'step/0/rows',
  );
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  let offered: TeamWork | undefined;
  const module = new WebAssembly.Module(builder.encode());
  const leader = new Team({ module, memory, data: {} }, { members: 1, offer: (work) => (offered = work) });
  return { leader, work: offered as unknown as TeamWork, carriedOut: () => new Int32Array(memory.buffer)[0] };
}

it('a member that is recalled while it is busy is woken when its work is done, since it may have gone to sleep', () => {
  const { leader, work } = team();
  const { cells } = work;
  const [signal, given, done] = (['signal', 'given', 'done'] as const).map((name) => memberCell(0, name));
  Atomics.store(cells, memberCell(0, 'state'), memberStates.ready);
  let seen = Number.NaN;
  const run = () => {
    recall(cells, 0);
    Atomics.store(cells, done, Atomics.load(cells, given));
    seen = Atomics.load(cells, signal);
  };
  const phase: Phase = { number: 0, stage: 'step', split: 'rows', run };
  expect(leader.carryOut(phase, { first: 0, end: 8 }, 8, 4)).toBe(2);
  expect(Atomics.load(cells, signal)).toBeGreaterThan(seen);
  expect(leader.carryOut(phase, { first: 0, end: 8 }, 8, 4)).toBe(1);
});

it('a thread that takes a place does not do what was given to the one before it', () => {
  const { work, carriedOut } = team();
  Atomics.store(work.cells, memberCell(0, 'given'), 1);
  disband(work.cells);
  serveTeam(work, 0);
  expect(carriedOut()).toBe(0);
});

it('steps of up to two pieces stay whole, larger ones are cut into pieces of the given size', () => {
  const planned = plan({ input_size: 10, layers: [{ units: 10 }], loss: 'mean_squared_error' });
  // 4 operations per weight and row.
  const pieces = [1, 10, 20, 21, 40].map((rows) => piecesOf(planned, rows, 4_000));
  expect(pieces).toEqual([1, 1, 1, 3, 4]);
});
