/** Gradient audits that take too long for the main thread; their answers cross as text. */
import { type AuditAnswer, type AuditRequest, answerAudit } from '../../engine/audit/answer.ts';

/** JSON has neither NaN nor typed arrays. */
export function auditGradients(request: AuditRequest): string {
  return JSON.stringify(answerAudit(request), (_name, value) => {
    if (typeof value === 'number' && !Number.isFinite(value)) return String(value);
    return value instanceof Float64Array ? [...value] : value;
  });
}

const notFinite: ReadonlySet<unknown> = new Set(['NaN', 'Infinity', '-Infinity']);

export function readAudit(text: string): AuditAnswer {
  const { telling, ...answer } = JSON.parse(text, (_name, value) => (notFinite.has(value) ? Number(value) : value));
  if (telling === null) return { ...answer, telling };
  const { inputs, targets, rows } = telling.data;
  const data = { rows, inputs: Float64Array.from(inputs), targets: Float64Array.from(targets) };
  return { ...answer, telling: { ...telling, data } };
}
