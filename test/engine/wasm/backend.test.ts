import { describe, expect, it } from 'vitest';
import { type ActivationSpec, activations } from '../../../src/engine/activations.ts';
import { createBackend } from '../../../src/engine/backends.ts';
import type { LayerDefinition, NetworkDefinition } from '../../../src/engine/definition.ts';
import { type LossSpec, losses } from '../../../src/engine/losses.ts';
import { optimizers } from '../../../src/engine/optimizers.ts';
import { undefinedPair } from '../../../src/engine/output-loss.ts';
import { plan as planOf } from '../../../src/engine/plan.ts';
import { createReferenceBackend } from '../../../src/engine/reference/backend.ts';
import { chooseTile } from '../../../src/engine/wasm/backend.ts';
import { tilesLayout } from '../../../src/engine/wasm/tiles.ts';
import { tilesOptions } from '../../../src/engine/wasm/tiles-program.ts';
import { expectSame, prepare } from './compare.ts';

const names = <T extends object>(table: T) => Object.keys(table) as (keyof T & string)[];

function network(
  sizes: readonly number[],
  {
    hidden = 'relu',
    output = 'linear',
    loss = 'mean_squared_error',
    more = {},
  }: {
    hidden?: ActivationSpec;
    output?: ActivationSpec;
    loss?: LossSpec;
    more?: Partial<LayerDefinition>;
  } = {},
  precision: 'float32' | 'float64' = 'float32',
): NetworkDefinition {
  const [input_size, ...units] = sizes;
  const layers = units.map((count, i) =>
    i === units.length - 1 ? { units: count, activation: output } : { units: count, activation: hidden, ...more },
  );
  return { input_size, layers, loss, precision };
}

