import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { MetricContext } from '../../src/training/metric-context.ts';
import {
  accumulate,
  better,
  type MetricName,
  type MetricSpec,
  metricProblem,
  metrics,
  seriesName,
} from '../../src/training/metrics.ts';
import { type TargetKind, targetKind, targetKinds } from '../../src/training/target-kind.ts';

type Numbers = readonly number[];
const floats = (values: Numbers) => Float64Array.from(values);

function measureAll(specs: readonly MetricSpec[], context: MetricContext, outputs: Numbers, targets: Numbers) {
  const collected = accumulate(specs, context);
  collected.add(floats(outputs), floats(targets), outputs.length / context.output_size);
  return collected;
}

const measure = (spec: MetricSpec, context: MetricContext, outputs: Numbers, targets: Numbers): number | null =>
  measureAll([spec], context, outputs, targets).finish()[seriesName(spec)];

const binary: MetricContext = { target_kind: 'indicators', output_size: 1 };
const labels = (output_size: number): MetricContext => ({ target_kind: 'labels', output_size });
const values = (output_size: number): MetricContext => ({ target_kind: 'values', output_size });

/** Three classes, six rows; predicted 0 0 1 2 2 2 against true 0 1 1 2 0 2. */
const outputs3 = [0.8, 0.1, 0.1, 0.6, 0.3, 0.1, 0.2, 0.7, 0.1, 0.1, 0.2, 0.7, 0.3, 0.2, 0.5, 0.1, 0.1, 0.8];
const labels3 = [0, 1, 1, 2, 0, 2];

describe('classification by labels', () => {
  it('counts the rows whose largest output is their class', () => {
    expect(measure('accuracy', labels(3), outputs3, labels3)).toBe(4 / 6);
  });

  it('takes the plain mean of precision, recall and F1 over the classes', () => {
    // Precision 1/2, 1, 2/3; recall 1/2, 1/2, 1; F1 1/2, 2/3, 4/5. Three additions and a division: 4 roundings.
    const mean = (a: number, b: number, c: number) => (a + b + c) / 3;
    expect(measure('precision', labels(3), outputs3, labels3)).toBe(mean(1 / 2, 1, 2 / 3));
    expect(measure('recall', labels(3), outputs3, labels3)).toBe(mean(1 / 2, 1 / 2, 1));
    expect(measure('f1', labels(3), outputs3, labels3)).toBe(mean(1 / 2, 2 / 3, 4 / 5));
  });

  it('leaves classes out of the mean that occur in neither targets nor predictions', () => {
    const widened = [0, 1, 2, 3, 4, 5].flatMap((row) => [...outputs3.slice(row * 3, row * 3 + 3), 0, 0]);
    expect(measure('f1', labels(5), widened, labels3)).toBe(measure('f1', labels(3), outputs3, labels3));
  });

  it('gives the confusion matrix with the scores of each class', () => {
    const table = measureAll(['confusion_matrix'], labels(3), outputs3, labels3).confusionMatrix();
    expect(table).toEqual({
      matrix: [
        [1, 0, 1],
        [1, 1, 0],
        [0, 0, 2],
      ],
      unclassified: 0,
      per_class: [
        { precision: 1 / 2, recall: 1 / 2, f1: 1 / 2, support: 2 },
        { precision: 1, recall: 1 / 2, f1: 2 / 3, support: 2 },
        { precision: 2 / 3, recall: 1, f1: 4 / 5, support: 2 },
      ],
    });
  });

  it('ranks equal outputs by class number in accuracy and in top-k', () => {
    expect(measure('accuracy', labels(3), [0.5, 0.5, 0], [1])).toBe(0);
    expect(measure({ name: 'top_k_accuracy', k: 1 }, labels(3), [0.5, 0.5, 0], [1])).toBe(0);
    expect(measure({ name: 'top_k_accuracy', k: 2 }, labels(3), [0.5, 0.5, 0], [1])).toBe(1);
  });

  it('top-1 is the accuracy and top-K of K classes is 1', () => {
    expect(measure({ name: 'top_k_accuracy', k: 1 }, labels(3), outputs3, labels3)).toBe(4 / 6);
    expect(measure({ name: 'top_k_accuracy', k: 2 }, labels(3), outputs3, labels3)).toBe(1);
    expect(measure({ name: 'top_k_accuracy', k: 9 }, labels(3), outputs3, labels3)).toBe(1);
  });

  it('counts a row with a NaN output as wrong and as unclassified', () => {
    const outputs = [...outputs3, Number.NaN, 0.1, 0.9];
    expect(measure('accuracy', labels(3), outputs, [...labels3, 2])).toBe(4 / 7);
    expect(measure({ name: 'top_k_accuracy', k: 3 }, labels(3), outputs, [...labels3, 2])).toBe(6 / 7);
    const table = measureAll(['confusion_matrix'], labels(3), outputs, [...labels3, 2]).confusionMatrix();
    expect(table?.unclassified).toBe(1);
    expect(table?.per_class[2].recall).toBe(2 / 3);
  });
});

