import { describe, expect, it } from 'vitest';
import type { Arithmetic } from '../../../src/engine/arithmetic.ts';
import * as elementary from '../../../src/engine/math/elementary.ts';
import { float32 } from '../../../src/engine/math/float32.ts';
import { float64 } from '../../../src/engine/math/float64.ts';
import { outside, scalarTables } from '../../golden/scalar-tables.ts';
import { error32, floats32, fused32, type Scalar, spread32 } from './accuracy.ts';

const tabulated: Record<string, Scalar> = {
  exp: elementary.exp,
  expm1: elementary.expm1,
  log1pexp: elementary.softplus,
  log1pexp_neg_abs: (o, z) => elementary.log1p(o, elementary.exp(o, o.neg(o.abs(z)))),
  log1mexp: elementary.log1mexp,
  sigmoid: elementary.sigmoid,
  dsigmoid: elementary.sigmoidSlope,
  tanh: elementary.tanh,
  dtanh: elementary.tanhSlope,
  softplus: elementary.softplus,
  log_sigmoid: elementary.log_sigmoid,
  dlog_sigmoid: (o, z) => elementary.sigmoid(o, o.neg(z)),
};

describe('float64 elementary functions against 50-digit tables, extreme arguments included', () => {
  it.each(Object.entries(tabulated))('%s keeps the strict tolerance', (name, f) => {
    const { value, tol_strict } = scalarTables.functions[name];
    expect(outside((z) => f(float64, z), value, tol_strict)).toEqual([]);
  });
});

// x, erf x, erfc x by mpmath with 40 digits, rounded to the nearest float64.
const errorFunctions = [
  [1e-300, 1.1283791670955126e-300, 1],
  [0.1, 0.1124629160182849, 0.887537083981715],
  [0.5, 0.5204998778130465, 0.4795001221869535],
  [0.9, 0.7969082124228322, 0.20309178757716786],
  [1, 0.8427007929497149, 0.15729920705028513],
  [1.5, 0.9661051464753108, 0.033894853524689274],
  [3, 0.9999779095030014, 2.209049699858544e-5],
  [5, 0.9999999999984626, 1.537459794428035e-12],
  [10, 1, 2.088487583762545e-45],
  [20, 1, 5.395865611607901e-176],
  [26, 1, 5.663192408856143e-296],
];

it('erf and erfc are within 4 ulp of float64 (9e-16 relative) on both sides of 0, deep tail included', () => {
  for (const [x, erf, erfc] of errorFunctions) {
    expect(Math.abs(elementary.erf(float64, x) / erf - 1)).toBeLessThan(9e-16);
    expect(elementary.erf(float64, -x)).toBe(-elementary.erf(float64, x));
    expect(Math.abs(elementary.erfc(float64, x) / erfc - 1)).toBeLessThan(9e-16);
    expect(Math.abs(elementary.erfc(float64, -x) - (1 + erf))).toBeLessThan(9e-16);
  }
});

it('log and log1p agree with V8 within 1 ulp and undo exp, subnormal numbers included', () => {
  for (let k = -1074; k < 1024; k += 0.37) {
    const x = 2 ** Math.floor(k) * (1 + (k - Math.floor(k)));
    expect(Math.abs(elementary.log(float64, x) - Math.log(x))).toBeLessThanOrEqual(Math.abs(Math.log(x)) * 2 ** -52);
    const log1p = Math.log1p(x);
    expect(Math.abs(elementary.log1p(float64, x) - log1p)).toBeLessThanOrEqual(log1p * 2 ** -52 + 2 ** -1074);
  }
});

const limits: [string, Scalar, atMinusInfinity: number, atInfinity: number][] = [
  ['exp', elementary.exp, 0, Infinity],
  ['expm1', elementary.expm1, -1, Infinity],
  ['log', elementary.log, Number.NaN, Infinity],
  ['log1p', elementary.log1p, Number.NaN, Infinity],
  ['tanh', elementary.tanh, -1, 1],
  ['sigmoid', elementary.sigmoid, 0, 1],
  ['softplus', elementary.softplus, 0, Infinity],
  ['log_sigmoid', elementary.log_sigmoid, -Infinity, 0],
  ['erf', elementary.erf, -1, 1],
  ['erfc', elementary.erfc, 2, 0],
  ['normalCdf', elementary.normalCdf, 0, 1],
];

