import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Monitor, type Watch } from '../../src/training/monitor.ts';

/** The definition, an epoch at a time. */
function oracle({ direction, min_delta }: Watch, values: readonly number[]) {
  let best: { value: number; at: number } | null = null;
  let waited = 0;
  for (const [at, value] of values.entries()) {
    const gain =
      best === null ? Number.POSITIVE_INFINITY : direction === 'min' ? best.value - value : value - best.value;
    waited += 1;
    if (!Number.isFinite(value) || !(gain > min_delta)) continue;
    best = { value, at };
    waited = 0;
  }
  return { best: best && { monitor: 'loss', value: best.value, epoch: 5 + best.at, step: 10 * best.at }, waited };
}

// Multiples of 1/4: differences and sums of them are exact, so that both ways of writing the comparison agree.
const quarter = fc.integer({ min: -8, max: 8 }).map((value) => value / 4);
const value = fc.oneof(quarter, fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY));

test('the best of many epochs is the same seen one by one, all at once, or a few at a time', () => {
  fc.assert(
    fc.property(
      fc.constantFrom('min', 'max'),
      fc.constantFrom(0, 0.25, 1),
      fc.array(value, { maxLength: 30 }),
      fc.nat(30),
      (direction, min_delta, values, cut) => {
        const watch: Watch = { monitor: 'loss', direction, min_delta };
        const wanted = oracle(watch, values);
        const [single, whole, parts] = [new Monitor(watch), new Monitor(watch), new Monitor(watch)];
        const steps = values.map((_, at) => 10 * at);
        for (const [at, value] of values.entries()) {
          const before = single.state.best;
          expect(single.observe(value, 5 + at, steps[at])).toBe(
            single.state.best?.epoch === 5 + at && before?.epoch !== 5 + at,
          );
        }
        whole.observeAll(5, steps, values);
        parts.observeAll(5, steps.slice(0, cut), values.slice(0, cut));
        const resumed = new Monitor(watch);
        resumed.restore(parts.state);
        resumed.observeAll(5 + cut, steps.slice(cut), values.slice(cut));
        expect([single.state, whole.state, resumed.state]).toEqual([wanted, wanted, wanted]);
      },
    ),
  );
});