describe('targets with one output per class', () => {
  const oneHot = labels3.flatMap((label) => [0, 1, 2].map((k) => (k === label ? 1 : 0)));

  it.each(['accuracy', 'precision', 'recall', 'f1', 'roc_auc', 'log_loss', 'top_k_accuracy'] as const)(
    '%s is that of the labels',
    (name) => {
      const context: MetricContext = { target_kind: 'classes', output_size: 3 };
      expect(measure(name, context, outputs3, oneHot)).toBe(measure(name, labels(3), outputs3, labels3));
    },
  );
});

describe('one output between 0 and 1', () => {
  const outputs = [0.9, 0.5, 0.4, 0.2, 0.7];
  const targets = [1, 0, 1, 0, 1];

  it('decides at 0.5, which is positive', () => {
    expect(measure('accuracy', binary, outputs, targets)).toBe(3 / 5);
  });

  it('takes precision, recall and F1 of the positive class', () => {
    expect(measure('precision', binary, outputs, targets)).toBe(2 / 3);
    expect(measure('recall', binary, outputs, targets)).toBe(2 / 3);
    expect(measure('f1', binary, outputs, targets)).toBe(4 / 6);
  });

  it('has the confusion matrix of the negative and the positive class', () => {
    expect(measureAll(['confusion_matrix'], binary, outputs, targets).confusionMatrix()?.matrix).toEqual([
      [1, 1],
      [1, 2],
    ]);
  });

  it('scores 0, not NaN, where no row is or is said to be positive', () => {
    for (const name of ['precision', 'recall', 'f1'] as const)
      expect(measure(name, binary, [0.1, 0.2], [0, 0])).toBe(0);
  });

  it('decides at 0 between −1 and 1', () => {
    expect(measure('accuracy', { target_kind: 'signs', output_size: 1 }, [0.3, -0.2, -3, 0.1], [1, 1, -1, -1])).toBe(
      0.5,
    );
  });
});

describe('several outputs that each decide for themselves', () => {
  const context: MetricContext = { target_kind: 'indicators', output_size: 2 };
  const outputs = [0.9, 0.8, 0.1, 0.7, 0.6, 0.2];
  const targets = [1, 0, 0, 1, 1, 1];

  it('counts outputs, not rows', () => {
    expect(measure('accuracy', context, outputs, targets)).toBe(4 / 6);
  });

  it('takes the mean of the scores of each output', () => {
    expect(measure('precision', context, outputs, targets)).toBe((1 + 1 / 2) / 2);
    expect(measure('recall', context, outputs, targets)).toBe((1 + 1 / 2) / 2);
  });

  it('has no confusion matrix, and says so', () => {
    expect(metricProblem('confusion_matrix', context)).toContain('exclude each other');
  });

  it('a NaN output is wrong whatever its target', () => {
    expect(measure('accuracy', context, [Number.NaN, Number.NaN], [0, 1])).toBe(0);
  });
});

