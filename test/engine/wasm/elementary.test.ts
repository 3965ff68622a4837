import { describe, expect, it } from 'vitest';
import type { Arithmetic } from '../../../src/engine/arithmetic.ts';
import * as elementary from '../../../src/engine/math/elementary.ts';
import { float32 } from '../../../src/engine/math/float32.ts';
import { float64 } from '../../../src/engine/math/float64.ts';
import { differences, laneFunction } from './lane-function.ts';

const scalars = { float32, float64 };

type Formula = <T, M>(o: Arithmetic<T, M>, x: T) => T;
const functions = Object.entries(elementary) as [string, Formula][];

/** Functions that promise something only on a part of the axis. */
const domains: Record<string, (x: number) => boolean> = {
  expNonPositive: (x) => x <= 0,
  expm1NonPositive: (x) => x <= 0,
  log1pUnit: (x) => x >= 0 && x <= 1,
  log1pPositive: (x) => x >= 0 && x <= 2 ** 60,
  log1mexp: (x) => x < 0,
};

/** Every binade with both signs, several significands each, steps across the usual range, and the special values. */
function sample(precision: 'float32' | 'float64'): number[] {
  const round = precision === 'float32' ? Math.fround : (x: number) => x;
  const [lowest, highest] = precision === 'float32' ? [-149, 127] : [-1074, 1023];
  const positive: number[] = [];
  for (let e = lowest; e <= highest; e++) {
    for (let i = 0; i < 8; i++) positive.push(round((1 + ((((i * 0.618034 + e * 0.137) % 1) + 1) % 1)) * 2 ** e));
  }
  for (let i = 0; i < 20000; i++) positive.push(round(i * 0.00571));
  return [...positive, ...positive.map((x) => -x), 0, -0, 0.5, 1, Infinity, -Infinity, Number.NaN];
}

describe.each(['float32', 'float64'] as const)('compiled to lanes of %s, strict', (precision) => {
  const numbers = sample(precision);

  it.each(functions)('%s has the bits of the scalar specification', (name, formula) => {
    const inputs = numbers.filter(domains[name] ?? (() => true));
    const want = inputs.map((x) => formula(scalars[precision], x));
    const run = laneFunction(precision, 'strict', 1, (o, [x]) => formula(o, x));
    const faults = differences(run(inputs), want).map(
      (fault) => `${fault} at ${inputs[Number.parseInt(fault.slice(1), 10)]}`,
    );
    expect(faults.slice(0, 5)).toEqual([]);
  });
});