describe('strict compiled training gives the bits of the reference', () => {
  const sizes = [1, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 127];

  it.each(sizes)('with %d inputs, units, outputs or rows in a batch', (n) => {
    const cases = [
      { definition: network([n, 5, 3]), setup: { optimizer: 'sgd' as const } },
      { definition: network([4, n, 3]), setup: { optimizer: 'sgd' as const } },
      { definition: network([4, 6, n]), setup: { optimizer: 'sgd' as const } },
      { definition: network([6, 9, 2]), setup: { optimizer: 'sgd' as const, batch_size: n }, rows: 130 },
      { definition: network([n, n, n]), setup: { optimizer: 'adam' as const, batch_size: 3 }, epochs: 1 },
      {
        definition: network([n, n, n], {}, 'float64'),
        setup: { optimizer: 'adam' as const, batch_size: 3 },
        epochs: 1,
      },
      {
        definition: network([n, n, n]),
        setup: { optimizer: 'adam' as const },
        epochs: 1,
        options: { revectorized: true },
      },
    ];
    for (const of of cases) {
      expectSame(of);
    }
  });

  it.each(names(optimizers))('with the optimizer %s, whatever its options', (name) => {
    const { options } = optimizers[name];
    const variants: Record<string, unknown>[] = [{}, { weight_decay: 0.1, decay_biases: false }];
    for (const [key, option] of Object.entries(options)) {
      if (option.type === 'boolean' && key !== 'decay_biases') variants.push({ [key]: true, momentum: 0.9 });
    }
    for (const variant of variants) {
      const known = Object.fromEntries(Object.entries(variant).filter(([key]) => key in options));
      for (const precision of ['float32', 'float64'] as const) {
        const optimizer = { name, ...known } as never;
        expectSame({ definition: network([5, 7, 3], {}, precision), setup: { optimizer } });
      }
    }
  });

  it.each(names(activations))('with %s in hidden layers', (hidden) => {
    for (const precision of ['float32', 'float64'] as const) {
      const definition = network([5, 9, 6, 3], { hidden }, precision);
      expectSame({ definition, setup: { optimizer: 'sgd' } });
    }
  });

  const pairs = names(losses).flatMap((loss) => names(activations).map((output) => ({ loss, output })));
  const defined = pairs.filter(({ loss, output }) => {
    const { layers, loss: resolved } = planOf(network([2, 2], { output, loss }));
    return undefinedPair(layers[0].activation, resolved) === null;
  });

  it.each(defined)('with the loss $loss on $output', ({ loss, output }) => {
    // Both ways to take a row of outputs, whole and cut; which precision takes which changes from pair to pair.
    const units = loss.length % 2 === 0 ? [3, 18] : [18, 3];
    for (const [i, precision] of (['float32', 'float64'] as const).entries()) {
      const definition = network([5, 6, units[i]], { loss, output }, precision);
      expectSame({ definition, setup: { optimizer: 'sgd' }, weighted: i === 0 });
    }
  });

  it.each(['categorical_cross_entropy', 'binary_cross_entropy'] as const)('with %s on two units of softmax', (loss) => {
    for (const precision of ['float32', 'float64'] as const) {
      const definition = network([3, 3, 4, 2], { loss, output: 'softmax' }, precision);
      expectSame({ definition, setup: { optimizer: 'sgd', batch_size: 10 }, weighted: precision === 'float64' });
    }
  });

  it.each([
    [1001, 'float32', true],
    [1001, 'float32', false],
    [1003, 'float32', true],
    [1004, 'float32', false],
    [1002, 'float64', false],
    [501, 'float64', true],
  ] as const)(
    'with %d inputs, so many that its factors are packed, in %s; fused pairs: %s',
    (inputs, precision, revectorized) => {
      const definition = network([inputs, 67, 3], {}, precision);
      const setup = { optimizer: 'sgd' as const, batch_size: 132 };
      const of = { definition, setup, rows: 141, epochs: 1, options: { revectorized } };
      const { plan, data } = prepare(of);
      const full = { arithmetic: 'strict' as const, seed: 1, ...setup };
      const { layers } = tilesLayout(tilesOptions(plan, full, data, chooseTile(full, { revectorized })));
      expect(layers.map(({ packed }) => packed !== null)).toEqual([true, false]);
      expectSame(of);
    },
  );

  it.each([
    ['no biases', {}, { use_bias: false }],
    ['adam and clipping by norm', { optimizer: 'adam', clip_gradients: { max_norm: 0.05 } }, {}],
    ['weight decay and l2', { optimizer: { name: 'adamw', weight_decay: 0.1 } }, { l2: 0.02 }],
  ] as const)('with packed factors and %s', (_name, setup, more) => {
    for (const revectorized of [true, false]) {
      const definition = network([1003, 69, 3], { more });
      const of = { definition, setup: { optimizer: 'sgd' as const, batch_size: 132, ...setup }, rows: 141, epochs: 1 };
      expectSame({ ...of, options: { revectorized } });
    }
  });

  it.each([200, 203, 257])('with weights so many that they are updated and turned in shares: %d units', (units) => {
    for (const revectorized of [true, false]) {
      const definition = network([20, units, units + 1, 3]);
      expectSame({ definition, setup: { optimizer: 'sgd', batch_size: 7 }, rows: 16, options: { revectorized } });
    }
  });

  it.each(['mean', 'batch_mean', 'sum'] as const)('with the reduction %s and a short last batch', (reduction) => {
    const definition = network([3, 4, 2], { loss: { name: 'mean_squared_error', reduction } });
    expectSame({ definition, setup: { optimizer: 'sgd', batch_size: 8 }, rows: 19 });
  });

  it.each([
    ['clipping by norm', { clip_gradients: { max_norm: 0.05 } }, {}],
    ['clipping by value', { clip_gradients: { max_value: 0.01 } }, {}],
    ['dropout', {}, { dropout: 0.4 }],
    ['dropout of nearly everything', {}, { dropout: 0.99999999 }],
    ['l1 and l2', {}, { l1: 0.01, l2: 0.02 }],
    ['no biases', {}, { use_bias: false }],
    ['batch normalization', {}, { batch_norm: true }],
    [
      'batch normalization and clipping by norm',
      { clip_gradients: { max_norm: 0.5 } },
      { batch_norm: { momentum: 0.3 } },
    ],
    ['layer normalization', {}, { layer_norm: true }],
    [
      'layer normalization, dropout and clipping by norm',
      { clip_gradients: { max_norm: 0.5 } },
      { layer_norm: true, dropout: 0.3 },
    ],
    ['all of it', { clip_gradients: { max_norm: 0.5 } }, { dropout: 0.2, l1: 0.01, l2: 0.01, use_bias: false }],
  ] as const)('with %s', (_name, setup, more) => {
    for (const precision of ['float32', 'float64'] as const) {
      const definition = network([7, 21, 18, 3], { more }, precision);
      expectSame({ definition, setup: { optimizer: 'adam', ...setup }, weighted: true });
    }
  });
});

