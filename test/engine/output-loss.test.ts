import { describe, expect, it } from 'vitest';
import { type Activation, type ActivationName, activations, resolveActivation } from '../../src/engine/activations.ts';
import { type LossName, losses, resolveLoss } from '../../src/engine/losses.ts';
import { float32 } from '../../src/engine/math/float32.ts';
import { float64 } from '../../src/engine/math/float64.ts';
import type { Resolved } from '../../src/engine/options.ts';
import { type OutputRow, outputLoss, undefinedPair } from '../../src/engine/output-loss.ts';
import { golden, outside, scalarTables } from '../golden/scalar-tables.ts';
import { type SoftmaxRow, softmaxTables } from '../golden/softmax-tables.ts';

const PAD = 2;

function forward(activation: Resolved<Activation>, z: readonly number[], o = float64): OutputRow<number> {
  const padded = Float64Array.from([7, 7, ...z, 7]);
  const a = new Float64Array(padded.length).fill(7);
  const { entry, options } = activation;
  if (entry.kind === 'rowwise') entry.forward(o, padded, a, PAD, z.length);
  else for (let k = PAD; k < PAD + z.length; k++) a[k] = entry.forward(o, padded[k], options);
  const gradient = new Float64Array(padded.length).fill(7);
  return { z: padded, a, y: [], gradient, units: z.length, start: PAD, targetStart: 1 };
}

/** Loss and gradient of one row that lies inside longer arrays. */
function lossOf(activation: ActivationName, loss: LossName, z: readonly number[], y: readonly number[], o = float64) {
  const output = resolveActivation(activation);
  const joined = outputLoss(output, resolveLoss(loss).loss);
  const row = { ...forward(output, z, o), y: [7, ...y] };
  joined.gradient(o, row);
  const gradient = [...(row.gradient as Float64Array)];
  expect([gradient[0], gradient[1], gradient.at(-1)]).toEqual([7, 7, 7]);
  return { value: joined.value(o, row), gradient: gradient.slice(PAD, -1) };
}

const names = Object.keys(activations) as ActivationName[];
const lossNames = Object.keys(losses) as LossName[];
const reasonFor = (a: ActivationName, l: LossName) => undefinedPair(resolveActivation(a), resolveLoss(l).loss);

describe('which pairs are defined', () => {
  it.each([
    ['binary_cross_entropy', ['sigmoid', 'softmax']],
    ['categorical_cross_entropy', ['softplus', 'sigmoid', 'softmax', 'log_softmax']],
    ['sparse_categorical_cross_entropy', ['softplus', 'sigmoid', 'softmax', 'log_softmax']],
    ['kl_divergence', ['softplus', 'sigmoid', 'softmax', 'log_softmax']],
    ['poisson', ['softplus', 'sigmoid', 'softmax']],
    ['mean_squared_error', names],
    ['mean_absolute_error', names],
    ['huber', names],
    ['log_cosh', names],
    ['hinge', names],
  ] as const)('%s', (loss, allowed) => {
    expect(names.filter((name) => reasonFor(name, loss) === null)).toEqual(allowed);
  });

  it('says why not, and refuses to join them', () => {
    expect(reasonFor('tanh', 'binary_cross_entropy')).toBe(
      'binary_cross_entropy takes the logarithms of the output and of 1 minus the output, and tanh reaches below 0',
    );
    expect(reasonFor('softplus', 'binary_cross_entropy')).toMatch(/softplus reaches above 1$/);
    expect(reasonFor('relu', 'poisson')).toBe('poisson takes the logarithm of the output, and relu reaches 0');
    expect(() => outputLoss(resolveActivation('relu'), resolveLoss('poisson').loss)).toThrow(/relu reaches 0/);
  });
});

const logits = [0.3, -1.2, 2.1, 0.05, -0.7];

/** Targets inside the loss's domain and away from its kinks. */
function targetsOf(loss: LossName): readonly number[] {
  const domain = losses[loss].target_domain;
  if (domain.kind === 'label') return [3];
  if (domain.kind === 'distribution') return [0.1, 0.2, 0, 0.4, 0.3];
  if (domain.kind === 'values') return [1, -1, -1, 1, 1];
  return domain.maximum === 1 ? [1, 0, 0.25, 0.5, 0.9] : [0.1, 1.7, 0.4, 3, 0.8];
}

const defined = names.flatMap((a) => lossNames.filter((l) => reasonFor(a, l) === null).map((l) => [a, l] as const));

