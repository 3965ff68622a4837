import { describe, expect, it } from 'vitest';
import type { LayerDefinition } from '../../src/engine/definition.ts';
import { uniform } from '../../src/engine/prng.ts';
import { decodeCheckpoint, encodeCheckpoint } from '../../src/training/checkpoint.ts';
import type { RunRequest, RunWarning } from '../../src/training/request.ts';
import { Run } from '../../src/training/run.ts';
import { namesOf } from '../../src/training/states.ts';
import { runWarnings } from '../../src/training/warnings.ts';
import { smallRequest } from './fixtures/requests.ts';

/** Trains to the end, in blocks of so many steps. */
function warningsOf(run: Run, block = 1000): RunWarning[] {
  const warnings: RunWarning[] = [];
  while (run.end === null) {
    for (const note of run.advance(block).notes) {
      if (note.type !== 'warning') continue;
      const { type: _, ...warning } = note;
      warnings.push(warning);
    }
  }
  return warnings;
}

const draw = (i: number, stream: number) => 2 * uniform(11, 'generate', stream, i) - 1;

/** Rows of two features in [−1, 1] and the target f of them. */
function rowsOf(rows: number, f: (a: number, b: number, row: number) => number, stream = 0) {
  const inputs = Float64Array.from({ length: 2 * rows }, (_, i) => draw(i, stream));
  const targets = Float64Array.from({ length: rows }, (_, row) => f(inputs[2 * row], inputs[2 * row + 1], row));
  return { rows, inputs, targets };
}

const smooth = rowsOf(64, (a, b) => 0.5 * a - 0.3 * b + 0.2 * a * b);
const times = (values: Float64Array, factor: number) => values.map((value) => value * factor);

function request(layers: readonly LayerDefinition[], changes: Partial<RunRequest> = {}): RunRequest {
  const network = { input_size: 2, layers, loss: 'mean_squared_error', precision: 'float32' } as const;
  const optimizer = { name: 'sgd', learning_rate: 0.1 } as const;
  return smallRequest({ network, data: smooth, epochs: 30, batch_size: 8, optimizer, statistics: true, ...changes });
}

const output: LayerDefinition = { units: 1, activation: 'linear' };
const stack = (count: number, layer: LayerDefinition) => [...Array.from({ length: count }, () => layer), output];
const sgd = (learning_rate: number) => ({ optimizer: { name: 'sgd', learning_rate } }) as const;

/** Weights of which so many of eight relu units never see a positive pre-activation: their bias is far below. */
function withDeadUnits(dead: number): Partial<RunRequest> {
  const weights = Array.from({ length: 16 }, (_, i) => draw(i, 7));
  const biases = Array.from({ length: 8 }, (_, unit) => (unit < dead ? -50 : 0.1));
  const above = Array.from({ length: 8 }, (_, i) => draw(i, 8));
  const parameters = Float32Array.from([...weights, ...biases, ...above, 0]);
  return { initial_parameters: { parameters, statistics: new Float32Array(0) } };
}

const deep = (activation: 'sigmoid' | 'tanh') => stack(10, { units: 6, activation });

/** Sixteen rows learned by heart, and others to be measured on whose targets are noise around the same curve. */
const fewRows = (noise: number): Partial<RunRequest> => ({
  data: rowsOf(16, (a, _b, row) => 0.5 * a + noise * draw(row, 5)),
  validation: { data: rowsOf(400, (a, _b, row) => 0.5 * a + noise * draw(row, 6), 9) },
  epochs: 400,
  optimizer: { name: 'adam', learning_rate: 0.02 },
});

/** The same value in the second column of all rows but `others`. */
function almostConstant(others: number) {
  const inputs = smooth.inputs.slice();
  for (let row = 0; row < smooth.rows; row++) inputs[2 * row + 1] = row < others ? 0.25 : 0.5;
  return { ...smooth, inputs };
}

const imbalanced = (rare: number): Partial<RunRequest> => ({
  network: { input_size: 2, layers: [{ units: 1, activation: 'sigmoid' }], loss: 'binary_cross_entropy' },
  data: rowsOf(100, (_a, _b, row) => (row < rare ? 1 : 0)),
});

interface Pair {
  readonly provokes: RunRequest;
  readonly misses: RunRequest;
}

const relu8 = [{ units: 8, activation: 'relu' }, output] as const;
const tanh8 = [{ units: 8, activation: 'tanh' }, output] as const;