describe('at the ends of the numbers, strict compiled training gives the bits of the reference', () => {
  it('with dropout at steps that take more than 32 bits to count', () => {
    const { block, compiled, reference } = prepare({
      definition: network([5, 12, 3], { more: { dropout: 0.5 } }),
      setup: { optimizer: 'sgd' },
    });
    const late = { ...block, first_step: 3 * 2 ** 32 + 5 };
    const [fast, plain, early] = [compiled(), reference(), reference()];
    expect(fast.train(late)).toEqual(plain.train(late));
    expect(fast.state()).toEqual(plain.state());
    early.train({ ...block, first_step: 5 });
    expect(plain.state()).not.toEqual(early.state());
  });

  it.each([
    ['overflow', 1e160, 1e-3],
    ['vanish', 1e-200, 1e-210],
  ])('where the squares of gradients that are clipped by their norm %s', (_name, scale, max_norm) => {
    // Without biases, whose gradients would be of the order of 1.
    const layers = [{ units: 5, activation: 'relu', use_bias: false } as const, { units: 2, use_bias: false }];
    const { data, block, compiled, reference } = prepare({
      definition: { input_size: 4, layers, loss: 'mean_absolute_error', precision: 'float64' },
      setup: { optimizer: 'sgd', clip_gradients: { max_norm, epsilon: 0 } },
    });
    for (let i = 0; i < data.inputs.length; i++) data.inputs[i] *= scale;
    const learning_rates = block.learning_rates.map(() => 0.1 / max_norm);
    const ends = [compiled(), reference()].map((backend) => {
      const start = backend.state().parameters;
      const result = backend.train({ ...block, learning_rates });
      expect(result.divergence).toBeNull();
      expect(backend.state().parameters).not.toEqual(start);
      return { result, state: backend.state() };
    });
    expect(ends[0]).toEqual(ends[1]);
  });
});

describe('a run that leaves the finite numbers', () => {
  it.each([1e3, 1e12, 1e30])(
    'ends at the step, place and value that the reference names, at a rate of %d',
    (learning_rate) => {
      const outcome = expectSame({
        definition: network([4, 6, 2]),
        setup: { optimizer: 'sgd' },
        learning_rate,
        epochs: 20,
      });
      expect(outcome.divergence).not.toBeNull();
    },
  );

  it('is noticed where an activation would hide it', () => {
    const { plan, data, block, compiled, reference } = prepare({
      definition: network([3, 4, 2]),
      setup: { optimizer: 'sgd' },
    });
    data.inputs.fill(1);
    const [fast, plain] = [compiled(), reference()];
    for (const backend of [fast, plain]) {
      const state = backend.state();
      state.parameters.fill(-3e38, 0, plan.layers[0].weights.length);
      backend.restore(state);
    }
    const divergence = plain.train(block).divergence;
    expect(divergence?.quantity).toBe('pre_activation');
    expect(fast.train(block).divergence).toEqual(divergence);
  });

  it.each(['batch_norm', 'layer_norm'] as const)('is noticed where %s would hide it', (normalization) => {
    for (const layers of [
      [5, 9, 3],
      [5, 3],
    ]) {
      const definition = network(layers, { more: { [normalization]: true } });
      const last = definition.layers.map((layer) => ({ ...layer, [normalization]: true }));
      // Every z is finite, but not its square.
      const of = { definition: { ...definition, layers: last }, setup: { optimizer: 'sgd' as const }, scale: 1e25 };
      expect(expectSame(of).divergence).toEqual({ step: 1, quantity: 'activation', layer: 1, value: Infinity });
    }
  });
});

