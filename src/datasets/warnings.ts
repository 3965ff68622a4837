/** What about a data set may not be meant. */
import type { ClassCount, DatasetColumn, DatasetWarning } from './dataset.ts';

/** Classes are unbalanced when the largest has more than so many times the rows of the smallest. */
const imbalance = 10;

export function warningsOf(
  columns: readonly DatasetColumn[],
  classes: readonly ClassCount[] | null,
  dropped: number,
): DatasetWarning[] {
  const warnings: DatasetWarning[] = [];
  for (const { name, role, constant, missing, filled_with } of columns) {
    if (constant) {
      const detail =
        role === 'target'
          ? 'Every row has the same target: there is nothing to learn.'
          : 'Every row has the same value: the column tells nothing.';
      warnings.push({ code: 'constant_column', column: name, detail });
    }
    if (filled_with !== null) {
      warnings.push({
        code: 'missing_filled',
        column: name,
        detail: `${missing} missing values are now ${JSON.stringify(filled_with)}.`,
      });
    }
  }
  if (dropped > 0)
    warnings.push({ code: 'rows_dropped', column: null, detail: `${dropped} rows with missing values were left out.` });
  const counts = (classes ?? []).map(({ count }) => count).filter((count) => count > 0);
  const [smallest, largest] = [Math.min(...counts), Math.max(...counts)];
  if (counts.length > 1 && largest > imbalance * smallest) {
    const detail = `The largest class has ${largest} rows, the smallest ${smallest}; accuracy says little, look at f1 or roc_auc.`;
    warnings.push({ code: 'imbalanced_classes', column: columns[columns.length - 1].name, detail });
  }
  return warnings;
}
