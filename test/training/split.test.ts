import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type SplitRequest, splitRows } from '../../src/training/split.ts';

const all = ({ train, validation, test }: ReturnType<typeof splitRows>) => [...train, ...validation, ...test];
const ascending = (a: number, b: number) => a - b;

describe('a split by fraction', () => {
  it('takes the rounded share of all rows for each part and trains on the rest', () => {
    const { train, validation, test } = splitRows(150, { validation: { fraction: 0.2 }, test: { fraction: 0.25 } }, 1);
    expect([train.length, validation.length, test.length]).toEqual([150 - 30 - 38, 30, 38]);
  });

  it('puts every row into exactly one part, in ascending order, whatever is asked', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 3, max: 200 }),
        fc.double({ min: 0.01, max: 0.35, noNaN: true }),
        fc.nat(),
        (n, f, seed) => {
          const labels = Uint8Array.from({ length: n }, (_, i) => i % 3);
          const split = splitRows(n, { validation: { fraction: f }, test: { fraction: f } }, seed, labels);
          expect(all(split).sort(ascending)).toEqual(Array.from({ length: n }, (_, i) => i));
          for (const part of [split.train, split.validation, split.test])
            expect([...part]).toEqual([...part].sort(ascending));
        },
      ),
    );
  });

  it('is the same for the same seed and another for another', () => {
    const request = { validation: { fraction: 0.3 } };
    expect(splitRows(100, request, 7)).toEqual(splitRows(100, request, 7));
    expect(splitRows(100, request, 7).validation).not.toEqual(splitRows(100, request, 8).validation);
  });

  it('takes at least one row, however small the fraction', () => {
    expect(splitRows(4, { validation: { fraction: 0.01 } }, 0).validation.length).toBe(1);
  });

  it('refuses to leave nothing to train on', () => {
    expect(() => splitRows(2, { validation: { fraction: 0.5 }, test: { fraction: 0.5 } }, 0)).toThrow(
      'no row to train on',
    );
    expect(() => splitRows(1, { validation: { fraction: 0.5 } }, 0)).toThrow('no row to train on');
  });
});

describe('a stratified split', () => {
  const labels = Uint8Array.from({ length: 100 }, (_, i) => (i < 50 ? 0 : i < 80 ? 1 : 2));
  const counts = (rows: Uint32Array) => [0, 1, 2].map((label) => rows.filter((row) => labels[row] === label).length);

  it('keeps the proportions of the classes in every part', () => {
    const { train, validation } = splitRows(100, { validation: { fraction: 0.2 } }, 3, labels);
    expect(counts(validation)).toEqual([10, 6, 4]);
    expect(counts(train)).toEqual([40, 24, 16]);
  });

  it('rounds by largest remainders, so that the parts have the sizes of an unstratified split', () => {
    const { validation } = splitRows(100, { validation: { fraction: 0.25 } }, 3, labels);
    // Shares 12.5, 7.5 and 5: one row is missing, and the lower class wins the tie.
    expect(counts(validation)).toEqual([13, 7, 5]);
  });

  it('does not take the only row of a class while others can give one', () => {
    const rare = Uint8Array.from({ length: 40 }, (_, i) => (i < 20 ? 0 : i - 19));
    const { train, validation } = splitRows(40, { validation: { fraction: 0.45 } }, 5, rare);
    expect(validation.every((row) => row < 20)).toBe(true);
    expect(validation.length).toBe(18);
    expect(train.filter((row) => row < 20).length).toBe(2);
  });

  it('can be switched off', () => {
    const request: SplitRequest = { validation: { fraction: 0.2 }, stratify: false };
    expect(splitRows(100, request, 3, labels)).toEqual(splitRows(100, request, 3));
  });
});

describe('a split by row numbers', () => {
  it('takes exactly the named rows and draws a fraction from the others', () => {
    const split = splitRows(10, { validation: { rows: [9, 0, 4] }, test: { fraction: 0.2 } }, 1);
    expect([...split.validation]).toEqual([0, 4, 9]);
    expect(split.test.length).toBe(2);
    expect(all(split).sort(ascending)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it.each([
    [{ validation: { rows: [1, 1] } }, 'row 1 is named twice'],
    [{ validation: { rows: [1] }, test: { rows: [1] } }, 'row 1 is named twice'],
    [{ validation: { rows: [10] } }, 'row 10 is not one of the 10 rows'],
    [{ validation: { rows: [0.5] } }, 'row 0.5 is not one of the 10 rows'],
  ] satisfies [SplitRequest, string][])('refuses %j', (request, message) => {
    expect(() => splitRows(10, request, 0)).toThrow(message);
  });
});
