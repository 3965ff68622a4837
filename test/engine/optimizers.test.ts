import { describe, expect, test } from 'vitest';
import { float32 } from '../../src/engine/math/float32.ts';
import { float64 } from '../../src/engine/math/float64.ts';
import {
  biasOptions,
  initialRunning,
  type OptimizerName,
  type OptimizerSpec,
  optimizers,
  resolveOptimizer,
} from '../../src/engine/optimizers.ts';
import { expectClose } from './compare.ts';

type Options = Readonly<Record<string, number>>;

/** Textbook code for one parameter: `next(gradient)` gives the parameter after the step. */
type Textbook = (start: number, options: Options) => (gradient: number) => number;

const squared = (x: number) => x * x;

const adam =
  (decoupled: boolean): Textbook =>
  (start, { lr, b1, b2, eps, wd, amsgrad }) => {
    let [p, m, v, largest, t] = [start, 0, 0, 0, 0];
    return (gradient) => {
      t++;
      const g = decoupled ? gradient : gradient + wd * p;
      if (decoupled) p -= lr * wd * p;
      m = b1 * m + (1 - b1) * g;
      v = b2 * v + (1 - b2) * squared(g);
      largest = Math.max(largest, v);
      const mHat = m / (1 - b1 ** t);
      const vHat = (amsgrad ? largest : v) / (1 - b2 ** t);
      p -= (lr * mHat) / (Math.sqrt(vHat) + eps);
      return p;
    };
  };

const textbooks: Readonly<Record<OptimizerName, Textbook>> = {
  sgd: (start, { lr, mu, nesterov, wd }) => {
    let [p, v] = [start, 0];
    return (gradient) => {
      const g = gradient + wd * p;
      v = mu * v + g;
      p -= lr * (mu === 0 ? g : nesterov ? g + mu * v : v);
      return p;
    };
  },
  rmsprop: (start, { lr, alpha, eps, centered, mu, wd }) => {
    let [p, v, m, buffer] = [start, 0, 0, 0];
    return (gradient) => {
      const g = gradient + wd * p;
      v = alpha * v + (1 - alpha) * squared(g);
      m = alpha * m + (1 - alpha) * g;
      const u = g / (Math.sqrt(centered ? v - squared(m) : v) + eps);
      buffer = mu * buffer + u;
      p -= lr * buffer;
      return p;
    };
  },
  adagrad: (start, { lr, lr_decay, initial, eps, wd }) => {
    let [p, s, t] = [start, initial, 0];
    return (gradient) => {
      t++;
      const g = gradient + wd * p;
      s += squared(g);
      p -= ((lr / (1 + (t - 1) * lr_decay)) * g) / (Math.sqrt(s) + eps);
      return p;
    };
  },
  adadelta: (start, { lr, rho, eps, wd }) => {
    let [p, v, u] = [start, 0, 0];
    return (gradient) => {
      const g = gradient + wd * p;
      v = rho * v + (1 - rho) * squared(g);
      const delta = (Math.sqrt(u + eps) / Math.sqrt(v + eps)) * g;
      u = rho * u + (1 - rho) * squared(delta);
      p -= lr * delta;
      return p;
    };
  },
  adam: adam(false),
  adamw: adam(true),
  nadam: (start, { lr, b1, b2, eps, psi, wd }) => {
    let [p, m, v, product, t] = [start, 0, 0, 1, 0];
    return (gradient) => {
      t++;
      const g = gradient + wd * p;
      const mu = b1 * (1 - 0.5 * 0.96 ** (t * psi));
      const muNext = b1 * (1 - 0.5 * 0.96 ** ((t + 1) * psi));
      product *= mu;
      m = b1 * m + (1 - b1) * g;
      v = b2 * v + (1 - b2) * squared(g);
      const denominator = Math.sqrt(v / (1 - b2 ** t)) + eps;
      p -= (((lr * (1 - mu)) / (1 - product)) * g) / denominator;
      p -= (((lr * muNext) / (1 - product * muNext)) * m) / denominator;
      return p;
    };
  },
  lion: (start, { lr, b1, b2, wd }) => {
    let [p, m] = [start, 0];
    return (gradient) => {
      p -= lr * wd * p;
      p -= lr * Math.sign(b1 * m + (1 - b1) * gradient);
      m = b2 * m + (1 - b2) * gradient;
      return p;
    };
  },
};

/** Our option names → the letters of the textbook. */
const letters: Readonly<Record<string, string>> = {
  learning_rate: 'lr',
  momentum: 'mu',
  weight_decay: 'wd',
  epsilon: 'eps',
  beta1: 'b1',
  beta2: 'b2',
  momentum_decay: 'psi',
  learning_rate_decay: 'lr_decay',
  initial_accumulator_value: 'initial',
};

const lettered = (options: Readonly<Record<string, number | boolean>>): Options =>
  Object.fromEntries(Object.entries(options).map(([name, value]) => [letters[name] ?? name, Number(value)]));

const variants: Readonly<Record<OptimizerName, readonly object[]>> = {
  sgd: [{}, { momentum: 0.9 }, { momentum: 0.9, nesterov: true }],
  rmsprop: [{}, { momentum: 0.9 }, { centered: true }, { centered: true, momentum: 0.5 }],
  adagrad: [{}, { learning_rate_decay: 0.1, initial_accumulator_value: 0.2 }],
  adadelta: [{}, { rho: 0.5 }],
  adam: [{}, { amsgrad: true, beta2: 0.5 }, { beta1: 0.5, epsilon: 1e-3 }],
  adamw: [{}, { amsgrad: true, beta2: 0.5 }],
  nadam: [{}, { momentum_decay: 0.1 }],
  lion: [{}, { beta1: 0.5, beta2: 0.8 }],
};

