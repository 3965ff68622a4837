/** Runs of 200 steps that are broken off at every step and resumed from the bytes of their checkpoint. */
import { isDeepStrictEqual } from 'node:util';
import type { Precision } from '../src/engine/definition.ts';
import { optimizers } from '../src/engine/optimizers.ts';
import { decodeCheckpoint, encodeCheckpoint } from '../src/training/checkpoint.ts';
import type { Frame } from '../src/training/layer-statistics.ts';
import type { EpochPoints, RunNote, RunRequest } from '../src/training/request.ts';
import { Run } from '../src/training/run.ts';
import { namesOf } from '../src/training/states.ts';

export interface Cell {
  readonly optimizer: keyof typeof optimizers;
  /** With it the hidden layer also keeps batch statistics. */
  readonly dropout: boolean;
  readonly shuffle: boolean;
  readonly shortLastBatch: boolean;
  readonly precision: Precision;
}

const both = [false, true] as const;

/** Every optimizer with every combination of what else reaches the state of a run. */
export const grid: readonly Cell[] = namesOf(optimizers).flatMap((optimizer) =>
  both.flatMap((dropout) =>
    both.flatMap((shuffle) =>
      both.flatMap((shortLastBatch) =>
        (['float32', 'float64'] as const).map((precision) => ({
          optimizer,
          dropout,
          shuffle,
          shortLastBatch,
          precision,
        })),
      ),
    ),
  ),
);

/**
 * Every optimizer once, and among these every choice of three of the four other properties: the fourth is their parity
 * (an orthogonal array of strength 3).
 */
export const coveringCells: readonly Cell[] = namesOf(optimizers).map((optimizer, index) => {
  const [dropout, shuffle, shortLastBatch] = [0, 1, 2].map((bit) => ((index >> bit) & 1) === 1);
  const odd = [dropout, shuffle, shortLastBatch].filter(Boolean).length % 2 === 1;
  return { optimizer, dropout, shuffle, shortLastBatch, precision: odd ? 'float32' : 'float64' } as Cell;
});

export const nameOf = ({ optimizer, dropout, shuffle, shortLastBatch, precision }: Cell): string =>
  [optimizer, precision, dropout && 'dropout', shuffle && 'shuffle', shortLastBatch && 'short last batch']
    .filter(Boolean)
    .join(', ');

const batchSize = 4;
const batchesPerEpoch = 4;
const epochs = 50;
export const stepsOfRun = batchesPerEpoch * epochs;

function requestOf({ optimizer, dropout, shuffle, shortLastBatch, precision }: Cell): RunRequest {
  const rows = batchesPerEpoch * batchSize - (shortLastBatch ? 2 : 0);
  const values = (width: number, stride: number) =>
    Float64Array.from({ length: rows * width }, (_, i) => ((i * stride) % 17) / 17 - 0.5);
  return {
    network: {
      input_size: 3,
      layers: [
        { units: 5, activation: 'tanh', ...(dropout ? { dropout: 0.3, batch_norm: true } : {}) },
        { units: 2, activation: 'linear' },
      ],
      loss: 'mean_squared_error',
      precision,
    },
    data: { rows, inputs: values(3, 5), targets: values(2, 7) },
    epochs,
    batch_size: batchSize,
    shuffle,
    seed: 11,
    optimizer: { name: optimizer, learning_rate: 0.01 },
    learning_rate_schedule: [],
    metrics: [],
    arithmetic: 'fused',
  };
}

/** What a stretch of a run has brought, point by point. */
interface Stretch {
  readonly losses: number[];
  readonly epochs: EpochPoints[];
  readonly frames: Frame[];
  readonly notes: RunNote[];
}

const nothing: Stretch = { losses: [], epochs: [], frames: [], notes: [] };

/** Trains to a step, in blocks of at most so many. */
function train(run: Run, until: number, block: number): Stretch {
  const stretch: Stretch = structuredClone(nothing);
  while (run.end === null && run.cursor.step < until) {
    const { steps, epochs: ended, frames, notes } = run.advance(Math.min(block, until - run.cursor.step));
    stretch.losses.push(...steps.losses);
    for (const [index, step] of ended.steps.entries()) stretch.epochs.push(oneEpoch(ended, index, step));
    stretch.frames.push(...frames);
    stretch.notes.push(...notes);
  }
  return stretch;
}

/** Epochs one by one, however many came at once. */
function oneEpoch({ first_epoch, series }: EpochPoints, index: number, step: number): EpochPoints {
  const values = Object.entries(series).map(([name, column]) => [name, column.slice(index, index + 1)]);
  return { first_epoch: first_epoch + index, steps: Float64Array.of(step), series: Object.fromEntries(values) };
}

const join = (a: Stretch, b: Stretch): Stretch => ({
  losses: [...a.losses, ...b.losses],
  epochs: [...a.epochs, ...b.epochs],
  frames: [...a.frames, ...b.frames],
  notes: [...a.notes, ...b.notes],
});

const bytesOf = (run: Run): Uint8Array<ArrayBuffer> => encodeCheckpoint(run.checkpoint());

/** The steps at which a resumed run does not end in the bytes and the history of the run that was left alone. */
export function stepsThatDiffer(cell: Cell): number[] {
  const request = requestOf(cell);
  const whole = new Run(request, null);
  const history = train(whole, stepsOfRun, stepsOfRun);
  const bytes = Buffer.from(bytesOf(whole));
  const interrupted = new Run(request, null);
  let before = nothing;
  const differing: number[] = [];
  for (let step = 0; step <= stepsOfRun; step++) {
    before = join(before, train(interrupted, step, 1));
    const resumed = new Run(request, decodeCheckpoint(bytesOf(interrupted)));
    const after = train(resumed, stepsOfRun, stepsOfRun);
    const isSame = isDeepStrictEqual(join(before, after), history) && bytes.equals(bytesOf(resumed));
    if (!isSame) differing.push(step);
  }
  return differing;
}
