import { describe, expect, it } from 'vitest';
import type { Data } from '../../../src/engine/backend.ts';
import type { NetworkDefinition } from '../../../src/engine/definition.ts';
import { plan as planOf } from '../../../src/engine/plan.ts';
import { chooseTile, createWasmBackend } from '../../../src/engine/wasm/backend.ts';
import { keepMemories, memoriesApart, memoriesOf, sharedFloats } from '../../../src/engine/wasm/data-memory.ts';
import { tilesMemory, tilesOptions } from '../../../src/engine/wasm/tiles-program.ts';
import { prepareMachine } from '../../../src/training/revectorize.ts';
import { type Case, expectSame, fingerprint, prepare } from './compare.ts';

const { revectorized } = prepareMachine();

const network = (input_size: number, outputs: number, more: Partial<NetworkDefinition> = {}): NetworkDefinition => ({
  input_size,
  layers: [{ units: 9, activation: 'tanh' }, { units: outputs }],
  loss: 'mean_squared_error',
  ...more,
});

/** The same run on rows that were copied into the network's memory and on rows that lie apart. */
function expectSameApart(of: Case): void {
  const shown = [false, true].map((apart) => {
    const { compiled, block, data } = prepare({ ...of, apart, options: { revectorized } });
    const backend = compiled();
    return fingerprint(backend, backend.train(block), data);
  });
  expect(shown[1]).toEqual(shown[0]);
}

describe('rows in memories of their own', () => {
  // Vectors, pairs of them, what is left over, and rows that are copied as a whole.
  it.each([1, 3, 4, 5, 7, 8, 13, 128, 129, 300])('of %d inputs train to the bits of the reference', (width) => {
    for (const precision of ['float32', 'float64'] as const) {
      for (const weighted of [false, true]) {
        expectSame({
          definition: network(width, 3, { precision }),
          setup: { optimizer: 'sgd' },
          weighted,
          apart: true,
          options: { revectorized },
        });
      }
    }
  });

  it.each([2, 5, 140])('and %d targets or a label train as copied ones do', (outputs) => {
    const setup = { optimizer: 'adam', arithmetic: 'fused', clip_gradients: { max_norm: 1 } } as const;
    expectSameApart({ definition: network(6, outputs), setup, rows: 50 });
    const last = { units: outputs, activation: 'softmax' } as const;
    const layers = [{ units: 20, activation: 'relu', batch_norm: true } as const, last];
    const loss = 'sparse_categorical_cross_entropy';
    expectSameApart({ definition: network(6, outputs, { layers, loss }), setup, rows: 50, weighted: true });
  });

  it('that diverge are told as the reference tells it', () => {
    const definition = network(4, 1, { layers: [{ units: 9 }, { units: 1 }] });
    const shown = expectSame({ definition, setup: { optimizer: 'sgd' }, learning_rate: 1e30, apart: true });
    expect(shown.divergence).not.toBeNull();
  });

  it('take nothing of the memory of the network, however many they are', () => {
    const plan = planOf(network(1000, 1));
    const setup = { optimizer: 'sgd', arithmetic: 'fused', batch_size: 8, seed: 1 } as const;
    const bytes = (rows: number, leastBytes: number) => {
      const inputs = sharedFloats('float32', 1000 * rows, leastBytes);
      const data = { rows, inputs, targets: sharedFloats('float32', rows, leastBytes) };
      return tilesMemory(tilesOptions(plan, setup, data, chooseTile(setup, {})), data);
    };
    expect(bytes(900, 0)).toBe(bytes(9, 0));
    expect(bytes(900, Infinity)).toBe(bytes(900, 0) + 900 * 1001 * Float32Array.BYTES_PER_ELEMENT);
  });

  it('that are not in the precision of the network are copied, each array by itself', () => {
    const data = {
      rows: 2,
      inputs: sharedFloats('float64', 8, 0),
      targets: sharedFloats('float32', 2, 0),
      weights: new Float32Array(2),
    };
    expect(Object.keys(memoriesApart(data, 'float32'))).toEqual(['targets']);
    expect(Object.keys(memoriesApart(data, 'float64'))).toEqual(['inputs']);
    data.inputs.fill(0.5);
    data.weights.fill(1);
    const plan = planOf(network(4, 1));
    const setup = { optimizer: 'sgd', arithmetic: 'strict', batch_size: 2, seed: 1 } as const;
    const initial = { parameters: new Float32Array(plan.parameter_count).fill(0.1), statistics: new Float32Array(0) };
    const train = (rows: Data) => {
      const backend = createWasmBackend(plan, setup, rows, initial);
      if ('unsupported' in backend) throw new Error(backend.unsupported);
      const order = new Uint32Array([0, 1]);
      backend.train({ order, epoch_rows: 2, first_step: 1, learning_rates: new Float64Array([0.1]) });
      return backend.state().parameters;
    };
    const copied = { ...data, inputs: Float32Array.from(data.inputs), targets: data.targets.slice() };
    expect(train(data)).toEqual(train(copied));
  });
});

describe('shared numbers', () => {
  it('of less than 1 MiB have no memory of their own, and all others do', () => {
    const memoriesFor = (length: number) => {
      const inputs = sharedFloats('float32', length);
      return memoriesOf({ rows: 1, inputs, targets: inputs.subarray(0, 1) }).length;
    };
    expect([2 ** 18 - 1, 2 ** 18].map(memoriesFor)).toEqual([0, 2]);
  });

  it('that come from another thread are read where they lie once their memories are known', () => {
    const sent = { rows: 1, inputs: sharedFloats('float32', 4, 0), targets: new Float32Array(1) };
    const { received, memories } = structuredClone({ received: sent, memories: memoriesOf(sent) });
    expect(memoriesApart(received, 'float32')).toEqual({});
    keepMemories(memories);
    expect(memoriesApart(received, 'float32').inputs).toBe(memories[0]);
    sent.inputs[3] = 7;
    expect(received.inputs[3]).toBe(7);
  });
});