describe('the area under the ROC curve', () => {
  const area = (outputs: Numbers, targets: Numbers) => measure('roc_auc', binary, outputs, targets);

  it('is the share of pairs in order', () => {
    // sklearn.metrics.roc_auc_score([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]) == 0.75
    expect(area([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])).toBe(0.75);
  });

  it('counts equal scores half: all equal is 0.5', () => {
    expect(area([0.3, 0.3, 0.3], [0, 1, 1])).toBe(0.5);
    expect(area([0.5, 0.5, 0.1, 0.9], [1, 0, 0, 1])).toBe((0.5 + 1 + 1 + 1) / 4);
  });

  it('is undefined when only one class occurs, and NaN when a score is NaN', () => {
    expect(area([0.1, 0.2], [1, 1])).toBeNull();
    expect(area([0.1, 0.2], [0, 0])).toBeNull();
    expect(area([0.1, Number.NaN], [0, 1])).toBeNaN();
  });

  it('of each class is that of the class against the rest', () => {
    // Class 0 scores 0.8 and 0.3 against 0.6 0.2 0.1 0.1 (7 of 8 pairs in order); class 1 scores 0.3 and 0.7
    // against 0.1 0.2 0.2 0.1 (8 of 8); class 2 scores 0.7 and 0.8 against 0.1 0.1 0.1 0.5 (8 of 8).
    const collected = measureAll(['roc_auc'], labels(3), outputs3, labels3);
    expect(collected.areas()).toEqual([7 / 8, 1, 1]);
    expect(collected.finish()).toEqual({ roc_auc: (7 / 8 + 1 + 1) / 3 });
    expect(measureAll(['roc_auc'], labels(3), outputs3.slice(0, 3), [0]).areas()).toEqual([null, null, null]);
    expect(measureAll(['accuracy'], labels(3), outputs3, labels3).areas()).toBeNull();
  });

  it('of several classes leaves out a class that no row or every row has', () => {
    const twoOfThree = [0.7, 0.2, 0.1, 0.3, 0.6, 0.1, 0.5, 0.4, 0.1];
    expect(measure('roc_auc', labels(3), twoOfThree, [0, 1, 0])).toBe(1);
  });

  it('is the midrank formula, whatever the scores and however many are equal', () => {
    const rows = fc.array(fc.tuple(fc.integer({ min: 0, max: 6 }), fc.integer({ min: 0, max: 1 })), {
      minLength: 2,
      maxLength: 40,
    });
    fc.assert(
      fc.property(rows, (pairs) => {
        const positives = pairs.filter(([, y]) => y === 1);
        const negatives = pairs.filter(([, y]) => y === 0);
        fc.pre(positives.length > 0 && negatives.length > 0);
        const midrank = ([score]: readonly number[]) =>
          pairs.filter(([other]) => other < score).length + (pairs.filter(([other]) => other === score).length + 1) / 2;
        const rankSum = positives.reduce((sum, pair) => sum + midrank(pair), 0);
        const wins = rankSum - (positives.length * (positives.length + 1)) / 2;
        const got = area(
          pairs.map(([score]) => score),
          pairs.map(([, y]) => y),
        );
        // Wins are exact; two divisions against one by an exact product: 3 roundings of a number ≤ 1.
        expect(Math.abs(got! - wins / (positives.length * negatives.length))).toBeLessThanOrEqual(3 * 2 ** -53);
      }),
    );
  });
});

describe('the log loss', () => {
  it('is the mean of −log of what the truth was given', () => {
    expect(measure('log_loss', labels(2), [0.25, 0.75, 0.5, 0.5], [1, 0])).toBe(-(Math.log(0.75) + Math.log(0.5)) / 2);
    expect(measure('log_loss', binary, [0.25], [0])).toBe(-Math.log(0.75));
  });

  it('reads logarithms as they are', () => {
    expect(measure('log_loss', { ...labels(2), log_outputs: true }, [-3, -0.05], [0])).toBe(3);
  });

  it('is Infinity when the truth was given 0, and costs nothing when the impossible did not happen', () => {
    expect(measure('log_loss', binary, [0], [1])).toBe(Number.POSITIVE_INFINITY);
    expect(measure('log_loss', binary, [0, 1], [0, 1])).toBe(0);
  });
});

describe('regression', () => {
  const outputs = [2.5, 0, 2, 8];
  const targets = [3, -0.5, 2, 7];

  it('measures errors in the unit of the targets', () => {
    expect(measure('mse', values(1), outputs, targets)).toBe(1.5 / 4);
    expect(measure('rmse', values(1), outputs, targets)).toBe(Math.sqrt(1.5 / 4));
    expect(measure('mae', values(1), outputs, targets)).toBe(2 / 4);
  });

  it('R² compares with the mean of the targets', () => {
    // sklearn.metrics.r2_score([3, -0.5, 2, 7], [2.5, 0.0, 2, 8]) = 0.9486081370449679; ten operations on it.
    expect(Math.abs(measure('r2', values(1), outputs, targets)! - 0.9486081370449679)).toBeLessThanOrEqual(
      10 * 2 ** -53,
    );
  });

  it('R² is the plain mean over the outputs', () => {
    // First output explained entirely, second predicted as its mean.
    expect(measure('r2', values(2), [1, 2, 3, 2], [1, 1, 3, 3])).toBe(0.5);
  });

  it('R² of targets without variance is 1 when they are met and 0 when not', () => {
    expect(measure('r2', values(1), [2, 2], [2, 2])).toBe(1);
    expect(measure('r2', values(1), [2, 3], [2, 2])).toBe(0);
    expect(measure('r2', values(1), [Number.NaN, 3], [2, 2])).toBeNaN();
  });

  it('R² of a large offset does not lose the variance', () => {
    const far = [0, 1, 2, 3].map((x) => x + 1e9);
    expect(
      measure(
        'r2',
        values(1),
        far.map((x, i) => x + (i % 2 === 0 ? 0.5 : -0.5)),
        far,
      ),
    ).toBe(1 - 1 / 5);
  });

  it('R² of fewer than two rows is undefined', () => {
    expect(measure('r2', values(1), [1], [1])).toBeNull();
  });

  it.each(['mse', 'rmse', 'mae', 'r2'] as const)('%s of a NaN output is NaN', (name) => {
    expect(measure(name, values(1), [Number.NaN, 1], [0, 1])).toBeNaN();
  });
});

