/** All use cases of the service in one place, as the routes see them. */
import { join } from 'node:path';
import type { Config } from '../config.ts';
import type { Catalog } from '../schemas/catalog.ts';
import { type Foundation, openStore } from '../store/open.ts';
import { keepRoom } from '../store/room.ts';
import { createPool } from '../training/pool.ts';
import { createCatalog } from './catalog.ts';
import { collectAtRest } from './collect-at-rest.ts';
import { createDatasets, type Datasets } from './datasets.ts';
import { createGauges, type Gauges } from './gauges.ts';
import { createGradients, type Gradients } from './gradients/gradients.ts';
import { createJobs, type Jobs } from './jobs.ts';
import { type Log, silentLog } from './log.ts';
import { createNetworks, type Networks } from './networks.ts';
import { createLinePredictions, type LinePredictions } from './prediction-lines.ts';
import { openUploads } from './uploads.ts';

export interface Services {
  readonly networks: Networks;
  readonly datasets: Datasets;
  readonly jobs: Jobs;
  readonly linePredictions: LinePredictions;
  readonly gradients: Gradients;
  readonly catalog: Catalog;
  /** For `/metrics`. */
  readonly gauges: Gauges;
  /** False while starting or stopping: new work is refused, and `/readyz` says so. */
  ready(): boolean;
  /** Gets ready what the first job needs, and gives back what starting has left: to be called when the service listens. */
  warmUp(): Promise<void>;
  /** Resolves when the storage answers. */
  ping(): Promise<void>;
  /** Lets everything under way reach a safe point, then frees every resource. Not ready from the first moment. */
  close(): Promise<void>;
}

/** Step points that are stored at once: few enough that storing them does not hold up the API. */
const storedPoints = 2 ** 18;

/** What tests put in the place of the real thing. */
export interface Surroundings {
  readonly foundation?: Foundation;
  readonly storage_retry_ms?: number;
}

/** Opens the storage that the configuration names and wires the use cases to it. */
export async function openServices(
  config: Config,
  log: Log = silentLog,
  { foundation, storage_retry_ms }: Surroundings = {},
): Promise<Services> {
  const { databaseUrl, dataDir, limits } = config;
  const place = databaseUrl === undefined ? { data_dir: dataDir } : { database_url: databaseUrl };
  const { store, room } = await keepRoom(await openStore(place, Date.now, foundation));
  const uploads = await openUploads({
    folder: join(dataDir, 'uploads'),
    max_bytes: limits.max_upload_bytes,
    // Only a directory with an embedded database is sure to belong to one process.
    abandoned_after: databaseUrl === undefined ? 0 : 3_600_000,
    files: foundation?.files,
  });
  const datasets = createDatasets(store, uploads, limits);
  const linePredictions = createLinePredictions(store, uploads);
  const pool = createPool({
    workers: config.maxWorkers,
    threads_per_run: config.maxThreadsPerJob,
    settings: { checkpoint_after_points: storedPoints },
    cold: true,
  });
  const { webhooks } = config;
  const jobs = createJobs({ store, pool, datasets, limits, log, room, storage_retry_ms, webhooks });
  await jobs.start();
  const gradients = createGradients(limits);
  let closing: Promise<void> | undefined;
  return {
    networks: createNetworks(store, limits),
    datasets,
    jobs,
    linePredictions,
    gradients,
    catalog: createCatalog(limits),
    gauges: createGauges(store, pool, room),
    ready: () => closing === undefined,
    warmUp: async () => {
      await pool.warmUp();
      collectAtRest(pool);
    },
    ping: () => store.ping(),
    close: () => {
      closing ??= Promise.all([jobs.close(), datasets.close(), linePredictions.close(), gradients.close()]).then(() =>
        store.close(),
      );
      return closing;
    },
  };
}
