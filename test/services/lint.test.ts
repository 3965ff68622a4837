import { describe, expect, it } from 'vitest';
import type { NetworkDefinition } from '../../src/engine/definition.ts';
import { networkInput } from '../../src/schemas/network.ts';
import { lint, lintRules } from '../../src/services/lint.ts';
import { patched } from '../support/json-patch.ts';

type Rule = keyof typeof lintRules;

const layer = (units: number, activation: string, more = {}) => ({ units, activation, ...more });
const network = (layers: object[], loss: unknown): NetworkDefinition =>
  ({ input_size: 2, layers, loss }) as NetworkDefinition;

const cases: readonly (readonly [Rule, NetworkDefinition, string])[] = [
  ['softmax_on_one_unit', network([layer(1, 'softmax')], 'binary_cross_entropy'), '/layers/0/activation'],
  [
    'softmax_on_one_unit',
    network([layer(1, 'softmax'), layer(2, 'linear')], 'mean_squared_error'),
    '/layers/0/activation',
  ],
  ['softmax_in_hidden_layer', network([layer(3, 'softmax'), layer(1, 'linear')], 'huber'), '/layers/0/activation'],
  [
    'categorical_loss_without_softmax',
    network([layer(3, 'sigmoid')], 'categorical_cross_entropy'),
    '/layers/0/activation',
  ],
  [
    'categorical_loss_without_softmax',
    network([layer(4, 'relu'), layer(3, 'sigmoid')], { name: 'sparse_categorical_cross_entropy' }),
    '/layers/1/activation',
  ],
  [
    'categorical_loss_on_one_unit',
    network([layer(1, 'sigmoid')], { name: 'categorical_cross_entropy', reduction: 'sum' }),
    '/loss',
  ],
  ['targets_beyond_outputs', network([layer(1, 'sigmoid')], 'hinge'), '/layers/0/activation'],
  ['targets_beyond_outputs', network([layer(1, 'sigmoid')], 'poisson'), '/layers/0/activation'],
  ['relu_on_output', network([layer(1, 'relu')], 'mean_squared_error'), '/layers/0/activation'],
  [
    'zeros_in_hidden_layer',
    network([layer(3, 'relu', { initializer: 'zeros' }), layer(1, 'linear')], 'huber'),
    '/layers/0/initializer',
  ],
];

describe('the lint', () => {
  it.each(cases)('%s: warns, and its patch mends exactly that', (code, definition, pointer) => {
    expect(networkInput.safeParse(definition).error).toBeUndefined();
    const warning = lint(definition).find((found) => found.code === code);
    expect(warning).toMatchObject({ pointer, detail: expect.stringMatching(/^[A-Za-z].*\.$/) });
    const mended = patched(definition, warning!.patch);
    expect(networkInput.safeParse(mended).error).toBeUndefined();
    expect(lint(mended)).toEqual([]);
  });

  it('covers every rule with a case', () => {
    expect([...new Set(cases.map(([code]) => code))].sort()).toEqual(Object.keys(lintRules).sort());
  });

  it('keeps the reduction of a loss that it replaces', () => {
    const definition = network([layer(1, 'sigmoid')], { name: 'categorical_cross_entropy', reduction: 'sum' });
    expect(patched(definition, lint(definition)[0].patch).loss).toEqual({
      name: 'binary_cross_entropy',
      reduction: 'sum',
    });
  });

  it.each([
    ['sigmoid and binary cross-entropy', network([layer(1, 'sigmoid')], 'binary_cross_entropy')],
    ['softmax and binary cross-entropy', network([layer(2, 'softmax')], 'binary_cross_entropy')],
    ['relu and a loss for counts', network([layer(1, 'softplus')], 'poisson')],
    ['tanh and hinge', network([layer(1, 'tanh')], 'hinge')],
    ['zeros at the output', network([layer(1, 'linear', { initializer: 'zeros' })], 'huber')],
  ])('says nothing about %s', (_what, definition) => expect(lint(definition)).toEqual([]));
});
