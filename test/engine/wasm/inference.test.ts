import { describe, expect, it } from 'vitest';
import type { Data, FloatArray, TrainingSetup } from '../../../src/engine/backend.ts';
import type { NetworkDefinition } from '../../../src/engine/definition.ts';
import { plan as planOf } from '../../../src/engine/plan.ts';
import { chooseTile } from '../../../src/engine/wasm/backend.ts';
import type { NetworkLayout, Rows } from '../../../src/engine/wasm/layout.ts';
import { emitTiles, type TilesExports, tilesLayout } from '../../../src/engine/wasm/tiles.ts';
import { tilesOptions } from '../../../src/engine/wasm/tiles-program.ts';
import { prepare, sha256 } from './compare.ts';

const THREADS = 3;
const GUARD = 0x3e;

/** A compiled network in a memory full of guard bytes, all of them small positive numbers. */
function guarded(definition: NetworkDefinition, trains = true) {
  const plan = planOf(definition);
  const setup: TrainingSetup = { arithmetic: 'fused', batch_size: 8, seed: 1, optimizer: 'sgd' };
  const data: Data = { rows: 8, inputs: new Float32Array(0), targets: new Float32Array(0) };
  const team = { members: THREADS - 1, least_operations: 0, offer: () => {} };
  const options = tilesOptions(plan, setup, data, chooseTile(setup, {}), { team, trains });
  const layout = tilesLayout(options);
  const pages = Math.ceil(layout.end / 65536);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  const bytes = new Uint8Array(memory.buffer).fill(GUARD);
  const module = new WebAssembly.Module(emitTiles(options, layout));
  const { exports } = new WebAssembly.Instance(module, { engine: { memory } });
  return { layout, bytes, exports: exports as unknown as TilesExports };
}

/** First byte and the byte behind the last one. */
type Bytes = readonly [number, number];

/** The places that a thread has to itself: its rows of every buffer. */
function ownBuffers({ layers, inputs, targets, rowLosses, bytesPerNumber, piece }: NetworkLayout, part: number) {
  const [first, end] = [part * piece, (part + 1) * piece];
  const rows = ({ base, stride }: Omit<Rows, 'columns'>): Bytes => [base + first * stride, base + end * stride];
  const perRow = (base: number) => rows({ base, stride: bytesPerNumber });
  return [
    rows(inputs),
    rows(targets),
    perRow(rowLosses),
    ...layers.flatMap((layer) => [
      ...[layer.preActivations, layer.activationInputs, layer.activations, layer.outputs, layer.deltas].map(rows),
      ...(layer.normalization ? [rows(layer.normalization.normalized)] : []),
      ...(layer.normalization ? [perRow(layer.normalization.inverseDeviations)] : []),
    ]),
  ];
}

function network(n: number, more: Partial<NetworkDefinition> = {}, layer = {}): NetworkDefinition {
  const layers = [
    { units: n, activation: 'relu' as const, ...layer },
    { units: n, activation: 'linear' as const },
  ];
  return { input_size: n, layers, loss: 'mean_squared_error', ...more };
}

const sizes = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 127, 131];

const cases: (readonly [string, NetworkDefinition])[] = [
  ...sizes.map((n) => [`${n} inputs, units and outputs`, network(n)] as const),
  ...[1, 2, 3, 9].map((n) => [`${n} of them, of 64 bits`, network(n, { precision: 'float64' })] as const),
  ['batch normalization', network(7, {}, { batch_norm: true })],
  ['layer normalization', network(7, {}, { layer_norm: true })],
  [
    'labels',
    {
      input_size: 5,
      layers: [{ units: 3, activation: 'softmax' }],
      loss: 'sparse_categorical_cross_entropy',
    },
  ],
];

describe('a single row', () => {
  it.each(sizes)('has the bits that it has among others: %d inputs, units and outputs', (n) => {
    const of = [
      { definition: network(n), arithmetic: 'strict' },
      { definition: network(n), arithmetic: 'fused' },
      { definition: network(n, {}, { use_bias: false, activation: 'tanh' }), arithmetic: 'fused' },
      { definition: network(n, { precision: 'float64' }), arithmetic: 'strict' },
      { definition: network(n, {}, { layer_norm: true }), arithmetic: 'fused' },
    ] as const;
    for (const [i, { definition, arithmetic }] of of.entries()) {
      const options = { revectorized: (n + i) % 2 === 0, tiny_after_steps: Infinity };
      const setup = { optimizer: 'sgd', arithmetic, batch_size: 1 } as const;
      const { data, compiled, reference } = prepare({ definition, setup, rows: 3, options });
      const backend = compiled();
      const all = backend.predict(data.inputs, 3);
      if (arithmetic === 'strict') expect(all).toEqual(reference().predict(data.inputs, 3));
      for (let row = 0; row < 3; row++) {
        const part = (values: FloatArray) => values.subarray(row * n, (row + 1) * n);
        expect(backend.predict(part(data.inputs), 1), `case ${i}, row ${row}`).toEqual(part(all));
      }
      const first = { rows: 1, inputs: data.inputs.subarray(0, n), targets: data.targets.subarray(0, n) };
      if (arithmetic === 'strict') expect(backend.evaluate(first)).toBe(reference().evaluate(first));
    }
  });
});

