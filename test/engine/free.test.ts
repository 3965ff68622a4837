import { expect, it } from 'vitest';
import { free } from '../../src/engine/free.ts';

it('the memory of freed arrays is gone; that which threads share stays', () => {
  const own = [new Float32Array(1000), new Float64Array(10)];
  const shared = new Float64Array(new SharedArrayBuffer(80));
  free(...own, shared);
  expect(own.map(({ buffer }) => [buffer.byteLength, (buffer as ArrayBuffer).detached])).toEqual([
    [0, true],
    [0, true],
  ]);
  expect(shared).toHaveLength(10);
});
