import { describe, expect, it } from 'vitest';
import {
  type ActivationSpec,
  activations,
  type ElementwiseActivation,
  resolveActivation,
} from '../../src/engine/activations.ts';
import type { Arithmetic } from '../../src/engine/arithmetic.ts';
import { contains } from '../../src/engine/interval.ts';
import { float32 } from '../../src/engine/math/float32.ts';
import { float64 } from '../../src/engine/math/float64.ts';
import { outside, scalarTables } from '../golden/scalar-tables.ts';
import { fused32 } from './math/accuracy.ts';

const elementwise = Object.entries(activations)
  .filter(([, entry]) => entry.kind === 'elementwise')
  .map(([name]) => name as ActivationSpec);

function curve(spec: ActivationSpec, o: Arithmetic<number, boolean> = float64) {
  const { entry, options } = resolveActivation(spec);
  const { forward, derivative } = entry as ElementwiseActivation;
  return {
    value: (z: number) => forward(o, z, options),
    slope: (z: number) => derivative(o, z, forward(o, z, options), options),
  };
}

describe('against 50-digit tables at the strict tolerance, extreme arguments included', () => {
  const tabulated = elementwise.filter((name) => (name as string) in scalarTables.functions);

  it('covers every activation that the tables have', () => {
    expect(tabulated).toEqual([
      'relu',
      'leaky_relu',
      'elu',
      'gelu',
      'gelu_tanh',
      'silu',
      'softplus',
      'tanh',
      'sigmoid',
    ]);
  });

  it.each(tabulated)('%s', (name) => {
    const { value, tol_strict } = scalarTables.functions[name as string];
    expect(outside(curve(name).value, value, tol_strict)).toEqual([]);
  });

  it.each(tabulated)('the derivative of %s', (name) => {
    const { value, tol_strict } = scalarTables.functions[`d${name as string}`];
    expect(outside(curve(name).slope, value, tol_strict)).toEqual([]);
  });
});

// z, value, derivative by mpmath with 40 digits, for the activations that the tables do not have.
const spotValues: Record<string, readonly (readonly [number, number, number])[]> = {
  mish: [
    [-700, -6.90177358063184e-302, -6.891913904088079e-302],
    [-30, -2.807286890651921e-12, -2.713710660963392e-12],
    [-5, -0.033576237730161704, -0.026747498019901932],
    [-1.5, -0.29809974216680674, -0.06409781589225864],
    [-0.01, -0.0059679844586215235, 0.5935953834433149],
    [0.02, 0.012127864660640126, 0.6127793321184897],
    [1, 0.8650983882673103, 1.0490362200997922],
    [4, 3.9974128069762385, 1.00443287690375],
    [30, 30.0, 1.0],
    [700, 700.0, 1.0],
  ],
  selu: [
    [-700, -1.7580993408473768, 1.7334290832552396e-304],
    [-30, -1.7580993408472123, 1.6451630773416185e-13],
    [-5, -1.7462533606696202, 0.01184598017775672],
    [-1.5, -1.3658143533672527, 0.39228498748012414],
    [-0.01, -0.01749338072690946, 1.7406059601204673],
    [0.02, 0.02101401974710961, 1.0507009873554805],
    [1, 1.0507009873554805, 1.0507009873554805],
    [4, 4.202803949421922, 1.0507009873554805],
    [30, 31.521029620664414, 1.0507009873554805],
    [700, 735.4906911488364, 1.0507009873554805],
  ],
  softsign: [
    [-700, -0.9985734664764622, 2.03499789377718e-6],
    [-30, -0.967741935483871, 0.001040582726326743],
    [-5, -0.8333333333333334, 0.027777777777777776],
    [-1.5, -0.6, 0.16],
    [-0.01, -0.009900990099009901, 0.9802960494069209],
    [0.02, 0.0196078431372549, 0.9611687812379854],
    [1, 0.5, 0.25],
    [4, 0.8, 0.04],
    [30, 0.967741935483871, 0.001040582726326743],
    [700, 0.9985734664764622, 2.03499789377718e-6],
  ],
};

describe.each(Object.entries(spotValues))('%s against 40-digit values', (name, rows) => {
  it.each(rows)('at %s', (z, value, slope) => {
    const { value: got, slope: gotSlope } = curve(name as ActivationSpec);
    // A dozen float64 operations of half an ulp each; near the zero of mish' the derivative's terms cancel.
    expect(Math.abs(got(z) - value)).toBeLessThanOrEqual(2e-15 * Math.abs(value) + 1e-305);
    expect(Math.abs(gotSlope(z) - slope)).toBeLessThanOrEqual(4e-15 * Math.abs(slope) + 1e-16 * Math.exp(z));
  });
});

