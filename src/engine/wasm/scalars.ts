/** The numbers that pass between a compiled step and the back end: where kernels and JavaScript find them. */
import type { Optimizer } from '../optimizers.ts';
import type { Resolved } from '../options.ts';
import { dataParts } from './data-memory.ts';
import type { NetworkLayout } from './layout.ts';

/**
 * `scale`: of the reduction, for the rows of this batch. `rows`: their number. `unbias`: rows/(rows − 1).
 * `clip_factor`: of the gradients, under a global norm.
 */
const ownScalars = ['scale', 'rows', 'unbias', 'clip_factor'] as const;

/** Address of a number of the network's precision, named as the optimizer's `step` names it or as above. */
export function scalarOffset(
  layout: Pick<NetworkLayout, 'scalars' | 'optimizerScalars' | 'bytesPerNumber'>,
  name: string,
): number {
  const index = [...ownScalars, ...layout.optimizerScalars].indexOf(name);
  if (index < 0) throw new RangeError(`no scalar ${name}`);
  return layout.scalars + index * layout.bytesPerNumber;
}

/** Addresses of the data set, each in its memory, and what keys the dropout masks: seed and step as two words each. */
const words = [...dataParts, 'seed_low', 'seed_high', 'step_low', 'step_high'] as const;

/** Address of a 32-bit word. */
export function wordOffset(layout: Pick<NetworkLayout, 'words'>, name: (typeof words)[number]): number {
  return layout.words + 4 * words.indexOf(name);
}

/** `loss`, `penalty`: vectors of a number of the network's precision. `squares`: Σg² in float64. `check`: a vector, all 0 if all is finite. */
const results = ['loss', 'penalty', 'squares', 'check'] as const;

export function resultOffset(layout: Pick<NetworkLayout, 'results'>, name: (typeof results)[number]): number {
  return layout.results + 16 * results.indexOf(name);
}

/** Names of the numbers that the optimizer computes once per step. */
export function scalarNames({ entry, options }: Resolved<Optimizer>): readonly string[] {
  return Object.keys(entry.step(options, Float64Array.from(Object.values(entry.running)), 1));
}
