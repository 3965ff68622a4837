/** What a model is worth on rows, as the wire says it: with the names of its classes. */
import type { Plan } from '../engine/backend.ts';
import { toWire } from '../schemas/common.ts';
import type { JudgementView } from '../schemas/judgement.ts';
import { classNames } from '../training/class-names.ts';
import type { Judgement } from '../training/evaluation.ts';
import type { TargetKind } from '../training/target-kind.ts';

/** A model's outputs, and what the data set that it was trained on calls its classes. */
export interface Judged {
  readonly plan: Plan;
  readonly target_kind: TargetKind;
  readonly classes: readonly string[] | undefined;
}

export function wireJudgement(
  { loss, metrics, confusion_matrix, areas, rows }: Judgement & { readonly rows: number },
  { plan, target_kind, classes }: Judged,
): JudgementView {
  const names = classNames({ target_kind, output_size: plan.output_size }, classes) ?? [];
  const wire = (value: number | null) => (value === null ? null : toWire(value));
  return {
    rows,
    loss: toWire(loss),
    metrics: Object.fromEntries(Object.entries(metrics).map(([name, value]) => [name, wire(value)])),
    confusion_matrix: confusion_matrix && {
      matrix: confusion_matrix.matrix.map((row) => [...row]),
      unclassified: confusion_matrix.unclassified,
      per_class: confusion_matrix.per_class.map((scores, label) => ({
        name: names[label],
        ...scores,
        // One output tells two classes apart by one curve.
        ...(areas && { roc_auc: wire(areas.length === 1 ? areas[0] : areas[label]) }),
      })),
    },
  };
}
