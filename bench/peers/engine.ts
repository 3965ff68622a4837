/**
 * Our engine, compiled as a worker compiles it. Arguments: the arithmetic, how many threads carry out a step, and
 * `narrow` for a machine whose V8 does not join vectors.
 * Exits when the input ends, whatever its threads wait for.
 */
import { setFlagsFromString } from 'node:v8';
import { Worker } from 'node:worker_threads';
import { createBackend } from '../../src/engine/backends.ts';
import { arithmetics } from '../../src/engine/definition.ts';
import { initialParameters, plan } from '../../src/engine/plan.ts';
import { disband, type TeamCells, type TeamWork } from '../../src/engine/wasm/team-cells.ts';
import { prepareMachine } from '../../src/training/revectorize.ts';
import { serve } from '../peer.ts';
import { dataOf, LEARNING_RATE, type Workload } from '../workloads.ts';

const arithmetic = arithmetics.find((mode) => mode === process.argv[2]) ?? 'fused';
const narrow = process.argv[4] === 'narrow';
const revectorized = prepareMachine().revectorized && !narrow;
if (narrow) setFlagsFromString('--no-experimental-wasm-revectorize');

const threads = Number(process.argv[3] ?? 1);
const helpers = Array.from({ length: threads - 1 }, () => new Worker(new URL('engine-helper.ts', import.meta.url)));
/** Threads that carried out the last step. */
let together = 1;
let cells: TeamCells | undefined;

/** The helpers leave the workload before this one for it. */
const team = {
  members: helpers.length,
  offer: (work: TeamWork) => {
    if (cells !== undefined) disband(cells);
    cells = work.cells;
    for (const [member, helper] of helpers.entries()) helper.postMessage({ work, member });
  },
};

/** Row numbers and learning rates of so many steps; they stay the same from one spell of as many steps to the next. */
function workOf(count: number, batch: number, rows: number) {
  const order = Uint32Array.from({ length: count * batch }, (_, i) => i % rows);
  return { order, epoch_rows: rows, learning_rates: new Float64Array(count).fill(LEARNING_RATE) };
}

function prepare(workload: Workload) {
  const { sizes, hidden, output, loss, optimizer, batch } = workload;
  const { rows, inputs, targets } = dataOf(workload);
  const layers = sizes.slice(1).map((units, i) => ({ units, activation: i === sizes.length - 2 ? output : hidden }));
  const definition = { input_size: sizes[0], layers, loss };
  const planned = plan(definition);
  const setup = { optimizer, arithmetic, batch_size: batch, seed: 1 };
  const initial = initialParameters(planned, definition, 1);
  const { backend, reason } = createBackend(planned, setup, { rows, inputs, targets }, initial, {
    revectorized,
    team: helpers.length === 0 ? undefined : team,
  });
  if (backend.name !== 'wasm') throw new Error(reason);
  if (workload.task === 'predict') {
    const batchInputs = inputs.slice(0, batch * sizes[0]);
    return (count: number) => {
      for (let i = 0; i < count; i++) backend.predict(batchInputs, batch);
    };
  }
  let step = 1;
  let work = workOf(0, batch, rows);
  return (count: number) => {
    if (work.learning_rates.length !== count) work = workOf(count, batch, rows);
    const { divergence } = backend.train({ ...work, first_step: step });
    if (divergence !== null) throw new Error(`diverged at step ${divergence.step}`);
    step += count;
    together = backend.threads;
  };
}

await serve(prepare, () => `${revectorized ? '256-bit' : '128-bit'}${together > 1 ? `, ${together} threads` : ''}`);
process.exit();
