/** How exactly numbers were sent, found from the numbers themselves. */

export interface SentPrecision {
  /** `float64`: nothing was lost. `float32`: every value is one. `rounded`: at most nine significant digits. */
  readonly kind: 'float64' | 'float32' | 'rounded';
  /** Most significant decimal digits of a value. */
  readonly significant_digits: number;
  /** Most digits behind the point. */
  readonly decimals: number;
}

/** Enough to write every float32: whoever sends no more may have computed in float32. */
const digitsOfFloat32 = 9;
/** The halves that rounding gives are themselves not exact in binary. */
const slack = 1 + 1e-9;

/** The precision of values as they were sent. */
export function precisionOf(tensors: readonly Float64Array[]): SentPrecision {
  let [digits, decimals, float32] = [1, 0, true];
  for (const values of tensors) {
    for (const value of values) {
      if (value === 0 || !Number.isFinite(value)) continue;
      const shape = decimalShape(value);
      digits = Math.max(digits, shape.digits);
      decimals = Math.max(decimals, shape.digits - 1 - shape.exponent);
      float32 &&= Math.fround(value) === value;
    }
  }
  const kind = digits <= digitsOfFloat32 ? 'rounded' : float32 ? 'float32' : 'float64';
  return { kind, significant_digits: digits, decimals };
}

/** Significant digits and decimal exponent of the shortest decimal that is this number. */
function decimalShape(value: number): { readonly digits: number; readonly exponent: number } {
  const [mantissa, exponent] = Math.abs(value).toExponential().split('e');
  return { digits: mantissa.replace('.', '').length, exponent: Number(exponent) };
}

/** 10^exponent, correctly rounded. */
const powerOfTen = (exponent: number): number => Number(`1e${exponent}`);

/**
 * How far rounding may have moved a value: half a unit of its last significant digit, or of the last decimal if that
 * is more. Under rounding to k digits the smallest value has the most decimals, and under rounding to d decimals the
 * largest has the most digits, so the larger half is right in both cases.
 */
export function roundingError(value: number, { kind, significant_digits: digits, decimals }: SentPrecision): number {
  if (kind !== 'rounded') return 0;
  const halfDecimal = 0.5 * powerOfTen(-decimals);
  if (value === 0) return halfDecimal * slack;
  const halfDigit = 0.5 * powerOfTen(decimalShape(value).exponent + 1 - digits);
  return Math.max(halfDecimal, halfDigit) * slack;
}