describe.each(elementwise)('%s', (name) => {
  const { entry } = resolveActivation(name);

  it('has a derivative that central differences confirm', () => {
    const { value, slope } = curve(name);
    const h = 1e-5;
    for (let z = -6.03; z < 6; z += 0.31) {
      const difference = (value(z + h) - value(z - h)) / (2 * h);
      // Rounding of the values leaves 1e-16·|a|/h, truncation h²/6 of the third derivative, which is below 6 here.
      expect(Math.abs(difference - slope(z))).toBeLessThan(1e-10 + 1e-11 * Math.abs(value(z)));
    }
  });

  it.each([float64, float32, fused32])('keeps NaN, stays finite and within its range everywhere ($precision)', (o) => {
    const { value, slope } = curve(name, o);
    expect(value(Number.NaN)).toBeNaN();
    const { minimum, maximum } = entry.range;
    // Rounding may reach the end of an open range, and by one ulp of float32 the lowest point of a curve.
    const closed = { minimum: minimum - Math.abs(minimum) * 2 ** -22, maximum };
    for (const z of [0, 1e-40, 1e-30, 0.1, 1, 3, 20, 90, 700, 1e10, 3e38].flatMap((z) => [z, -z])) {
      expect(contains(closed, value(o.constant(z))), `a(${z}) = ${value(o.constant(z))}`).toBe(true);
      expect(Number.isFinite(slope(o.constant(z))), `a'(${z}) = ${slope(o.constant(z))}`).toBe(true);
    }
  });

  it('has its limits at ±Infinity, never NaN', () => {
    const { value } = curve(name);
    const farther = [-1e300, 1e300].map(value);
    expect([-Infinity, Infinity].map(value).map((a) => (Math.abs(a) > 1e200 ? Math.sign(a) * 1e300 : a + 0))).toEqual(
      farther.map((a) => (Math.abs(a) > 1e200 ? Math.sign(a) * 1e300 : a + 0)),
    );
  });

  it.each([float32, fused32])('follows float64 closely in float32', (o) => {
    const reference = curve(name);
    const { value, slope } = curve(name, o);
    for (let z = -100; z < 100; z += 0.0871) {
      const x = Math.fround(z);
      const a = reference.value(x);
      // 5 ulp; the rounding of the exponent of gelu_tanh, which is below z² + 2 here, counts that many times.
      const ulps = name === 'gelu_tanh' ? 7 + z * z : 5;
      expect(Math.abs(value(x) - a), `a(${x})`).toBeLessThanOrEqual(ulps * 2 ** -23 * Math.abs(a) + 1e-38);
      // What float32 takes from the activation is exact to an ulp or two of 1, not of itself.
      expect(Math.abs(slope(x) - reference.slope(x)), `a'(${x})`).toBeLessThanOrEqual(6e-7);
    }
  });
});

it('takes options where it has them, and their defaults otherwise', () => {
  expect(curve({ name: 'leaky_relu', negative_slope: 0.5 }).value(-2)).toBe(-1);
  expect(curve('leaky_relu').slope(-2)).toBe(0.01);
  expect(curve({ name: 'elu', alpha: 2 }).slope(0)).toBe(2);
  expect(() => resolveActivation('swish' as ActivationSpec)).toThrow(RangeError);
});

it('has the subgradients of PyTorch at the kinks: relu 0, leaky_relu its slope, elu alpha', () => {
  expect([curve('relu').slope(0), curve('leaky_relu').slope(0), curve('elu').slope(0)]).toEqual([0, 0.01, 1]);
});

it('gives log a of positive outputs where a itself has underflowed', () => {
  for (const name of ['sigmoid', 'softplus'] as const) {
    const { logarithm, forward } = activations[name];
    for (const z of [-1000, -50, -39, -3, -0.5, 0.5, 4]) {
      const wanted = z < -50 ? z : Math.log(forward(float64, z));
      expect(Math.abs(logarithm.value(float64, z) - wanted)).toBeLessThanOrEqual(4e-16 * Math.max(1, Math.abs(wanted)));
      const h = 1e-5;
      const difference = (logarithm.value(float64, z + h) - logarithm.value(float64, z - h)) / (2 * h);
      // Rounding of log a: ulp(z)/h, at most 1e-13/1e-5 at -1000.
      expect(Math.abs(logarithm.derivative(float64, z) - difference)).toBeLessThan(z < -100 ? 1e-7 : 1e-9);
    }
  }
});

// Compiled code adds z·0, so that a saturating function cannot hide an overflow; it must not turn −0 into 0 either.
it.each(elementwise)('%s is not −0 where its argument is positive: adding z·0 to it changes no bit', (spec) => {
  for (const o of [float32, float64]) {
    const { value } = curve(spec, o);
    for (const z of [0, 1e-300, 1e-40, 1e-20, 1e-9, 0.5, 1, 20, 89, 710, 1e4].flatMap((x) => [x, -x])) {
      const argument = o.constant(z);
      expect(o.add(value(argument), o.mul(argument, 0)), `${z}`).toBe(value(argument));
    }
  }
});