describe('every metric', () => {
  const names = Object.keys(metrics) as MetricName[];
  const scalar = names.filter((name) => better(name) !== 'none');
  const kindsOf = (name: MetricName): readonly TargetKind[] => metrics[name].kinds;

  it.each(scalar)('%s is undefined before the first row', (name) => {
    expect(accumulate([name], { target_kind: kindsOf(name)[0], output_size: 2 }).finish()).toEqual({
      [seriesName(name)]: null,
    });
  });

  it.each(scalar)('%s does not depend on how the rows are cut into batches', (name) => {
    const context: MetricContext = { target_kind: kindsOf(name).at(-1)!, output_size: 1 };
    const outputs = floats([0.9, 0.5, 0.4, 0.2, 0.7, 0.5]);
    const targets = floats(context.target_kind === 'labels' ? [0, 0, 0, 0, 0, 0] : [1, 0, 1, 0, 1, 1]);
    const whole = accumulate([name], context);
    whole.add(outputs, targets, 6);
    const parts = accumulate([name], context);
    for (const [from, to] of [
      [0, 1],
      [1, 4],
      [4, 6],
    ])
      parts.add(outputs.subarray(from, to), targets.subarray(from, to), to - from);
    expect(parts.finish()).toEqual(whole.finish());
  });

  it.each(
    names.flatMap((name) =>
      targetKinds.filter((kind) => !kindsOf(name).includes(kind)).map((kind) => [name, kind] as const),
    ),
  )('%s refuses %s targets with a reason', (name, target_kind) => {
    expect(() => accumulate([name], { target_kind, output_size: 2 })).toThrow(`${name} is defined for`);
  });

  it('is named after its option where it has one', () => {
    expect(seriesName({ name: 'top_k_accuracy', k: 3 })).toBe('top_3_accuracy');
    expect(seriesName('top_k_accuracy')).toBe('top_5_accuracy');
    expect(seriesName('roc_auc')).toBe('roc_auc');
  });

  it('several at once come by name, tables apart', () => {
    const collected = measureAll(
      ['accuracy', 'confusion_matrix', { name: 'top_k_accuracy', k: 2 }],
      labels(3),
      outputs3,
      labels3,
    );
    expect(collected.finish()).toEqual({ accuracy: 4 / 6, top_2_accuracy: 1 });
    expect(collected.confusionMatrix()).not.toBeNull();
    expect(measureAll(['accuracy'], labels(3), outputs3, labels3).confusionMatrix()).toBeNull();
  });

  it('a confusion matrix is refused for more classes than its squared size allows', () => {
    expect(metricProblem('confusion_matrix', labels(1000))).toBeNull();
    expect(metricProblem('confusion_matrix', labels(1001))).toContain('1000 classes');
  });
});

describe('the kind of targets', () => {
  it.each([
    ['sparse_categorical_cross_entropy', 3, [0, 2, 1], 'labels'],
    ['categorical_cross_entropy', 2, [0.3, 0.7], 'classes'],
    ['binary_cross_entropy', 1, [0, 1, 1], 'indicators'],
    ['binary_cross_entropy', 2, [0, 1, 1, 0], 'classes'],
    ['binary_cross_entropy', 2, [0, 0, 1, 1], 'indicators'],
    ['hinge', 1, [-1, 1], 'signs'],
    ['hinge', 3, [-1, -1, 1, 1, -1, -1], 'classes'],
    ['mean_squared_error', 1, [0, 1, 1, 0], 'indicators'],
    ['mean_squared_error', 3, [0, 0, 1, 1, 0, 0], 'classes'],
    ['mean_squared_error', 1, [-1, 1], 'signs'],
    ['mean_squared_error', 1, [0, 1, 2], 'values'],
    ['mean_squared_error', 2, [0, 0, 1, 2], 'values'],
  ] as const)('of %s with %i outputs and %j are %s', (loss, outputs, targets, kind) => {
    expect(targetKind(loss, outputs, floats(targets))).toBe(kind);
  });
});
