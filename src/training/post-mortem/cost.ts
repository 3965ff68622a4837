/** What post-mortems cost, so that they can be bounded before they begin: in multiply-adds, never in seconds. */
import type { Plan } from '../../engine/backend.ts';

/** An activation with its derivative takes about as long as so many multiply-adds. */
const perUnit = 30;
/** The reference takes about so many times as long as compiled code. */
export const referenceFactor = 30;

/** The last steps that are shown tensor by tensor, where they can be afforded. */
export const frameCount = 20;

/** One step of training: forward, and twice as much back. */
export function stepCost({ parameter_count, layers }: Plan, batchSize: number): number {
  const units = layers.reduce((sum, layer) => sum + layer.units, 0);
  return 3 * batchSize * (parameter_count + perUnit * units);
}

/** One step as a run computes it, by the back end that its job names. */
export const replayedStepCost = (plan: Plan, batchSize: number, backend: string | null): number =>
  stepCost(plan, batchSize) * (backend === 'reference' ? referenceFactor : 1);