it.each(['fused', 'strict'] as const)('a row that overflows changes no bit of those beside it: %s', (arithmetic) => {
  const definition = {
    input_size: 64,
    layers: [{ units: 9, activation: 'tanh' as const }, { units: 3 }],
    loss: 'mean_squared_error' as const,
  };
  const { data, compiled, reference } = prepare({ definition, setup: { optimizer: 'sgd', arithmetic }, rows: 40 });
  const backend = compiled();
  const before = backend.predict(data.inputs, 40);
  const inputs = data.inputs.slice();
  const large = [0, 17, 39];
  for (const row of large) inputs.fill(3e38, row * 64, row * 64 + 64);
  const outputs = backend.predict(inputs, 40);
  const plain = reference().predict(inputs, 40);
  // Only there do the two round differently.
  expect(sha256(plain) === sha256(outputs)).toBe(arithmetic === 'strict');
  for (let row = 0; row < 40; row++) {
    const want = large.includes(row) ? plain : before;
    expect(outputs.subarray(row * 3, row * 3 + 3), `row ${row}`).toEqual(want.subarray(row * 3, row * 3 + 3));
  }
});

describe('what one of several threads predicts or evaluates', () => {
  it.each(cases)('stays in its rows and its buffers: %s', (_name, definition) => {
    const { layout, bytes, exports } = guarded(definition);
    const untouched = bytes.slice();
    const { piece, chunkOutputs, chunkLosses, checks, bytesPerNumber, plan } = layout;
    for (const rows of [0, 1, 5, piece - 1, piece, piece + 1, 3 * piece - 2]) {
      const [first, part] = [layout.granule * 2, 1];
      const width = plan.output_size * bytesPerNumber;
      const results = { infer: [chunkOutputs, width], evaluate: [chunkLosses, bytesPerNumber] } as const;
      for (const [name, [base, stride]] of Object.entries(results)) {
        bytes.fill(GUARD);
        exports[name as keyof typeof results](first, first + rows, part);
        const written: Bytes = [base + first * stride, base + (first + rows) * stride];
        if (rows > 0) expect(bytes.subarray(...written).some((byte) => byte !== GUARD)).toBe(true);
        for (const [from, to] of [written, ...ownBuffers(layout, part), [checks + 64, checks + 128]])
          bytes.fill(GUARD, from, to);
        expect(Buffer.compare(bytes, untouched), `${name} ${rows} rows`).toBe(0);
      }
    }
  });
});

describe('a network that is compiled to predict only', () => {
  const layers = {
    'plain layers': {},
    'batch normalization and dropout': { batch_norm: true, dropout: 0.5 },
    'layer normalization': { layer_norm: true, activation: 'tanh' },
    'an activation row by row': { activation: 'softmax' },
  } as const;

  it.each(Object.entries(layers))('has the outputs and the loss of one that trains: %s', (_name, layer) => {
    for (const rows of [1, 7, 300]) {
      const setup = { optimizer: 'sgd', arithmetic: 'fused' } as const;
      const of = { definition: network(5, {}, layer), setup, rows };
      const { data, compiled: trains } = prepare(of);
      const { compiled: predicts } = prepare({ ...of, options: { trains: false } });
      const backend = predicts();
      expect(backend.predict(data.inputs, rows)).toEqual(trains().predict(data.inputs, rows));
      expect(backend.evaluate(data)).toBe(trains().evaluate(data));
    }
  });

  it('has no code for steps, and says so when it is to take one', () => {
    const options = { trains: false };
    const { block, compiled } = prepare({ definition: network(5), setup: { optimizer: 'sgd' }, options });
    expect(Object.keys(guarded(network(5), true).exports)).toContain('step');
    expect(Object.keys(guarded(network(5), false).exports)).not.toContain('step');
    expect(() => compiled().train(block)).toThrow('compiled without its training');
  });
});
