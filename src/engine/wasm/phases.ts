/**
 * A step cut into phases, so that several threads can carry it out: within a phase nobody needs what another one makes,
 * and between two phases everybody waits for the others. Without batch_norm there are two: from the gathered rows to
 * their δ by rows of the batch, then gradients and updates by columns of the weights.
 */
import type { Plan } from '../backend.ts';
import { type KernelContext, type KernelFunction, type Split, WHOLE } from './kernel.ts';

/** `update` is a stage of its own when gradients are clipped by their norm, which lies between the two; the last two are inference. */
export type Stage = 'step' | 'update' | 'infer' | 'evaluate';

/** How a phase is divided; by `own_rows` each thread takes its rows through the whole network in buffers of its own. */
export type PhaseSplit = Split | 'own_rows';

/**
 * Rows take the first row and the one behind the last; columns the rows of the batch and a share, from and to; own rows the
 * first row, the one behind the last and the number of the thread.
 */
export interface Phase {
  /** Its place in the order of all phases. */
  readonly number: number;
  readonly stage: Stage;
  readonly split: PhaseSplit;
  readonly run: (a: number, b: number, c: number) => void;
}

const parameters = {
  rows: ['i32', 'i32'],
  columns: ['i32', 'i32', 'i32'],
  own_rows: ['i32', 'i32', 'i32'],
} as const satisfies Record<PhaseSplit, unknown>;

/** A function of the module that is a phase or part of one. */
interface Divisible extends Pick<KernelFunction, 'index'> {
  readonly split: PhaseSplit;
}

/** Exports a function for every run of kernels that are divided in the same way, named `stage/number/split`. */
export function emitPhases({ module }: KernelContext, stage: Stage, kernels: readonly (Divisible | null)[]): void {
  const runs: Divisible[][] = [];
  for (const kernel of kernels) {
    if (kernel === null) continue;
    const last = runs.at(-1);
    if (last?.[0].split === kernel.split) last.push(kernel);
    else runs.push([kernel]);
  }
  for (const [number, run] of runs.entries()) {
    const { split } = run[0];
    const types = parameters[split];
    const call = (f: Parameters<Parameters<typeof module.function>[2]>[0]) => {
      for (const { index } of run) {
        for (const i of types.keys()) f.get(i);
        f.call(index);
      }
    };
    module.function([...types], [], call, `${stage}/${number}/${split}`);
  }
}

/** The phases that a module exports, in the order in which they are carried out. */
export function phasesOf(exports: Record<string, unknown>): Phase[] {
  const phases = Object.entries(exports).filter(([name]) => name.includes('/'));
  return phases.map(([name, run], number) => {
    const [stage, , split] = name.split('/');
    return { number, stage: stage as Stage, split: split as PhaseSplit, run: run as Phase['run'] };
  });
}

/** Rows of the batch, or parts of `WHOLE` of the columns, from the first up to but not including the end. */
export interface Span {
  readonly first: number;
  readonly end: number;
}

/** All that a phase has to do for a batch of so many rows. */
export const wholeSpan = (split: PhaseSplit, rows: number): Span => ({
  first: 0,
  end: split === 'columns' ? WHOLE : rows,
});

/** One of `parts` parts of a span, equal ones as far as possible: rows are cut at multiples of `granule` only. */
export function partOf(split: PhaseSplit, { first, end }: Span, part: number, parts: number, granule: number): Span {
  const unit = split === 'columns' ? 1 : granule;
  const cut = (p: number) =>
    p === parts ? end : Math.min(end, first + Math.round(((end - first) * p) / parts / unit) * unit);
  return { first: cut(part), end: cut(part + 1) };
}

/** The arguments of a phase's function for a span, which thread number `part` carries out. */
export function argumentsOf(
  split: PhaseSplit,
  { first, end }: Span,
  rows: number,
  part: number,
): readonly [number, number, number] {
  return split === 'columns' ? [rows, first, end] : [first, end, part];
}

/** 2mkn per matrix product of a prediction. */
export function inferenceOperations({ layers }: Plan, rows: number): number {
  return layers.reduce((sum, { input_size, units }) => sum + 2 * rows * input_size * units, 0);
}

/** 2mkn per matrix product: three per layer, less the first layer's input gradient. */
export function operationsPerStep({ layers }: Plan, batch: number): number {
  return layers.reduce((sum, { input_size, units }, i) => sum + (i === 0 ? 4 : 6) * batch * input_size * units, 0);
}
