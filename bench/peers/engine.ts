/** Our engine, compiled as a worker compiles it; `strict` as the first argument for strict arithmetic. */
import { createBackend } from '../../src/engine/backends.ts';
import { arithmetics } from '../../src/engine/definition.ts';
import { initialParameters, plan } from '../../src/engine/plan.ts';
import { prepareMachine } from '../../src/training/revectorize.ts';
import { serve } from '../peer.ts';
import { dataOf, LEARNING_RATE, type Workload } from '../workloads.ts';

const arithmetic = arithmetics.find((mode) => mode === process.argv[2]) ?? 'fused';
const { revectorized } = prepareMachine();

function prepare(workload: Workload) {
  const { sizes, hidden, output, loss, optimizer, batch } = workload;
  const { rows, inputs, targets } = dataOf(workload);
  const layers = sizes.slice(1).map((units, i) => ({ units, activation: i === sizes.length - 2 ? output : hidden }));
  const definition = { input_size: sizes[0], layers, loss };
  const planned = plan(definition);
  const setup = { optimizer, arithmetic, batch_size: batch, seed: 1 };
  const initial = initialParameters(planned, definition, 1);
  const { backend, reason } = createBackend(planned, setup, { rows, inputs, targets }, initial, { revectorized });
  if (backend.name !== 'wasm') throw new Error(reason);
  if (workload.task === 'predict') {
    const batchInputs = inputs.slice(0, batch * sizes[0]);
    return (count: number) => {
      for (let i = 0; i < count; i++) backend.predict(batchInputs, batch);
    };
  }
  const epoch = Uint32Array.from({ length: rows }, (_, i) => i);
  let step = 1;
  return (count: number) => {
    const order = new Uint32Array(count * batch);
    for (let start = 0; start < order.length; start += rows)
      order.set(epoch.subarray(0, Math.min(rows, order.length - start)), start);
    const learning_rates = new Float64Array(count).fill(LEARNING_RATE);
    const { divergence } = backend.train({ order, epoch_rows: rows, first_step: step, learning_rates });
    if (divergence !== null) throw new Error(`diverged at step ${divergence.step}`);
    step += count;
  };
}

await serve(prepare, revectorized ? '256-bit' : '128-bit');
