import { describe, expect, test } from 'vitest';
import { digestOf, digestOfArrays } from '../../src/services/digest.ts';

describe('the digest of arrays', () => {
  // Below, at and above the size of a piece (2 MiB), and a view that does not begin with its buffer.
  test.each([0, 1, 2 ** 18 - 1, 2 ** 18, 2 ** 18 + 1])(
    'of %i values is that of the value, taken in pieces',
    async (length) => {
      const inputs = Float64Array.from({ length: length + 3 }, (_, i) => i / 7).subarray(3);
      const arrays = { targets: Float64Array.of(1, 2), inputs };
      expect(await digestOfArrays(arrays)).toBe(digestOf(arrays));
    },
  );

  test('tells names and values apart', async () => {
    const digests = await Promise.all(
      [{ a: Float64Array.of(1) }, { b: Float64Array.of(1) }, { a: Float64Array.of(2) }].map(digestOfArrays),
    );
    expect(new Set(digests).size).toBe(3);
  });

  // Up to a piece and beyond it.
  test.each([3, 2 ** 18 + 1])('of %i numbers in float32 is that of the same in float64', async (length) => {
    const a = Float32Array.from({ length }, (_, i) => i / 7);
    expect(await digestOfArrays({ a })).toBe(await digestOfArrays({ a: Float64Array.from(a) }));
  });
});