describe('gradients against central differences', () => {
  it.each(defined)('%s with %s', (activation, loss) => {
    const y = targetsOf(loss);
    const { gradient } = lossOf(activation, loss, logits, y);
    const scale = Math.max(...gradient.map(Math.abs));
    // h = 1e-5: rounding leaves 1e-16/1e-5 of the loss, truncation 1e-10/6 of its third derivative.
    gradient.forEach((got, k) => {
      const at = (h: number) =>
        lossOf(
          activation,
          loss,
          logits.map((z, i) => (i === k ? z + h : z)),
          y,
        ).value;
      expect(Math.abs((at(1e-5) - at(-1e-5)) / 2e-5 - got)).toBeLessThanOrEqual(1e-8 * Math.max(1, scale));
    });
  });

  it.each(defined)('%s with %s in float32 follows float64', (activation, loss) => {
    const y = targetsOf(loss).map(Math.fround);
    const z = logits.map(Math.fround);
    const exact = lossOf(activation, loss, z, y);
    const got = lossOf(activation, loss, z, y, float32);
    // A few dozen roundings of 2^-24 each.
    const bound = 3e-6 * Math.max(1, Math.abs(exact.value));
    expect(Math.abs(got.value - exact.value)).toBeLessThan(bound);
    got.gradient.forEach((g, k) => {
      expect(Math.abs(g - exact.gradient[k])).toBeLessThan(bound);
    });
  });
});

it.each(defined)('%s with %s never gives NaN, however large the pre-activations', (activation, loss) => {
  const y = targetsOf(loss);
  for (const size of [30, 800, 1e4, 1e30, 1e100]) {
    for (const signs of [
      [1, -1, 0, 0.5, -0.5],
      [-1, -1, -1, -1, -1],
      [1, 1, 1, 1, 1],
    ]) {
      const { value, gradient } = lossOf(
        activation,
        loss,
        signs.map((s) => s * size),
        y,
      );
      expect(Number.isNaN(value)).toBe(false);
      expect(gradient.every(Number.isFinite), `${gradient} at ${size}`).toBe(true);
    }
  }
});

describe('binary cross-entropy on sigmoid at the strict tolerance', () => {
  it.each(scalarTables.bce_with_logits)('target $y', ({ y, loss, grad, tol_strict }) => {
    const at = (z: number) => lossOf('sigmoid', 'binary_cross_entropy', [z], [y]);
    expect(outside((z) => at(z).value, loss, tol_strict)).toEqual([]);
    expect(outside((z) => at(z).gradient[0], grad, tol_strict)).toEqual([]);
  });
});

const { rtol, atol } = softmaxTables.tol_strict;

function check(
  got: { value: number; gradient: number[] },
  want: SoftmaxRow['ce'][number] | SoftmaxRow['bce_elementwise'][number],
) {
  const reported = want.level === 'finite_or_reported' && got.value === Infinity;
  const loss = golden(want.loss);
  if (!reported && got.value !== loss) {
    expect(Math.abs(got.value - loss)).toBeLessThanOrEqual(rtol * Math.abs(loss) + atol);
  }
  want.grad?.forEach((entry, k) => {
    const g = golden(entry);
    expect(Math.abs(got.gradient[k] - g), `gradient ${k}: ${got.gradient[k]}, not ${g}`).toBeLessThanOrEqual(
      rtol * Math.abs(g) + atol,
    );
  });
  expect(Number.isNaN(got.value)).toBe(false);
}

describe.each(softmaxTables.rows)('losses on softmax of $name at the strict tolerance', (row) => {
  it('categorical cross-entropy', () => {
    for (const case_ of row.ce) check(lossOf('softmax', 'categorical_cross_entropy', row.z, case_.target), case_);
  });

  it('sparse categorical cross-entropy', () => {
    const oneHot = row.ce.filter(({ target }) => target.includes(1));
    for (const case_ of oneHot) {
      check(lossOf('softmax', 'sparse_categorical_cross_entropy', row.z, [case_.target.indexOf(1)]), case_);
    }
  });

  it('cross-entropy on log_softmax', () => {
    for (const case_ of row.ce) check(lossOf('log_softmax', 'categorical_cross_entropy', row.z, case_.target), case_);
  });

  it('elementwise binary cross-entropy through the full Jacobian', () => {
    for (const case_ of row.bce_elementwise) check(lossOf('softmax', 'binary_cross_entropy', row.z, case_.y), case_);
  });
});