describe('the chooser', () => {
  it('takes compiled code where it can, and says why where it cannot', () => {
    const { plan, data } = prepare({ definition: network([3, 4, 2]), setup: { optimizer: 'sgd' } });
    const initial = { parameters: new Float32Array(plan.parameter_count), statistics: new Float32Array(0) };
    const setup = { optimizer: 'sgd', arithmetic: 'fused', batch_size: 8, seed: 0 } as const;
    expect(createBackend(plan, setup, data, initial).backend.name).toBe('wasm');
    const buggy = createBackend(plan, { ...setup, simulate_bug: 'wrong_sign' }, data, initial);
    expect(buggy.backend.name).toBe('reference');
    expect(buggy.reason).toContain('simulated bugs');
  });
});

describe('fused arithmetic in float32', () => {
  it.each([
    [[9, 17, 5], 0],
    [[9, 17, 5], Infinity],
    [[65, 33, 31, 7], Infinity],
  ] as const)('stays within a rounding error per term of float64 (%j)', (sizes, tiny_after_steps) => {
    const definition = network(sizes, { hidden: 'tanh' });
    const setup = { optimizer: 'sgd', arithmetic: 'fused', batch_size: 16 } as const;
    const { plan, data, block, compiled } = prepare({
      definition,
      setup,
      rows: 16,
      epochs: 1,
      learning_rate: 1,
      options: { tiny_after_steps },
    });
    const fast = compiled();
    const start = fast.state();
    const widened = { ...data, inputs: Float64Array.from(data.inputs), targets: Float64Array.from(data.targets) };
    const initial = { parameters: Float64Array.from(start.parameters), statistics: new Float64Array(0) };
    const exact = createReferenceBackend(
      { ...plan, precision: 'float64' },
      { ...setup, arithmetic: 'strict', seed: 0 },
      widened,
      initial,
    );
    fast.train(block);
    exact.train(block);
    // Forward and backward, a value passes through the sums of every layer: one rounding per term (u = 2^-24), a few
    // per activation (2 ulp) and one each for scale and update; and the terms of a sum are at most 4 times the sum of the
    // largest gradient here.
    const terms = 2 * sizes.reduce((sum, size) => sum + size + 8, 0) + 16;
    const change = (now: ArrayLike<number>) => Array.from(now, (value, i) => value - start.parameters[i]);
    const [got, want] = [change(fast.state().parameters), change(exact.state().parameters)];
    const largest = Math.max(...want.map(Math.abs), ...Array.from(start.parameters, Math.abs));
    const error = Math.max(...got.map((value, i) => Math.abs(value - want[i])));
    expect(error).toBeLessThanOrEqual(4 * terms * 2 ** -24 * largest);
    expect(error).toBeGreaterThan(0);
  });
});

