import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import { permutation } from '../../../src/engine/prng.ts';
import { Permuter } from '../../../src/engine/wasm/permutation.ts';

const sha256 = ({ buffer, byteOffset, byteLength }: Uint32Array) =>
  createHash('sha256')
    .update(new Uint8Array(buffer, byteOffset, byteLength))
    .digest('hex');

// Of six times 100,000 words with bounds up to 100,000 about 6·100,000²/2³³ = 7 are thrown away.
it.each([0, 1, 2, 3, 4, 5, 17, 1000, 100_000])('compiled, draws the same order of %d numbers', (n) => {
  const compiled = new Permuter(n, 0);
  for (const [seed, epoch] of [
    [9, 2],
    [2 ** 53 - 1, 0],
    [2 ** 40 + 7, 2 ** 33 + 1],
  ]) {
    for (const stream of ['shuffle', 'split'] as const) {
      const order = compiled.order(seed, stream, epoch);
      expect(sha256(order) === sha256(permutation(n, seed, stream, epoch))).toBe(true);
      expect(order).toHaveLength(n);
    }
  }
  expect(compiled.isCompiled).toBe(true);
});

it('goes over to compiled code once enough has been drawn for it to pay, and to the same numbers', () => {
  const permuter = new Permuter(10, 25);
  const drawn = Array.from({ length: 5 }, (_, epoch) => ({
    order: permuter.order(3, 'shuffle', epoch).join(),
    compiled: permuter.isCompiled,
  }));
  expect(drawn.map(({ order }) => order)).toEqual([0, 1, 2, 3, 4].map((e) => permutation(10, 3, 'shuffle', e).join()));
  expect(drawn.map(({ compiled }) => compiled)).toEqual([false, false, false, true, true]);
});

it('goes over sooner where the code is there already', () => {
  new Permuter(10, 0).order(3, 'shuffle', 0);
  const permuter = new Permuter(1500);
  for (let epoch = 0; epoch < 3; epoch++) {
    expect(permuter.isCompiled).toBe(false);
    expect(permuter.order(3, 'shuffle', epoch).join()).toBe(permutation(1500, 3, 'shuffle', epoch).join());
  }
  expect(permuter.isCompiled).toBe(true);
});
