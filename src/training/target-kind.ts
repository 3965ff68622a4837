/** What the targets of a network mean, which decides the metrics and the preprocessing that make sense for them. */
import type { FloatArray } from '../engine/backend.ts';
import { type LossSpec, resolveLoss } from '../engine/losses.ts';

/**
 * `labels`: one class number per row. `classes`: one output per class, the largest target is the class.
 * `indicators`: every output decides for itself between 0 and 1. `signs`: the same between −1 and +1.
 * `values`: numbers to be met.
 */
export const targetKinds = ['labels', 'classes', 'indicators', 'signs', 'values'] as const;
export type TargetKind = (typeof targetKinds)[number];

/**
 * The kind of a set of targets: the loss decides where it can, else the numbers do. Decide it once, on the training
 * rows: a validation set of another mixture must not be measured differently.
 * @param targets rows × output_size, or one label per row for a sparse loss
 */
export function targetKind(loss: LossSpec, outputSize: number, targets: FloatArray): TargetKind {
  const domain = resolveLoss(loss).loss.entry.target_domain;
  if (domain.kind === 'label') return 'labels';
  if (domain.kind === 'distribution') return 'classes';
  if (outputSize > 1 && isOneOfK(targets, outputSize)) return 'classes';
  if (domain.kind === 'interval' && domain.minimum === 0 && domain.maximum === 1) return 'indicators';
  if (targets.every((y) => y === -1 || y === 1)) return 'signs';
  return targets.every((y) => y === 0 || y === 1) ? 'indicators' : 'values';
}

/** Whether each row has exactly one 1 and otherwise zeros (or −1, as hinge writes it). */
function isOneOfK(targets: FloatArray, outputSize: number): boolean {
  for (let start = 0; start < targets.length; start += outputSize) {
    let ones = 0;
    for (let i = start; i < start + outputSize; i += 1) {
      const y = targets[i];
      if (y === 1) ones += 1;
      else if (y !== 0 && y !== -1) return false;
    }
    if (ones !== 1) return false;
  }
  return true;
}
