/** How good a model is on rows, as evaluations and test reports say it. */
import { z } from 'zod';
import { finiteOrNot } from './common.ts';

const classScores = z
  .strictObject({
    name: z.string(),
    precision: finiteOrNot,
    recall: finiteOrNot,
    f1: finiteOrNot,
    support: z.int().meta({ description: 'Rows of this class.' }),
    roc_auc: finiteOrNot.nullable().optional().meta({
      description: 'Of this class against the rest, when `roc_auc` was asked for; null when it has all rows or none.',
    }),
  })
  .meta({ id: 'ClassScores', description: 'How well one class is told from the others; 0/0 counts as 0.' });

const confusionMatrix = z
  .strictObject({
    matrix: z
      .array(z.array(z.int()))
      .meta({ description: '[true class][predicted class], in the order of `per_class`.' }),
    unclassified: z.int().meta({ description: 'Rows with a NaN output.' }),
    per_class: z.array(classScores).meta({ description: 'In the order of the labels.' }),
  })
  .meta({ id: 'ConfusionMatrix', description: 'Counts of rows by true and predicted class.' });

export const judgementShape = {
  rows: z.int(),
  loss: finiteOrNot.meta({ description: 'Mean loss, in inference mode, without l1 and l2 terms and without weights.' }),
  metrics: z
    .record(z.string(), finiteOrNot.nullable())
    .meta({ description: 'By name; null where the rows leave it undefined, as roc_auc when all are of one class.' }),
  confusion_matrix: confusionMatrix.nullable(),
};

const judgement = z.strictObject(judgementShape);
export type JudgementView = z.output<typeof judgement>;