const scenarios: Record<keyof typeof runWarnings, Pair> = {
  dead_units: { provokes: request(relu8, withDeadUnits(5)), misses: request(relu8, withDeadUnits(3)) },
  saturated_units: {
    provokes: request(tanh8, { data: { ...smooth, inputs: times(smooth.inputs, 60) }, ...sgd(0.001) }),
    misses: request(tanh8, { data: { ...smooth, inputs: times(smooth.inputs, 2) }, ...sgd(0.001) }),
  },
  vanishing_gradients: { provokes: request(deep('sigmoid')), misses: request(deep('tanh')) },
  // A linear unit on inputs of variance 1/3: the curvature is 2/3, and rates above 2/(2/3) = 3 diverge.
  exploding_gradients: { provokes: request([output], sgd(3.6)), misses: request([output], sgd(1)) },
  update_ratio_high: {
    // Steps of the size of the rate, and decay that keeps the weights as small as they are.
    provokes: request(tanh8, { optimizer: { name: 'lion', learning_rate: 1, weight_decay: 0.5 } }),
    misses: request(tanh8, { optimizer: { name: 'adam', learning_rate: 0.05 } }),
  },
  update_ratio_low: { provokes: request(tanh8, sgd(1e-9)), misses: request(tanh8, sgd(1e-4)) },
  loss_not_decreasing: {
    provokes: request(tanh8, { epochs: 80, ...sgd(1e-7) }),
    misses: request(tanh8, { epochs: 80, ...sgd(1e-3) }),
  },
  overfitting: {
    provokes: request([{ units: 32, activation: 'tanh' }, output], fewRows(0.4)),
    misses: request([{ units: 32, activation: 'tanh' }, output], fewRows(0)),
  },
  constant_features: {
    provokes: request(tanh8, { data: almostConstant(0) }),
    misses: request(tanh8, { data: almostConstant(1) }),
  },
  class_imbalance: { provokes: request([], imbalanced(9)), misses: request([], imbalanced(10)) },
};

describe.each(namesOf(scenarios))('%s', (code) => {
  const { provokes, misses } = scenarios[code];

  it('is told with its numbers, its place and what helps', () => {
    const warning = warningsOf(new Run(provokes, null)).find((told) => told.code === code);
    expect(warning).toMatchObject({ level: runWarnings[code].level, advice: runWarnings[code].advice });
    expect(warning?.detail).toMatch(/\d.*\.$/);
    expect(Object.values(warning?.evidence ?? {}).length).toBeGreaterThan(1);
    expect(Object.values(warning?.evidence ?? {})).not.toContain(Number.NaN);
  });

  it('is not told of a run that comes near it', () => {
    expect(warningsOf(new Run(misses, null)).map((told) => told.code)).not.toContain(code);
  });
});

describe('the warnings of a run', () => {
  it('are none of a run that has arrived: its steps are small because nothing is left to learn', () => {
    const line = request([output], { data: rowsOf(8, (a, b) => a + b), epochs: 5000, ...sgd(0.3) });
    const codes = warningsOf(new Run(line, null)).map(({ code }) => code);
    expect(codes).not.toContain('update_ratio_low');
  });

  it('are none where nothing is looked at', () => {
    const warnings = Object.values(scenarios).map(({ provokes }) =>
      warningsOf(new Run({ ...provokes, statistics: false }, null)),
    );
    expect(warnings.flat()).toEqual([]);
  });

  it('come once, at the same steps however training is cut and wherever it is interrupted', () => {
    for (const { provokes } of [scenarios.dead_units, scenarios.saturated_units, scenarios.overfitting]) {
      const whole = warningsOf(new Run(provokes, null));
      expect(new Set(whole.map(({ code, layer }) => `${code} ${layer}`)).size).toBe(whole.length);
      expect(warningsOf(new Run(provokes, null), 7)).toEqual(whole);
      for (const stop of [1, 3, 90]) {
        const first = new Run(provokes, null);
        const before: unknown[] = [];
        while (first.cursor.step < stop) before.push(...first.advance(stop - first.cursor.step).notes);
        const second = new Run(provokes, decodeCheckpoint(encodeCheckpoint(first.checkpoint())));
        const told = [...before, ...warningsOf(second).map((warning) => ({ type: 'warning', ...warning }))];
        expect(told).toEqual(whole.map((warning) => expect.objectContaining(warning)));
      }
    }
  });
});
