/**
 * Scaling of inputs and of regression targets. It is fitted on the training rows alone, is part of the model (plain
 * JSON in its checkpoint) and is inverted on what the model predicts.
 */
import type { FloatArray } from '../engine/backend.ts';

/** The columns of a matrix: `values` is rows × columns, row-major; only the given rows count (all, when absent). */
export interface FittedRows {
  readonly values: FloatArray;
  readonly columns: number;
  readonly rows?: Uint32Array | undefined;
}

interface ColumnStatistics {
  readonly minimum: Float64Array;
  readonly maximum: Float64Array;
  /** Power of two that brings the column near 1 when its squares or its range would leave the floating-point range. */
  readonly unit: Float64Array;
}

interface ColumnScale {
  /** Centre and spread of x·unit. A spread of 0 stands for a constant column. */
  readonly center: number;
  /** What rounding took from the centre. */
  readonly residual?: number;
  readonly spread: number;
}

export interface Scaling {
  readonly description: string;
  readonly formula: string;
  readonly fit: (data: FittedRows, statistics: ColumnStatistics) => readonly ColumnScale[];
}

export const scalings = {
  standardize: {
    description: 'Mean 0 and population standard deviation 1 on the training rows.',
    formula: '(x − mean) / sd',
    fit: standardize,
  },
  min_max: {
    description: 'The range of the training rows becomes 0 to 1.',
    formula: '(x − min) / (max − min)',
    fit: (_data, { minimum, maximum, unit }) =>
      Array.from(unit, (u, column) => ({
        center: minimum[column] * u,
        spread: maximum[column] * u - minimum[column] * u,
      })),
  },
  robust: {
    description: 'Median 0 and interquartile range 1 on the training rows (quartiles by linear interpolation).',
    formula: '(x − median) / (q₃ − q₁)',
    fit: robust,
  },
} as const satisfies Record<string, Scaling>;

export type ScalingName = keyof typeof scalings;

/**
 * A fitted scaling: x' = (x·unit − shift − residual) / scale, column by column. `unit` (a power of two) and `residual`
 * are there only for columns whose numbers need them; without them x' = (x − shift) / scale. A column that is constant
 * on the training rows has scale 1 and becomes 0 on them.
 */
export interface FittedScaling {
  readonly name: ScalingName;
  readonly shift: readonly number[];
  readonly scale: readonly number[];
  readonly unit?: readonly number[];
  readonly residual?: readonly number[];
}

/** What stands between the client's numbers and the network's; part of every checkpoint and export. */
export interface Preprocessing {
  readonly inputs: FittedScaling | null;
  readonly targets: FittedScaling | null;
}

/**
 * Fits a scaling to the columns of the training rows.
 * @throws {RangeError} when there are no rows
 */
export function fitScaling(name: ScalingName, data: FittedRows): FittedScaling {
  if (rowCount(data) === 0) throw new RangeError('a scaling needs at least one row to be fitted on');
  const statistics = columnStatistics(data);
  const { minimum, maximum, unit } = statistics;
  const fitted = scalings[name].fit(data, statistics).map((scale, column) =>
    // Rounding makes the mean of ten times 0.1 miss 0.1, so what is constant is known from minimum and maximum.
    minimum[column] === maximum[column] ? { center: minimum[column] * unit[column], spread: 0 } : scale,
  );
  const residual = fitted.map((column: ColumnScale) => column.residual ?? 0);
  return {
    name,
    shift: fitted.map((column) => column.center),
    // A quartile distance can be so small beside an outlier that the quotient would not be finite: it scales nothing.
    scale: fitted.map(({ spread }, column) => {
      const range = maximum[column] * unit[column] - minimum[column] * unit[column];
      return spread === 0 || range / spread === Infinity ? 1 : spread;
    }),
    ...(unit.some((u) => u !== 1) && { unit: [...unit] }),
    ...(residual.some((r) => r !== 0) && { residual }),
  };
}

/**
 * Scales rows of data: computed in float64, rounded once by the type of `into`.
 * @param values rows × columns
 * @param into where the result goes; may be `values` itself
 */
export function applyScaling<A extends FloatArray>(scaling: FittedScaling, values: FloatArray, into: A): A {
  const { shift, scale, unit, residual } = scaling;
  const columns = shift.length;
  for (let i = 0, column = 0; i < values.length; i += 1, column = column + 1 === columns ? 0 : column + 1) {
    const x = unit === undefined ? values[i] : values[i] * unit[column];
    const centered = residual === undefined ? x - shift[column] : x - shift[column] - residual[column];
    into[i] = centered / scale[column];
  }
  return into;
}

