/**
 * A step cut into phases, so that several threads can carry it out: within a phase nobody needs what another one makes,
 * and between two phases everybody waits for the others. Without batch_norm there are two: from the gathered rows to
 * their δ by rows of the batch, then gradients and updates by columns of the weights.
 */
import { type KernelContext, type KernelFunction, type Split, WHOLE } from './kernel.ts';

/** `update` is a stage of its own when gradients are clipped by their norm, which lies between the two. */
export type Stage = 'step' | 'update';

/** Rows take the first row and the one behind the last; columns the rows of the batch and a share, from and to. */
export interface Phase {
  readonly stage: Stage;
  readonly split: Split;
  readonly run: (a: number, b: number, c: number) => void;
}

const parameters = { rows: ['i32', 'i32'], columns: ['i32', 'i32', 'i32'] } as const satisfies Record<Split, unknown>;

/** Exports a function for every run of kernels that are divided in the same way, named `stage/number/split`. */
export function emitPhases({ module }: KernelContext, stage: Stage, kernels: readonly (KernelFunction | null)[]): void {
  const runs: KernelFunction[][] = [];
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
  return Object.entries(exports).flatMap(([name, run]) => {
    const [stage, number, split] = name.split('/');
    if (number === undefined) return [];
    return { stage: stage as Stage, split: split as Split, run: run as Phase['run'] };
  });
}

/** Arguments of a phase for one of `parts` equal parts; rows are cut at multiples of `granule` only. */
export function argumentsOf(
  split: Split,
  { part, parts, rows, granule }: { part: number; parts: number; rows: number; granule: number },
): readonly [number, number, number] {
  if (split === 'columns') return [rows, share(part, parts), share(part + 1, parts)];
  const row = (p: number) => (p === parts ? rows : Math.min(rows, Math.round((rows * p) / parts / granule) * granule));
  return [row(part), row(part + 1), 0];
}

const share = (part: number, parts: number) => Math.floor((WHOLE * part) / parts);
