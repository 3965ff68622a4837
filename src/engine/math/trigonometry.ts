/**
 * cos πx and sin πx for the cosine schedule and for normal random numbers; Math.cos differs between machines.
 *
 * x = n/2 + r, |r| ≤ ¼, is exact; then sin πr = πr + r³·S(r²) and cos πr = 1 + r²·C(r²), S and C minimax of degree 6
 * (errors below 4e-19 and 2e-18), chosen by n mod 4. Float64 coefficients; in float32 they round and do no harm.
 */
import type { Arithmetic } from '../arithmetic.ts';
import { polynomial } from './polynomial.ts';

const PI_LOW = 1.2246467991473532e-16;
const sine = [
  -5.16771278004997, 2.550164039877345, -0.5992645293206479, 0.08214588659728152, -0.00737043031244096,
  0.0004662879346892128, -2.1742078390216996e-5,
];
const cosine = [
  -4.934802200544679, 4.058712126416765, -1.33526276885381, 0.23533063028402093, -0.02580688796558479,
  0.001929493887430503, -0.00010370089648494113,
];

/** sin πr for |r| ≤ ¼ */
function sineKernel<T, M>(o: Arithmetic<T, M>, r: T): T {
  const square = o.mul(r, r);
  const tail = o.mulAdd(square, polynomial(o, square, sine), o.constant(PI_LOW));
  return o.mulAdd(r, o.constant(Math.PI), o.mul(r, tail));
}

/** cos πr for |r| ≤ ¼ */
function cosineKernel<T, M>(o: Arithmetic<T, M>, r: T): T {
  const square = o.mul(r, r);
  return o.mulAdd(square, polynomial(o, square, cosine), o.constant(1));
}

/** cos πx with about 1 ulp of error (absolute, of 1); exact at multiples of ½. */
export function cosPi<T, M>(o: Arithmetic<T, M>, x: T): T {
  const n = o.nearest(o.mul(x, o.constant(2)));
  const r = o.mulAdd(n, o.constant(-0.5), x);
  // Which quarter of the circle, −2 … 2.
  const quarter = o.mulAdd(o.nearest(o.mul(n, o.constant(0.25))), o.constant(-4), n);
  const c = cosineKernel(o, r);
  const s = sineKernel(o, r);
  const odd = o.select(o.less(quarter, o.constant(0)), s, o.neg(s));
  const even = o.select(o.equal(quarter, o.constant(0)), c, o.neg(c));
  return o.select(o.equal(o.abs(quarter), o.constant(1)), odd, even);
}

/** sin πx, exact at multiples of ½. */
export function sinPi<T, M>(o: Arithmetic<T, M>, x: T): T {
  const n = o.nearest(o.mul(x, o.constant(2)));
  const r = o.mulAdd(n, o.constant(-0.5), x);
  const quarter = o.mulAdd(o.nearest(o.mul(n, o.constant(0.25))), o.constant(-4), n);
  const c = cosineKernel(o, r);
  const s = sineKernel(o, r);
  const odd = o.select(o.less(quarter, o.constant(0)), o.neg(c), c);
  const even = o.select(o.equal(quarter, o.constant(0)), s, o.neg(s));
  return o.select(o.equal(o.abs(quarter), o.constant(1)), odd, even);
}