describe('the strategies', () => {
  const strategyAfter = (sizes: readonly number[], tiny_after_steps: number, more: Partial<LayerDefinition> = {}) => {
    const { block, compiled } = prepare({
      definition: network(sizes, { more }),
      setup: { optimizer: 'sgd' },
      options: { tiny_after_steps },
    });
    const backend = compiled();
    backend.train(block);
    return backend.strategy;
  };

  it('unroll a small network once it has steps enough to pay for it, and no other', () => {
    expect(strategyAfter([3, 4, 2], 0)).toBe('tiny');
    expect(strategyAfter([3, 4, 2], 9)).toBe('tiny');
    expect(strategyAfter([3, 4, 2], 10)).toBe('tiles');
    expect(strategyAfter([3, 400, 2], 0)).toBe('tiles');
    expect(strategyAfter([3, 4, 2], 0, { dropout: 0.5 })).toBe('tiles');
  });

  it('change in the middle of a run without changing a bit', () => {
    const { data, block, compiled, reference } = prepare({
      definition: network([3, 5, 2]),
      setup: { optimizer: 'adam' },
      epochs: 6,
      options: { tiny_after_steps: 7 },
    });
    const [fast, plain] = [compiled(), reference()];
    plain.train(block);
    for (let epoch = 0; epoch < 6; epoch++) {
      fast.train({
        ...block,
        order: block.order.subarray(epoch * data.rows, (epoch + 1) * data.rows),
        first_step: 1 + epoch * 3,
        learning_rates: block.learning_rates.subarray(epoch * 3, epoch * 3 + 3),
      });
    }
    expect(fast.strategy).toBe('tiny');
    expect(fast.state()).toEqual(plain.state());
    expect(fast.predict(data.inputs, data.rows)).toEqual(plain.predict(data.inputs, data.rows));
  });
});

describe('control', () => {
  it.each([Infinity, 0])('ends a block after the step under way, unrolled after %d steps', (tiny_after_steps) => {
    const options = { tiny_after_steps };
    const { block, compiled } = prepare({ definition: network([3, 4, 2]), setup: { optimizer: 'sgd' }, options });
    const result = compiled().train({ ...block, control: Int32Array.of(1) });
    expect(result.steps_done).toBe(1);
    expect(result.losses).toHaveLength(1);
  });
});

describe('a look at the state', () => {
  it.each([
    ['float32', { batch_norm: true }],
    ['float64', {}],
  ] as const)('may be written over, and nothing that comes after is different: %s', (precision, more) => {
    const definition = network([5, 9, 3], { more }, precision);
    const { data, block, compiled, reference } = prepare({ definition, setup: { optimizer: 'adam' }, epochs: 4 });
    const [fast, plain] = [compiled(), reference()];
    const batch = Math.ceil(block.order.length / block.learning_rates.length);
    // The last one leaves the finite numbers, so that the way back is taken, too.
    const rates = [0.01, 0.02, 0.03, 0.04, Number.MAX_VALUE];
    for (const [i, rate] of rates.entries()) {
      const order = Uint32Array.from({ length: batch }, (_, row) => (i + row) % data.rows);
      const step = { order, epoch_rows: batch, first_step: 1 + i, learning_rates: Float64Array.of(rate) };
      const want = plain.train(step);
      expect(fast.train(step)).toEqual(want);
      expect(want.divergence === null).toBe(rate < 1);
      const seen = fast.peek();
      expect(seen).toEqual(plain.state());
      for (const array of [seen.parameters, seen.statistics, ...seen.slots]) array.fill(7);
    }
    expect(fast.state()).toEqual(plain.state());
  });
});

describe('resuming', () => {
  it('from the state of another back end goes on with the same bits', () => {
    const { data, block, compiled, reference } = prepare({
      definition: network([5, 9, 3]),
      setup: { optimizer: 'adam' },
    });
    const half = block.learning_rates.length / 3;
    const head = {
      ...block,
      order: block.order.subarray(0, data.rows),
      learning_rates: block.learning_rates.subarray(0, half),
    };
    const tail = {
      ...block,
      order: block.order.subarray(data.rows),
      first_step: 1 + half,
      learning_rates: block.learning_rates.subarray(half),
    };
    const whole = reference();
    whole.train(block);
    const [first, second] = [compiled(), compiled()];
    first.train(head);
    second.restore(first.state());
    second.train(tail);
    expect(second.state()).toEqual(whole.state());
  });
});
