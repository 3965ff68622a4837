import { describe, expect, test } from 'vitest';
import {
  initialPlateau,
  integerPower,
  learningRate,
  type PlateauState,
  resolveSchedules,
  type ScheduleSpec,
  schedules,
  updatePlateau,
} from '../../src/engine/schedules.ts';
import { expectClose } from './compare.ts';

function rateAfter(spec: ScheduleSpec | ScheduleSpec[], step: number, epoch = 0): number {
  return learningRate(0.4, resolveSchedules(spec), { step, epoch });
}

// A handful of roundings of 1.1e-16; powers by squaring up to gamma^100 add at most 14.
const tolerance = { relative: 1e-14, absolute: 1e-17 };

const formulas: { spec: ScheduleSpec; at: (n: number) => number }[] = [
  { spec: { name: 'step', step_size: 3, gamma: 0.5 }, at: (n) => 0.4 * 0.5 ** Math.floor(n / 3) },
  { spec: { name: 'exponential', gamma: 0.9 }, at: (n) => 0.4 * 0.9 ** n },
  {
    spec: { name: 'cosine', t_max: 10, eta_min: 0.05 },
    at: (n) => 0.05 + (0.35 * (1 + Math.cos((Math.PI * Math.min(n, 10)) / 10))) / 2,
  },
  {
    spec: { name: 'linear_warmup', start_factor: 0.25, total_iters: 8 },
    at: (n) => 0.4 * (0.25 + (0.75 * Math.min(n, 8)) / 8),
  },
];

describe.each(formulas)('$spec.name', ({ spec, at }) => {
  test('follows its formula for a hundred units', () => {
    for (let n = 0; n <= 100; n++) expectClose([rateAfter(spec, n)], at(n), tolerance, `after ${n} units`);
  });

  test('counts epochs when told to', () => {
    const byEpoch = { ...(spec as object), unit: 'epoch' } as ScheduleSpec;
    expect(rateAfter(byEpoch, 70, 7)).toBe(rateAfter(spec, 7));
  });

  test('stands at its beginning until its start', () => {
    const later = { ...(spec as object), start: 20 } as ScheduleSpec;
    expect(rateAfter(later, 12)).toBe(rateAfter(spec, 0));
    expect(rateAfter(later, 24)).toBe(rateAfter(spec, 4));
  });
});

// torch.optim.lr_scheduler.OneCycleLR(opt, max_lr=0.4, total_steps=10), lr before steps 1 … 10:
// up along a half cosine to step 0.3·10 − 1 = 2, down to step 9.
test('one_cycle goes from peak/25 to the peak to peak/250000', () => {
  const spec: ScheduleSpec = { name: 'one_cycle', total_steps: 10 };
  const anneal = (from: number, to: number, share: number) => to + ((from - to) * (1 + Math.cos(Math.PI * share))) / 2;
  for (let n = 0; n < 10; n++) {
    const want = n <= 2 ? anneal(0.016, 0.4, n / 2) : anneal(0.4, 0.016 / 1e4, (n - 2) / 7);
    expectClose([rateAfter(spec, n)], want, { relative: 1e-13 }, `after ${n} steps`);
  }
  expect(rateAfter(spec, 1000)).toBe(rateAfter(spec, 9));
});

test.each([1, 2, 3])('one_cycle of %i steps is finite throughout', (total_steps) => {
  for (let n = 0; n < 5; n++) {
    const rate = rateAfter({ name: 'one_cycle', total_steps }, n);
    expect(rate).toBeGreaterThanOrEqual(0);
    expect(rate).toBeLessThanOrEqual(0.4);
  }
});

test('a list is applied in order', () => {
  const list: ScheduleSpec[] = [
    { name: 'linear_warmup', start_factor: 0.5, total_iters: 4 },
    { name: 'exponential', gamma: 0.5, start: 4 },
  ];
  expectClose(
    [2, 4, 6].map((n) => rateAfter(list, n)),
    [0.3, 0.4, 0.1],
    tolerance,
    'rates',
  );
});

test('no schedule leaves the rate alone', () => {
  expect(learningRate(0.4, resolveSchedules(undefined), { step: 99, epoch: 9 })).toBe(0.4);
});

test('integer powers agree with repeated multiplication', () => {
  let product = 1;
  for (let n = 0; n <= 200; n++, product *= 0.99) {
    expectClose([integerPower(0.99, n)], product, { relative: 5e-14 }, `0.99^${n}`);
  }
});

describe('reduce_on_plateau', () => {
  const spec: ScheduleSpec = { name: 'reduce_on_plateau', factor: 0.5, patience: 2, cooldown: 1, min_lr: 0.06 };
  const planned = resolveSchedules(spec);
  const { options } = planned[0];

  function feed(values: readonly number[], from: PlateauState = initialPlateau): PlateauState {
    return values.reduce((state, value) => updatePlateau(options, state, value), from);
  }
  const rate = (state: PlateauState) => learningRate(0.4, planned, { step: 0, epoch: 0 }, [state]);

  test('reduces after more than `patience` values without improvement', () => {
    expect(rate(feed([1, 1, 1]))).toBe(0.4);
    expect(rate(feed([1, 1, 1, 1]))).toBe(0.2);
  });

  test('an improvement starts the count again, one within the threshold does not', () => {
    expect(rate(feed([1, 1, 1, 0.9, 1, 1]))).toBe(0.4);
    expect(rate(feed([1, 1, 1, 0.99995]))).toBe(0.2);
  });

  test('the cool-down forgives bad values', () => {
    const reduced = feed([1, 1, 1, 1]);
    expect(rate(feed([1, 1, 1], reduced))).toBe(0.2);
    expect(rate(feed([1, 1, 1, 1], reduced))).toBe(0.1);
  });

  test('never goes below min_lr', () => {
    expect(rate(feed(new Array(60).fill(1)))).toBe(0.06);
  });

  test('counts NaN as bad', () => {
    expect(rate(feed([Number.NaN, Number.NaN, Number.NaN]))).toBe(0.2);
  });

  test('maximizes when asked to', () => {
    const { options: rising } = resolveSchedules({ name: 'reduce_on_plateau', patience: 0, maximize: true })[0];
    const better = [0.5, 0.6, 0.7].reduce((state, v) => updatePlateau(rising, state, v), initialPlateau);
    expect(better).toEqual({ best: 0.7, bad_units: 0, cooldown_left: 0, reductions: 0 });
    expect(updatePlateau(rising, better, 0.6).reductions).toBe(1);
  });

  test('its state survives JSON, so a checkpoint can hold it', () => {
    const state = feed([1, 1, 0.5, 0.6]);
    expect(feed([0.6, 0.6], JSON.parse(JSON.stringify(state)))).toEqual(feed([0.6, 0.6], state));
  });
});

test('only reduce_on_plateau listens to a monitored value', () => {
  const monitors = Object.entries(schedules).filter(([, { monitors }]) => monitors);
  expect(monitors.map(([name]) => name)).toEqual(['reduce_on_plateau']);
});