describe.each([float64, float32, fused32])('limits ($precision)', (o: Arithmetic<number, boolean>) => {
  it.each(limits)('%s keeps NaN and reaches its limits at ±Infinity', (_name, f, atMinusInfinity, atInfinity) => {
    expect(f(o, Number.NaN)).toBeNaN();
    expect(f(o, -Infinity) + 0).toBe(atMinusInfinity);
    expect(f(o, Infinity) + 0).toBe(atInfinity);
  });

  it('log is -Infinity at 0 and NaN below', () => {
    expect([0, -0, -1, -(2 ** -149)].map((x) => elementary.log(o, x))).toEqual([
      -Infinity,
      -Infinity,
      Number.NaN,
      Number.NaN,
    ]);
    expect(elementary.log1p(o, -1)).toBe(-Infinity);
  });
});

const float32Bounds: [string, ulp: number, Scalar, from: number, to: number][] = [
  ['exp', 1.1, elementary.exp, -104, 89],
  ['expNonPositive', 1.1, elementary.expNonPositive, -104, 0],
  ['expm1', 2, elementary.expm1, -20, 89],
  ['log', 0.9, elementary.log, 0, 4],
  ['log1p', 1.5, elementary.log1p, -0.99, 4],
  ['log1pPositive', 1.5, elementary.log1pPositive, 0, 64],
  ['log1pUnit', 1.5, elementary.log1pUnit, 0, 1],
  ['tanh', 1.5, elementary.tanh, -10, 10],
  ['sigmoid', 2, elementary.sigmoid, -8, 8],
  ['softplus', 2, elementary.softplus, -8, 8],
  ['log_sigmoid', 2, elementary.log_sigmoid, -8, 8],
  ['erf', 1.5, elementary.erf, -4, 4],
  ['erfc', 5, elementary.erfc, -4, 10.1],
  ['normalCdf', 5, elementary.normalCdf, -14, 6],
];

/** Where a function promises something, if not everywhere. */
const domains: Record<string, (x: number) => boolean> = {
  expNonPositive: (x) => x <= 0,
  log1pPositive: (x) => x >= 0 && x <= 2 ** 60,
  log1pUnit: (x) => x >= 0 && x <= 1,
};

describe.each([
  ['strict', float32],
  ['fused', fused32],
] as const)('float32 with %s multiply-add, over every binade and densely where the function bends', (_name, o) => {
  it.each(float32Bounds)('%s errs by at most %s ulp', (name, bound, f, from, to) => {
    let worst = { error: 0, x: 0 };
    const measure = (x: number): void => {
      if (domains[name]?.(x) === false) return;
      const error = error32(f(o, x), f(float64, x));
      if (!(error <= worst.error)) worst = { error, x };
    };
    for (const x of floats32(30011)) measure(x);
    for (const x of spread32(from, to, 40_000)) measure(x);
    expect(worst.error, `at ${worst.x}`).toBeLessThanOrEqual(bound);
  });
});

// x, cos πx, sin πx by mpmath with 40 digits.
const circle = [
  [0.125, 0.9238795325112867, 0.3826834323650898],
  [0.3, 0.5877852522924731, 0.8090169943749475],
  [0.4, 0.30901699437494734, 0.9510565162951536],
  [0.7, -0.587785252292473, 0.8090169943749475],
  [0.9, -0.9510565162951536, 0.30901699437494734],
  [1.1, -0.9510565162951535, -0.3090169943749477],
];

it('cosPi and sinPi are within 2^-52 in every quarter, and exact at multiples of a half', () => {
  for (const [x, cosine, sine] of circle) {
    for (const turn of [0, 2, -2]) {
      // x + turn rounds; the angle it stands for differs from x by up to 2^-53·4, the value by π times that.
      const moved = Math.PI * Math.abs(x + turn - turn - x) + 2 ** -52;
      expect(Math.abs(elementary.cosPi(float64, x + turn) - cosine)).toBeLessThanOrEqual(moved);
      expect(Math.abs(elementary.sinPi(float64, x + turn) - sine)).toBeLessThanOrEqual(moved);
    }
  }
  const halves = [0, 0.5, 1, 1.5, 2, -0.5, -1];
  expect(halves.map((x) => elementary.cosPi(float64, x) + 0)).toEqual([1, 0, -1, 0, 1, 0, -1]);
  expect(halves.map((x) => elementary.sinPi(float64, x) + 0)).toEqual([0, 1, 0, -1, 0, -1, 0]);
});
