/** Prints the SHA-256 of what fused training by tiles and unrolled ends with. A process of its own: the flags of V8 hold for all of it. */
import { createHash } from 'node:crypto';
import type { NetworkDefinition } from '../../../src/engine/definition.ts';
import { initialParameters, plan } from '../../../src/engine/plan.ts';
import { createWasmBackend } from '../../../src/engine/wasm/backend.ts';

const definition: NetworkDefinition = {
  input_size: 5,
  layers: [
    { units: 9, activation: 'gelu' },
    { units: 7, activation: 'tanh' },
    { units: 3, activation: 'softmax' },
  ],
  loss: 'categorical_cross_entropy',
};
const rows = 19;
const planned = plan(definition);
const setup = { optimizer: 'adam', arithmetic: 'fused', batch_size: 8, seed: 1 } as const;
const data = {
  rows,
  inputs: Float32Array.from({ length: rows * 5 }, (_, i) => ((i * 37) % 101) / 50 - 1),
  targets: Float32Array.from({ length: rows * 3 }, (_, i) => Number(i % 3 === Math.floor(i / 3) % 3)),
};
const order = Uint32Array.from({ length: rows * 20 }, (_, i) => i % rows);
const learning_rates = new Float64Array(60).fill(0.01);
const hash = createHash('sha256');
for (const revectorized of [false, true]) {
  for (const tiny_after_steps of [Infinity, 0]) {
    const options = { tiny_after_steps, revectorized };
    const backend = createWasmBackend(planned, setup, data, initialParameters(planned, definition, 1), options);
    if ('unsupported' in backend) throw new Error(backend.unsupported);
    const { losses } = backend.train({ order, epoch_rows: rows, first_step: 1, learning_rates });
    const { parameters, slots } = backend.state();
    for (const array of [losses, parameters, ...slots]) hash.update(new Uint8Array(array.buffer));
  }
}
console.log(hash.digest('hex'));
