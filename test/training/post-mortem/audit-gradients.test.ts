import { expect, it } from 'vitest';
import { type AuditRequest, answerAudit } from '../../../src/engine/audit/answer.ts';
import { auditGradients, readAudit } from '../../../src/training/post-mortem/audit-gradients.ts';

/** y = sigmoid(x) of one row, where a sum over the rows and their mean are the same. */
const request: AuditRequest = {
  definition: {
    input_size: 1,
    layers: [{ units: 1, activation: 'sigmoid' }],
    loss: 'binary_cross_entropy',
    precision: 'float64',
  },
  values: { parameters: Float64Array.of(0.5, 0.25), statistics: new Float64Array(0) },
  data: { rows: 1, inputs: Float64Array.of(2), targets: Float64Array.of(1) },
  kind: 'gradients',
  learning_rate: null,
  layers: [],
};
const delta = 1 / (1 + Math.exp(-1.25)) - 1;

it.each([
  ['a right one with what it does not reveal', [{ weights: [[2 * delta]], biases: [delta] }]],
  ['a wrong one', [{ weights: [[-2 * delta]], biases: [-delta] }]],
  ['one that is not finite', [{ weights: [['NaN']], biases: ['-Infinity'] }]],
  ['one that does not fit', [{ weights: [[1, 2, 3]] }]],
])('crosses as text without a change: %s', (_name, layers) => {
  const sent = { ...request, layers };
  expect(readAudit(auditGradients(sent))).toEqual(answerAudit(sent));
});

it('proposes a batch that reveals what a single row hides', () => {
  const { telling } = readAudit(auditGradients({ ...request, layers: [{ weights: [[2 * delta]], biases: [delta] }] }));
  expect(telling?.data.inputs).toBeInstanceOf(Float64Array);
  const names = telling?.apart.map((hypothesis) => hypothesis.map(({ bug }) => bug).join());
  expect(names).toEqual(expect.arrayContaining(['', 'sum_instead_of_mean']));
});