/** The inverse of {@link applyScaling}: from the network's numbers to the client's. */
export function invertScaling<A extends FloatArray>(scaling: FittedScaling, values: FloatArray, into: A): A {
  const { shift, scale, unit, residual } = scaling;
  const columns = shift.length;
  for (let i = 0, column = 0; i < values.length; i += 1, column = column + 1 === columns ? 0 : column + 1) {
    const scaled = values[i] * scale[column];
    const x = (residual === undefined ? scaled : scaled + residual[column]) + shift[column];
    into[i] = unit === undefined ? x : x / unit[column];
  }
  return into;
}

const rowCount = ({ values, columns, rows }: FittedRows): number => rows?.length ?? values.length / columns;

/** Calls back with every fitted value, row by row, so that memory is read in its order. */
function eachValue(data: FittedRows, visit: (x: number, column: number) => void): void {
  const { values, columns, rows } = data;
  for (let i = 0; i < rowCount(data); i += 1) {
    const start = (rows === undefined ? i : rows[i]) * columns;
    for (let column = 0; column < columns; column += 1) visit(values[start + column], column);
  }
}

function columnStatistics(data: FittedRows): ColumnStatistics {
  const minimum = new Float64Array(data.columns).fill(Number.POSITIVE_INFINITY);
  const maximum = new Float64Array(data.columns).fill(Number.NEGATIVE_INFINITY);
  eachValue(data, (x, column) => {
    if (x < minimum[column]) minimum[column] = x;
    if (x > maximum[column]) maximum[column] = x;
  });
  const unit = minimum.map((least, column) => unitFor(Math.max(Math.abs(least), Math.abs(maximum[column]))));
  return { minimum, maximum, unit };
}

/**
 * 1 for ordinary numbers. Outside 2^±400 squares of deviations (which may be 2^-52 of the largest value) overflow or
 * underflow, so the power of two that brings `largest` into [½, 1]; at most 2^1023, so that it is a number itself.
 */
function unitFor(largest: number): number {
  if (largest === 0 || (largest > 2 ** -400 && largest < 2 ** 400)) return 1;
  let unit = 1;
  while (largest * unit > 1) unit /= 2;
  while (largest * unit < 0.5 && unit < 2 ** 1023) unit *= 2;
  return unit;
}

/**
 * mean = m + Σ(x − m)/n with m the rounded mean, sd² = Σ(x − mean)²/n. Three passes, because the sum of a million
 * values loses digits, and a variance as the difference of two sums can come out negative.
 */
function standardize(data: FittedRows, { unit }: ColumnStatistics): ColumnScale[] {
  const center = meansOf(data, (x, column) => x * unit[column]);
  const correction = meansOf(data, (x, column) => x * unit[column] - center[column]);
  const corrected = center.map((value, column) => value + correction[column]);
  const residual = corrected.map((value, column) => correction[column] - (value - center[column]));
  const variance = meansOf(data, (x, column) => {
    const d = x * unit[column] - corrected[column] - residual[column];
    return d * d;
  });
  return Array.from(variance, (squared, column) => {
    const spread = Math.sqrt(squared);
    // Only a column whose spread is lost in the last bits of its mean can tell the difference.
    const isLost = spread < Math.abs(corrected[column]) * 2 ** -20;
    return { center: corrected[column], spread, ...(isLost && { residual: residual[column] }) };
  });
}

/** The mean over the rows of what `term` makes of each value, column by column. */
function meansOf(data: FittedRows, term: (x: number, column: number) => number): Float64Array {
  const sums = new Float64Array(data.columns);
  eachValue(data, (x, column) => {
    sums[column] += term(x, column);
  });
  return sums.map((sum) => sum / rowCount(data));
}

function robust(data: FittedRows, { unit }: ColumnStatistics): ColumnScale[] {
  const n = rowCount(data);
  const { values, columns, rows } = data;
  return Array.from(unit, (u, column) => {
    const sorted = Float64Array.from({ length: n }, (_, i) => values[(rows?.[i] ?? i) * columns + column] * u).sort();
    const spread = quantile(sorted, 0.75) - quantile(sorted, 0.25);
    return { center: quantile(sorted, 0.5), spread };
  });
}

/** Linear interpolation between the neighbours of place q·(n − 1): numpy's default. */
function quantile(sorted: Float64Array, q: number): number {
  const place = q * (sorted.length - 1);
  const below = Math.floor(place);
  const share = place - below;
  return share === 0 ? sorted[below] : sorted[below] * (1 - share) + sorted[below + 1] * share;
}
