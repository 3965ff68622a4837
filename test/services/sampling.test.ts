import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { smallestSample } from '../../src/schemas/history.ts';
import { bucketSize, type PointBlock, Sampler } from '../../src/services/sampling.ts';

/** The points `from … from + losses.length` of a history. */
function block(losses: readonly number[], from = 0): PointBlock {
  return { first: from, count: losses.length, series: { loss: Float64Array.from(losses) } };
}

function sample(losses: readonly number[], max_points: number, first = 0, end = losses.length) {
  const sampler = new Sampler({ first, end, max_points }, ['loss']);
  sampler.add(block(losses));
  return sampler.finish();
}

function summaryOf({ index, series }: ReturnType<Sampler['finish']>): PointBlock {
  const loss = Float64Array.from(series.loss as number[]);
  return { first: index[0]!, count: index.length, index: Float64Array.from(index), series: { loss } };
}

const loss = fc.oneof({ weight: 20, arbitrary: fc.double({ min: -1e6, max: 1e6 }) }, fc.constantFrom(NaN, Infinity));
const history = fc.array(loss, { minLength: 1, maxLength: 400 });
const wanted = fc.integer({ min: smallestSample, max: 60 });

describe('a sample of a history', () => {
  it('is the history itself when it is short enough', () => {
    expect(sample([3, 1, 2], 6)).toEqual({
      index: [0, 1, 2],
      series: { loss: [3, 1, 2] },
    });
  });

  it('keeps both ends, the smallest, the largest and every point that is not finite', () => {
    fc.assert(
      fc.property(history, wanted, (losses, max) => {
        const { index, series } = sample(losses, max);
        const finite = losses.filter(Number.isFinite);
        expect(index[0]).toBe(0);
        expect(index.at(-1)).toBe(losses.length - 1);
        expect(series.loss).toEqual(index.map((i) => losses[i]));
        if (finite.length > 0) {
          expect(series.loss).toContain(Math.min(...finite));
          expect(series.loss).toContain(Math.max(...finite));
        }
        losses.forEach((value, i) => {
          if (!Number.isFinite(value)) expect(index).toContain(i);
        });
      }),
    );
  });

  it('ascends, has no point twice, and at most as many finite points as were wanted', () => {
    fc.assert(
      fc.property(history, wanted, (losses, max) => {
        const { index, series } = sample(losses, max);
        expect(index.every((value, i) => i === 0 || value > index[i - 1]!)).toBe(true);
        expect(series.loss!.filter((value) => Number.isFinite(value)).length).toBeLessThanOrEqual(max);
      }),
    );
  });

  it('does not depend on how the history is cut into blocks', () => {
    fc.assert(
      fc.property(history, wanted, fc.nat(400), (losses, max, cut) => {
        const sampler = new Sampler({ first: 0, end: losses.length, max_points: max }, ['loss']);
        sampler.add(block(losses.slice(0, cut)));
        sampler.add(block(losses.slice(cut), cut));
        expect(sampler.finish()).toEqual(sample(losses, max));
      }),
    );
  });

  it('is the same from a sample of finer buckets as from all points', () => {
    fc.assert(
      fc.property(history, wanted, (losses, max) => {
        const fine = sample(losses, max * 4);
        const sampler = new Sampler({ first: 0, end: losses.length, max_points: max }, ['loss']);
        sampler.add(summaryOf(fine));
        expect(sampler.finish()).toEqual(sample(losses, max));
      }),
    );
  });

  it('takes only the points of its range', () => {
    expect(sample([9, 8, 7, 6, 5], 10, 1, 4).series.loss).toEqual([8, 7, 6]);
  });

  it('takes of a block only the points of the window it is given', () => {
    const sampler = new Sampler({ first: 0, end: 10, max_points: 100 }, ['loss']);
    sampler.add(block([0, 1, 2, 3, 4]), { first: 0, end: 3 });
    sampler.add({ ...block([30, 40, 50]), first: 3, index: Float64Array.of(3, 4, 5) }, { first: 4, end: 5 });
    expect(sampler.finish()).toEqual({ index: [0, 1, 2, 4], series: { loss: [0, 1, 2, 40] } });
  });

  it('keeps the extremes of the validation loss as well', () => {
    const flat = Array.from({ length: 1000 }, () => 1);
    const peaked = flat.map((value, i) => (i === 500 ? 50 : i === 501 ? -50 : value));
    const sampler = new Sampler({ first: 0, end: 1000, max_points: 20 }, ['loss', 'validation_loss']);
    sampler.add({
      first: 0,
      count: 1000,
      series: { loss: Float64Array.of(1), validation_loss: Float64Array.from(peaked) },
    });
    expect(sampler.finish().index).toEqual(expect.arrayContaining([500, 501]));
  });

  it('has null for a series that a block lacks', () => {
    const sampler = new Sampler({ first: 0, end: 2, max_points: 10 }, ['loss', 'accuracy']);
    sampler.add(block([1, 2]));
    expect(sampler.finish().series.accuracy).toEqual([null, null]);
  });
});

describe('the buckets', () => {
  it.each([
    [100, 100, 1],
    [101, 100, 4],
    [10_000_000, 500, 65_536],
  ])('of %i points for %i wanted ones hold %i', (end, max_points, size) => {
    expect(bucketSize({ first: 0, end, max_points }, 1)).toBe(size);
  });
});
