import { createHash } from 'node:crypto';
import { expect } from 'vitest';
import type { Backend, BlockResult, Data, FloatArray, TrainingSetup } from '../../../src/engine/backend.ts';
import type { NetworkDefinition } from '../../../src/engine/definition.ts';
import { initialParameters, plan as planOf } from '../../../src/engine/plan.ts';
import { createReferenceBackend } from '../../../src/engine/reference/backend.ts';
import { createWasmBackend, type WasmOptions } from '../../../src/engine/wasm/backend.ts';
import { sharedFloats } from '../../../src/engine/wasm/data-memory.ts';

export interface Case {
  readonly definition: NetworkDefinition;
  readonly setup: Partial<TrainingSetup> & Pick<TrainingSetup, 'optimizer'>;
  readonly rows?: number;
  readonly epochs?: number;
  readonly weighted?: boolean;
  /** The rows lie in memories of their own. */
  readonly apart?: boolean;
  readonly learning_rate?: number;
  /** The inputs are as large as this. */
  readonly scale?: number;
  readonly options?: WasmOptions;
}

export const sha256 = (values: FloatArray) =>
  createHash('sha256')
    .update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
    .digest('hex');

/** Numbers in [0, 1) that look random and are the same in every run. */
export const noise = (index: number) => {
  const x = Math.sin(index * 12.9898 + 1) * 43758.5453;
  return x - Math.floor(x);
};

function targetsFor(kind: string, values: readonly number[], rows: number, units: number): number[] {
  const cells = Array.from({ length: rows * units }, (_, i) => noise(i + 99));
  if (kind === 'label') return Array.from({ length: rows }, (_, i) => Math.floor(noise(i + 7) * units));
  if (kind === 'values') return cells.map((x) => values[Math.floor(x * values.length)]);
  if (kind !== 'distribution') return cells;
  return cells.map((_, i) => (i % units === Math.floor(noise(Math.floor(i / units) + 7) * units) ? 1 : 0));
}

/** A network, data and a block of training, and a back end of each kind for them. */
export function prepare({
  definition,
  setup,
  rows = 21,
  epochs = 3,
  weighted = false,
  apart = false,
  learning_rate = 0.02,
  scale = 1,
  options,
}: Case) {
  const plan = planOf(definition);
  const array = (values: readonly number[]): FloatArray => {
    const numbers = sharedFloats(plan.precision, values.length, apart ? 0 : Infinity);
    numbers.set(values);
    return numbers;
  };
  const domain = plan.loss.entry.target_domain;
  const values = domain.kind === 'values' ? domain.values : [];
  const data: Data = {
    rows,
    inputs: array(Array.from({ length: rows * plan.input_size }, (_, i) => (noise(i) * 2 - 1) * scale)),
    targets: array(targetsFor(domain.kind, values, rows, plan.output_size)),
    ...(weighted ? { weights: array(Array.from({ length: rows }, (_, i) => noise(i + 5) + 0.5)) } : {}),
  };
  const full: TrainingSetup = { arithmetic: 'strict', batch_size: 8, seed: 2 ** 40 + 7, ...setup };
  const initial = initialParameters(plan, definition, 1);
  const steps = Math.ceil(rows / full.batch_size) * epochs;
  const block = {
    order: Uint32Array.from({ length: rows * epochs }, (_, i) => (i * 11) % rows),
    epoch_rows: rows,
    first_step: 1,
    learning_rates: Float64Array.from({ length: steps }, (_, i) => learning_rate / (1 + i / 10)),
  };
  const compiled = () => {
    const backend = createWasmBackend(plan, full, data, initial, options);
    if ('unsupported' in backend) throw new Error(`not compiled: ${backend.unsupported}`);
    return backend;
  };
  return { plan, data, block, compiled, reference: () => createReferenceBackend(plan, full, data, initial) };
}

/** Everything that a run shows, in bits. */
export function fingerprint(backend: Backend, result: BlockResult, data: Data): Record<string, unknown> {
  const { parameters, slots, scalars, statistics } = backend.state();
  return {
    losses: sha256(result.losses),
    parameters: sha256(parameters),
    slots: slots.map(sha256),
    scalars: sha256(scalars),
    statistics: sha256(statistics),
    outputs: sha256(backend.predict(data.inputs, data.rows)),
    evaluation: backend.evaluate(data),
    steps_done: result.steps_done,
    divergence: result.divergence,
  };
}

/** Trains by the reference, by tiles and, where the network is small enough, unrolled; all must show the same bits. */
export function expectSame(of: Case): Record<string, unknown> {
  const { data, block, reference } = prepare(of);
  const plain = reference();
  const want = fingerprint(plain, plain.train(block), data);
  for (const tiny_after_steps of [Infinity, 0]) {
    const compiled = prepare({ ...of, options: { ...of.options, tiny_after_steps } }).compiled();
    expect(fingerprint(compiled, compiled.train(block), data), compiled.strategy).toEqual(want);
  }
  return want;
}