const grid = (Object.keys(optimizers) as OptimizerName[]).flatMap((name) =>
  variants[name].flatMap((variant) =>
    [0, 0.1].flatMap((weight_decay) =>
      [0.01, 10].flatMap((learning_rate) =>
        [1, 10].map((steps) => ({ name, steps, options: { ...variant, weight_decay, learning_rate } })),
      ),
    ),
  ),
);

const gradients = [0.3, -1.2, 0.7, 0.7, -0.1, 2.5, 1e-3, -0.4, 0.9, -2];

function train(spec: OptimizerSpec, start: number, rate: number, steps: number, o = float64): number {
  const { entry, options } = resolveOptimizer(spec);
  const running = initialRunning(resolveOptimizer(spec));
  let parameter = o.constant(start);
  let slots: readonly number[] = entry.slots(options).map(({ initial }) => o.constant(initial));
  for (let step = 0; step < steps; step++) {
    const scalars = Object.fromEntries(
      Object.entries(entry.step(options, running, rate)).map(([name, value]) => [name, o.constant(value)]),
    );
    const element = { parameter, gradient: o.constant(gradients[step]), slots, scalars };
    ({ parameter, slots } = entry.update(o, element, options));
  }
  return parameter;
}

describe.each(grid)('$name, $options, $steps steps', ({ name, options, steps }) => {
  const spec = { name, ...options } as OptimizerSpec;

  test('does what the textbook says', () => {
    const next = textbooks[name](0.8, lettered(resolveOptimizer(spec).options));
    let want = Number.NaN;
    for (let step = 0; step < steps; step++) want = next(gradients[step]);
    // Ten steps of about ten roundings of 1.1e-16 each; the centered variance v − m² cancels up to four digits.
    expectClose([train(spec, 0.8, options.learning_rate, steps)], want, { relative: 1e-11, absolute: 1e-13 }, 'p');
  });
});

test.each(Object.keys(optimizers) as OptimizerName[])('%s moves nothing when rate and decay are 0', (name) => {
  expect(train({ name, weight_decay: 0 }, 0.8, 0, 5)).toBe(0.8);
});

test.each(Object.keys(optimizers) as OptimizerName[])('%s in float32 is within rounding of float64', (name) => {
  const single = train({ name }, 0.8, 0.01, 10, float32);
  expect(Math.fround(single)).toBe(single);
  // Ten steps of about ten float32 roundings of 6e-8.
  expectClose([single], train({ name }, 0.8, 0.01, 10), { relative: 1e-5 }, 'p');
});

test.each(Object.keys(optimizers) as OptimizerName[])('%s leaves a NaN gradient visible', (name) => {
  const { entry, options } = resolveOptimizer(name);
  const scalars = entry.step(options, initialRunning(resolveOptimizer(name)), 0.1);
  const slots = entry.slots(options).map(({ initial }) => initial);
  const { parameter } = entry.update(float64, { parameter: 1, gradient: Number.NaN, slots, scalars }, options);
  expect(parameter).toBeNaN();
});

test('a centered variance that rounding takes below 0 counts as 0', () => {
  const { entry, options } = resolveOptimizer({ name: 'rmsprop', centered: true, alpha: 0.5 });
  let slots: readonly number[] = [0, 0];
  let negative = 0;
  for (let step = 0; step < 100; step++) {
    const element = { parameter: 1, gradient: 0.7, slots, scalars: { rate: 1e-9 } };
    const updated = entry.update(float64, element, options);
    expect(Number.isFinite(updated.parameter)).toBe(true);
    slots = updated.slots;
    if (slots[0] - slots[1] * slots[1] < 0) negative++;
  }
  expect(negative).toBeGreaterThan(0);
});

test('decay_biases decides whether biases decay', () => {
  const decayed = resolveOptimizer({ name: 'adamw', weight_decay: 0.1 }).options;
  const spared = resolveOptimizer({ name: 'adamw', weight_decay: 0.1, decay_biases: false }).options;
  expect(biasOptions(decayed).weight_decay).toBe(0.1);
  expect(biasOptions(spared).weight_decay).toBe(0);
  expect(spared.weight_decay).toBe(0.1);
});

test.each(Object.entries(optimizers))('%s states a formula and a range for every option', (_name, entry) => {
  expect(entry.formula.length).toBeGreaterThan(10);
  for (const option of Object.values(entry.options)) {
    expect(option.description.endsWith('.')).toBe(true);
    if (option.type === 'number') expect(option.minimum).toBe(0);
  }
});

describe('a mean or velocity', () => {
  const fading: readonly (readonly [OptimizerSpec, number])[] = [
    [{ name: 'sgd', momentum: 0.9 }, 0],
    [{ name: 'rmsprop', centered: true, momentum: 0.9 }, 1],
    [{ name: 'rmsprop', centered: true, momentum: 0.9 }, 2],
    ['adam', 0],
    ['adamw', 0],
    ['nadam', 0],
    ['lion', 0],
  ];

  test.each(fading)(
    'of a unit without gradients ends at 0, whose tenth part would stay for good: %j, slot %d',
    (spec, s) => {
      const { entry, options } = resolveOptimizer(spec);
      const scalars = entry.step(options, Float64Array.from(Object.values(entry.running)), 0.001);
      let slots: readonly number[] = entry.slots(options).map((_, i) => (i === s ? 2 ** -125 : 0));
      for (let step = 0; step < 2000; step++) {
        slots = entry.update(float32, { parameter: 1, gradient: 0, slots, scalars }, options).slots;
      }
      expect(slots[s]).toBe(0);
    },
  );
});
