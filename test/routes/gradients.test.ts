import { describe, expect, it } from 'vitest';
import {
  gradientAuditView,
  gradientCheckView,
  gradientExamples,
  gradientsView,
  selfTestView,
} from '../../src/schemas/gradients.ts';
import { useApp } from '../support/app.ts';

const running = useApp({ MAX_GRADIENT_WORK: '100000000' });
const { network, parameters, data } = gradientExamples.check.seed;
const exercise = { network, parameters, data };
const explainBody = (include: readonly string[] = []) => ({ ...exercise, include });

const post = (path: string, body: object) => running.request.post(`/v1/${path}`).send(body);

async function trueGradients(body: object = exercise) {
  const answer = await post('gradients', body);
  expect(answer.status).toBe(200);
  return answer.body.gradients.layers as { weights: number[][]; biases: number[] }[];
}

const transposed = (matrix: readonly number[][]) => matrix[0].map((_, column) => matrix.map((row) => row[column]));

describe('explaining gradients', () => {
  it('answers loss, outputs, gradients and what was asked for, each with shape and formula', async () => {
    const { status, body } = await post('gradients', explainBody(['pre_activations', 'deltas', 'input_gradients']));
    expect(status).toBe(200);
    gradientsView.parse(body);
    expect(body.outputs).toHaveLength(3);
    expect(body.activations).toBeUndefined();
    expect(body.deltas[0]).toMatchObject({ layer: 1, shape: [3, 3], formula: 'δ1 = (W2ᵀ·δ2) ∘ f1′(z1)' });
    // x = (17, 3, 5): 0.04·3 + 0.05·5, exact but for the rounding of two products and a sum.
    expect(Math.abs(body.pre_activations[0].values[0][0] - 0.37)).toBeLessThan(4 * Number.EPSILON);
    expect(body.input_gradients.shape).toEqual([3, 3]);
  });

  it('the global norm is that of all gradients together', async () => {
    const { body } = await post('gradients', exercise);
    const all: number[] = body.gradients.layers.flatMap((layer: { weights: number[][]; biases: number[] }) => [
      ...layer.weights.flat(),
      ...layer.biases,
    ]);
    expect(body.global_norm).toBe(Math.sqrt(all.reduce((sum, g) => sum + g * g, 0)));
  });

  it('writes a derivation in Markdown with the numbers in it', async () => {
    const answer = await post('gradients', exercise).set('accept', 'text/markdown');
    expect(answer.headers['content-type']).toContain('text/markdown');
    expect(answer.text).toContain('z1 = W1·x + b1');
    expect(answer.text).toContain('0.37');
    expect(answer.text).toContain('**Loss = ');
  });

  it('reads data features first, and says so', async () => {
    const wide = { inputs: [...data.inputs, [1, 2, 3]], targets: [...data.targets, [0, 0]] };
    const turned = { inputs: transposed(wide.inputs), targets: transposed(wide.targets) };
    const given = await post('gradients', { ...exercise, data: wide });
    const read = await post('gradients', { ...exercise, data: turned });
    expect(read.body.loss).toBe(given.body.loss);
    expect(read.body.notes).toEqual(['The data were read features first, as [features][samples].']);
  });

  it('refuses parameters of another shape with their place', async () => {
    const layers = parameters.layers.map((layer, i) => (i === 1 ? { ...layer, biases: [0, 0] } : layer));
    const { status, body } = await post('gradients', { ...exercise, parameters: { layers } });
    expect(status).toBe(422);
    expect(body.errors).toMatchObject([{ pointer: '/parameters/layers/1/biases', code: 'shape_mismatch' }]);
  });

  it('refuses more work than the limit, by name', async () => {
    const units = [
      { units: 3000, activation: 'tanh' },
      { units: 2, activation: 'sigmoid' },
    ];
    const big = { network: { ...network, layers: units }, data };
    const { status, body } = await post('gradient-checks', big);
    expect(status).toBe(422);
    expect(body.errors[0].limit).toMatchObject({ name: 'max_gradient_work', value: 100_000_000 });
  });
});

describe('checking gradients', () => {
  it('holds every tensor against central differences', async () => {
    const { status, body } = await post('gradient-checks', gradientExamples.check.seed);
    expect(status).toBe(200);
    gradientCheckView.parse(body);
    expect(body.passed).toBe(true);
    expect(body.tensors).toHaveLength(6);
  });

  it('serves a self-test of every defined activation and loss', async () => {
    const { body } = await running.request.get('/v1/engine/self-test');
    selfTestView.parse(body);
    expect(body.passed).toBe(true);
    expect(body.results.length).toBeGreaterThan(80);
    for (const { relative_error } of body.results) expect(relative_error).toBeLessThan(1e-7);
  });
});

