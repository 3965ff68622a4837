/** The last steps before the end: how large every tensor was, forward and backward, and how fast they grew. */
import type { FloatArray, Plan } from '../../engine/backend.ts';
import { trainedTensors } from '../../engine/parameters.ts';
import type { RunRequest } from '../request.ts';
import { tensorStatistics } from '../tensor-statistics.ts';
import { frameCount, stepCost } from './cost.ts';
import { type InstrumentedStep, instrument } from './instruments.ts';
import type { Replay } from './replay.ts';

/** Multiply-adds that all frames may take in the reference together. */
const frameWork = 5e9;

/** As many as can be afforded, at least one. */
export const affordableFrames = (plan: Plan, batchSize: number): number =>
  Math.max(1, Math.min(frameCount, Math.floor(frameWork / stepCost(plan, batchSize))));

export interface LayerFrame {
  readonly layer: number;
  readonly pre_activations: number;
  readonly activations: number;
  readonly deltas: number;
  /** By the name of the tensor. */
  readonly gradients: Readonly<Record<string, number>>;
  readonly parameters: Readonly<Record<string, number>>;
}

/** Largest absolute values in one step; Infinity or NaN where something is not finite. */
export interface Frame {
  readonly step: number;
  readonly learning_rate: number;
  readonly loss: number;
  readonly gradient_norm: number;
  readonly layers: readonly LayerFrame[];
}

/** Factors by which things have grown from step to step, on the geometric mean; null where there is nothing to compare. */
export interface Growth {
  readonly from_step: number;
  readonly to_step: number;
  readonly loss: number | null;
  readonly gradients: number | null;
  readonly parameters: number | null;
}

/** Looks at every step from where the replay stands up to the last one, and carries them out. */
export function recordFrames(replay: Replay, request: RunRequest, lastStep: number) {
  const frames: Frame[] = [];
  let last: InstrumentedStep | null = null;
  while (replay.run.cursor.step < lastStep && replay.run.end === null) {
    last = instrument(replay.run, request);
    frames.push(frameOf(last));
    replay.advance(1);
  }
  return { frames, last };
}

function frameOf({ step, learning_rate, loss, gradient_norm, pass, before }: InstrumentedStep): Frame {
  const layers = pass.layers.map(({ layer, ...values }): LayerFrame => {
    const tensors = (buffer: FloatArray) =>
      Object.fromEntries(
        trainedTensors(layer).map(({ name, slice: { offset, length } }) => [
          name,
          size(buffer.subarray(offset, offset + length)),
        ]),
      );
    return {
      layer: layer.number,
      pre_activations: size(values.pre_activations),
      activations: size(values.activations),
      deltas: size(values.deltas),
      gradients: tensors(pass.gradients),
      parameters: tensors(before.parameters),
    };
  });
  return { step, learning_rate, loss, gradient_norm, layers };
}

/** max |x|; of values that are not finite the first one. */
function size(values: FloatArray): number {
  const { abs_max, non_finite } = tensorStatistics(values);
  return non_finite === 0 ? abs_max : (values.find((value) => !Number.isFinite(value)) ?? Number.NaN);
}

const largestParameter = ({ layers }: Frame): number =>
  Math.max(...layers.flatMap(({ parameters }) => Object.values(parameters)));

/** Over the last frames in which everything was finite, ten at most. */
export function growthOf(frames: readonly Frame[]): Growth | null {
  const finite = frames.filter(({ loss, gradient_norm }) => Number.isFinite(loss) && Number.isFinite(gradient_norm));
  const [first, last] = [finite.at(-10) ?? finite[0], finite.at(-1)];
  if (first === undefined || last === undefined || last.step === first.step) return null;
  const factor = (value: (frame: Frame) => number): number | null => {
    const [from, to] = [value(first), value(last)];
    return from > 0 && to > 0 ? (to / from) ** (1 / (last.step - first.step)) : null;
  };
  return {
    from_step: first.step,
    to_step: last.step,
    loss: factor(({ loss }) => loss),
    gradients: factor(({ gradient_norm }) => gradient_norm),
    parameters: factor(largestParameter),
  };
}
