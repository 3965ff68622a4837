import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { useApp } from '../support/app.ts';
import { train } from '../support/jobs.ts';

interface Net {
  readonly weights: readonly number[][][];
  readonly biases: readonly number[][];
  readonly correct: Readonly<
    Record<
      'softmax' | 'sigmoid',
      { readonly epoch_loss: readonly number[]; readonly compare_rtol_by_epoch: number | readonly number[] }
    >
  >;
  readonly buggy: Readonly<Record<string, { readonly first_non_finite: { readonly step: number } | null }>>;
}

const file = new URL('../golden/4-seed-scenario.json', import.meta.url);
const [scenario] = JSON.parse(readFileSync(file, 'utf8')).scenarios as [
  { readonly X: readonly number[][]; readonly Y: readonly number[][]; readonly nets: Readonly<Record<'A3', Net>> },
];
const net = scenario.nets.A3;
const samplesFirst = (rows: readonly number[][]) => rows[0]!.map((_, sample) => rows.map((row) => row[sample]));

/** The question's network, data and way of training. */
const question = (output: 'softmax' | 'sigmoid') => ({
  network: {
    input_size: 3,
    layers: [
      { units: 3, activation: 'relu' },
      { units: 4, activation: 'relu' },
      { units: 2, activation: output },
    ],
    loss: { name: 'binary_cross_entropy', reduction: 'batch_mean' },
    precision: 'float64',
  },
  data: { inputs: samplesFirst(scenario.X), targets: samplesFirst(scenario.Y) },
  initial_parameters: { layers: net.weights.map((weights, l) => ({ weights, biases: net.biases[l] })) },
  epochs: 50,
  batch_size: 10,
  shuffle: false,
  optimizer: { name: 'sgd', learning_rate: 0.5 },
});

describe('the network of the question, over HTTP', () => {
  const running = useApp();

  it.each(['softmax', 'sigmoid'] as const)(
    'trains with a %s output to the losses of the reference, epoch by epoch',
    async (output) => {
      const done = await train(running, question(output));
      const { body } = await running.request.get(`${done.urls.loss_history}?max_points=50`);
      const { epoch_loss, compare_rtol_by_epoch: rtol } = net.correct[output];
      epoch_loss.forEach((want, epoch) => {
        const tolerance = (typeof rtol === 'number' ? rtol : rtol[epoch]!) * Math.abs(want);
        // Beyond 1e-3 the reference itself says not to compare.
        if (tolerance > 1e-3 * Math.abs(want)) return;
        const difference = Math.abs(body.series.loss[epoch] - want);
        if (!(difference <= tolerance))
          throw new Error(`epoch ${epoch + 1}: off by ${difference}, allowed ${tolerance}`);
      });
      expect(body.series.loss).toHaveLength(50);
    },
  );

  it('with the mistake of the question ends at the step at which its author saw NaN', async () => {
    const done = await train(running, { ...question('sigmoid'), simulate_bug: 'derivative_on_pre_activation' });
    const { step } = net.buggy['sigmoid__z(1-z)']!.first_non_finite!;
    expect(done).toMatchObject({ state: 'failed', stop_reason: 'diverged', error: { code: 'diverged', step } });
    const { body } = await running.request.get(`${done.urls.loss_history}?resolution=step`).expect(200);
    expect(body.step.at(-1)).toBe(step);
    expect(['NaN', 'Infinity']).toContain(body.series.loss.at(-1));
  });
});