describe('auditing gradients', () => {
  const audit = (yours: object, rest: object = exercise) => post('gradient-audits', { ...rest, yours });

  it('never accuses right gradients, also as the transpose and rounded to four digits', async () => {
    const layers = await trueGradients();
    const rounded = layers.map(({ weights, biases }) => ({
      weights: transposed(weights).map((row) => row.map((g) => Number(g.toPrecision(4)))),
      biases: biases.map((g) => Number(g.toPrecision(4))),
    }));
    for (const sent of [layers, rounded]) {
      const { status, body } = await audit({ gradients: { layers: sent } });
      expect(status).toBe(200);
      gradientAuditView.parse(body);
      expect(body).toMatchObject({ verdict: 'correct', match: null, first_difference: null });
    }
  });

  it('recognises the wrong derivative of the seed question', async () => {
    const { status, body } = await post('gradient-audits', gradientExamples.audit.seed);
    expect(status).toBe(200);
    expect(body).toMatchObject({ verdict: 'bug_found', match: { bug: 'derivative_on_pre_activation' } });
    expect(body.precision).toMatchObject({ kind: 'rounded', significant_digits: 5 });
  });

  it('names a bug with its explanation, its usual line and its mending', async () => {
    const layers = (await trueGradients()).map(({ weights, biases }) => ({
      weights,
      biases: biases.map((g) => 3 * g),
    }));
    const { body } = await audit({ gradients: { layers } });
    gradientAuditView.parse(body);
    expect(body.verdict).toBe('bug_found');
    expect(body.match).toMatchObject({ bug: 'bias_not_averaged' });
    expect(body.match.fix).toContain('divide');
    expect(body.first_difference).toMatchObject({ layer: 3, tensor: 'biases' });
    expect(body.indistinguishable).toBe(false);
  });

  it('finds a bug in the parameters after a step', async () => {
    const gradients = await trueGradients();
    const layers = parameters.layers.map(({ weights, biases }, l) => ({
      weights: weights.map((row, i) => row.map((w, j) => w + 0.5 * gradients[l].weights[i][j])),
      biases: biases.map((b, i) => b + 0.5 * gradients[l].biases[i]),
    }));
    const { body } = await audit({ parameters_after: { layers }, learning_rate: 0.5 });
    expect(body.match).toMatchObject({ bug: 'wrong_sign' });
  });

  it('lists all bugs that give the same numbers, and asks for the tensors that would tell them apart', async () => {
    const [, , { biases }] = await trueGradients();
    const layers = [null, null, { biases: biases.map((g) => 3 * g) }];
    const { body } = await audit({ gradients: { layers } });
    gradientAuditView.parse(body);
    const bugs = body.candidates.map(({ bug }: { bug: string }) => bug);
    expect(bugs).toEqual(expect.arrayContaining(['sum_instead_of_mean', 'bias_not_averaged']));
    expect(body).toMatchObject({ indistinguishable: true, telling_data: null });
    expect(body.notes.join()).toContain('send the other tensors');
  });

  it('matches nothing to an unknown mistake', async () => {
    const layers = (await trueGradients()).map(({ weights }) => ({
      weights: weights.map((row) => row.map((g) => 1.3 * g)),
    }));
    const { body } = await audit({ gradients: { layers } });
    expect(body).toMatchObject({ verdict: 'no_match', match: null, first_difference: { layer: 3, tensor: 'weights' } });
  });

  it('names two bugs at once, which takes a thread, and leaves nothing untried', async () => {
    const layers = (await trueGradients()).map(({ weights, biases }) => ({
      weights: weights.map((row) => row.map((g) => -g)),
      biases: biases.map((g) => -3 * g),
    }));
    const { body } = await audit({ gradients: { layers } });
    gradientAuditView.parse(body);
    expect(body).toMatchObject({ verdict: 'bug_found', match: { bug: 'wrong_sign + bias_not_averaged' } });
    expect(body.notes.join()).not.toContain('Only single bugs');
  });

  it('says of numbers that are not finite where they begin and what makes them so', async () => {
    const { body } = await audit({ gradients: { layers: [null, null, { biases: ['NaN', 1] }] } });
    gradientAuditView.parse(body);
    expect(body).toMatchObject({
      verdict: 'no_match',
      non_finite: {
        count: 1,
        first: { layer: 3, tensor: 'biases', index: [0], value: 'NaN' },
        causes: [{ cause: 'not_in_right_formulas' }],
      },
    });
  });

  it('says what is missing or does not fit', async () => {
    const shape = await audit({ gradients: { layers: [{ biases: [1, 2] }] } });
    expect(shape.body.errors).toMatchObject([{ pointer: '/yours/gradients/layers/0/biases', code: 'shape_mismatch' }]);
    const nothing = await audit({});
    expect(nothing.body.errors).toMatchObject([{ pointer: '/yours', code: 'required' }]);
    const noRate = await audit({ parameters_after: { layers: [null] } });
    expect(noRate.body.errors).toMatchObject([{ pointer: '/yours/learning_rate', code: 'required' }]);
  });
});
