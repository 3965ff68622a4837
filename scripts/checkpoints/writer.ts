/** The process that is killed: a service that does nothing but save checkpoints of one job, and says which are accepted. */
import { defaultLimits } from '../../src/config.ts';
import { jobInput } from '../../src/schemas/job.ts';
import { createJobs } from '../../src/services/jobs.ts';
import { silentLog } from '../../src/services/log.ts';
import { openStore } from '../../src/store/open.ts';
import { createEagerPool } from './eager-pool.ts';

/** Some 17,000 parameters with two moments each: a checkpoint of 400 kB, which takes a while to write. */
const body = {
  network: {
    input_size: 64,
    layers: [{ units: 128, activation: 'tanh' }, { units: 64, activation: 'tanh' }, { units: 1 }],
    loss: 'mean_squared_error',
    precision: 'float64',
  },
  data: {
    inputs: Array.from({ length: 8 }, (_, row) => Array.from({ length: 64 }, (_, i) => ((row * 31 + i * 7) % 13) / 13)),
    targets: Array.from({ length: 8 }, (_, row) => [row % 2]),
  },
  epochs: 1_000_000,
  batch_size: 4,
  optimizer: 'adam',
};

// A writer does not outlive the process that started it.
process.once('disconnect', () => process.exit());

const store = await openStore({ data_dir: process.argv[2]! });
const pool = createEagerPool({
  workers: 1,
  rest_at_step: Number.POSITIVE_INFINITY,
  onSaved: (step) => process.send?.(step),
});
const datasets = { load: async () => undefined };
const jobs = createJobs({ store, pool, datasets, limits: defaultLimits, log: silentLog });
if ((await store.jobs.list({ limit: 1 })).data.length === 0) await jobs.create(jobInput.parse(body));
await jobs.start();
