/** Whether the targets of a data set are classes, and which. */
import type { Column } from './columns.ts';
import type { ClassCount, DatasetColumn, TargetTask } from './dataset.ts';
import { refuseData } from './problems.ts';

/** Whole numbers are taken for classes when there are at most so many different ones. */
const maxGuessedClasses = 20;

/** One target of texts or of few different whole numbers is a class; anything else is a number to be met. */
export function guessTask(columns: readonly Column[], finished: readonly DatasetColumn[], rows: number): TargetTask {
  const targets = finished.filter(({ role }) => role === 'target');
  if (targets.some(({ kind }) => kind === 'text')) return 'classification';
  const [{ distinct }] = targets;
  if (targets.length > 1 || distinct === null || distinct > Math.min(maxGuessedClasses, Math.max(2, rows / 2)))
    return 'regression';
  const { stride, offset, ...column } = columns[columns.length - 1];
  const values = column.values();
  for (let row = 0; row < rows; row += 1) if (!Number.isInteger(values[row * stride + offset])) return 'regression';
  return 'classification';
}

/**
 * The classes in the order of their labels: the sorted texts or numbers of the target. Whole numbers from 0 on keep
 * themselves as labels, so that a class without rows does not renumber the others.
 */
export function classesOf(
  columns: readonly Column[],
  finished: readonly DatasetColumn[],
  rows: number,
  max_classes: number,
): ClassCount[] | null {
  const targets = finished.filter(({ role }) => role === 'target');
  if (targets.length > 1) {
    const texts = targets.find(({ kind }) => kind === 'text');
    if (texts === undefined) return null;
    refuseData(
      'invalid',
      `The target ${JSON.stringify(texts.name)} holds texts; classes are one column, and several targets are numbers.`,
      '?target',
    );
  }
  const { stride, offset, ...column } = columns[columns.length - 1];
  const values = column.values();
  const counts = new Map<number, number>();
  for (let row = 0; row < rows; row += 1) {
    const value = values[row * stride + offset];
    counts.set(value, (counts.get(value) ?? 0) + 1);
    if (counts.size > max_classes) {
      refuseData(
        'limit_exceeded',
        `The target ${JSON.stringify(targets[0].name)} has more than ${max_classes} classes.`,
        '?target',
      );
    }
  }
  const names = targets[0].categories;
  return classValues([...counts.keys()], max_classes).map((value) => ({
    name: names === null ? String(value) : names[value],
    count: counts.get(value) ?? 0,
  }));
}

function classValues(found: readonly number[], max_classes: number): number[] {
  const sorted = [...found].sort((a, b) => a - b);
  const last = sorted[sorted.length - 1];
  const areLabels =
    sorted[0] === 0 && last < Math.min(max_classes, 2 * sorted.length) && sorted.every(Number.isInteger);
  return areLabels ? Array.from({ length: last + 1 }, (_, label) => label) : sorted;
}
