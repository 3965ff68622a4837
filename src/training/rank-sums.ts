/** The area under the receiver operating characteristic, from the ranks of all scores. */
import type { FloatArray } from '../engine/backend.ts';
import { excludesOthers, type MetricContext, threshold, trueClass } from './metric-context.ts';

/** Ranks need every score, so this keeps 9 bytes for each output of each row. */
export class RankSums {
  readonly #context: MetricContext;
  readonly #scores: Float64Array[] = [];
  readonly #positive: Uint8Array[] = [];
  /** Known until rows are added. */
  #areas: readonly (number | null)[] | null = null;

  constructor(context: MetricContext) {
    this.#context = context;
  }

  add(outputs: FloatArray, targets: FloatArray, rows: number): void {
    const { output_size } = this.#context;
    this.#areas = null;
    const positive = new Uint8Array(rows * output_size);
    if (excludesOthers(this.#context)) {
      for (let row = 0; row < rows; row += 1) {
        positive[row * output_size + trueClass(this.#context, targets, row)] = 1;
      }
    } else {
      const limit = threshold(this.#context);
      for (let i = 0; i < positive.length; i += 1) positive[i] = targets[i] >= limit ? 1 : 0;
    }
    this.#scores.push(Float64Array.from(outputs.subarray(0, positive.length)));
    this.#positive.push(positive);
  }

  /** The plain mean over the outputs that have both sides; null when none has. */
  areaUnderCurve(): number | null {
    const areas = this.areas().filter((area) => area !== null);
    return areas.length === 0 ? null : areas.reduce((sum, area) => sum + area, 0) / areas.length;
  }

  /** Of each output; null where all rows are on one side. */
  areas(): readonly (number | null)[] {
    this.#areas ??= Array.from({ length: this.#context.output_size }, (_, output) =>
      areaUnderCurve(this.#scoresOf(output, 1), this.#scoresOf(output, 0)),
    );
    return this.#areas;
  }

  /** The scores of one output on one side, ascending, NaN last. */
  #scoresOf(output: number, side: 0 | 1): Float64Array {
    const { output_size } = this.#context;
    const found = new Float64Array(this.#scores.reduce((rows, { length }) => rows + length / output_size, 0));
    let count = 0;
    this.#scores.forEach((scores, part) => {
      const positive = this.#positive[part];
      for (let i = output; i < scores.length; i += output_size) if (positive[i] === side) found[count++] = scores[i];
    });
    return found.subarray(0, count).sort();
  }
}

/**
 * Share of the pairs (positive, negative) that are in order, equal scores counting half, in one walk along both sorted
 * lists: the same number as the midrank formula. Null when a side is empty, NaN when a score is.
 */
function areaUnderCurve(positives: Float64Array, negatives: Float64Array): number | null {
  if (positives.length === 0 || negatives.length === 0) return null;
  if (Number.isNaN(positives.at(-1)!) || Number.isNaN(negatives.at(-1)!)) return Number.NaN;
  let wins = 0;
  let below = 0;
  let notAbove = 0;
  for (const score of positives) {
    while (below < negatives.length && negatives[below] < score) below += 1;
    while (notAbove < negatives.length && negatives[notAbove] <= score) notAbove += 1;
    wins += (below + notAbove) / 2;
  }
  return wins / positives.length / negatives.length;
}
