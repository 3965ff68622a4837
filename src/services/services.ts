/** All use cases of the service in one place, as the routes see them. */
import { join } from 'node:path';
import type { Config } from '../config.ts';
import type { Catalog } from '../schemas/catalog.ts';
import { openStore } from '../store/open.ts';
import { createPool } from '../training/pool.ts';
import { createCatalog } from './catalog.ts';
import { createDatasets, type Datasets } from './datasets.ts';
import { createGradients, type Gradients } from './gradients/gradients.ts';
import { createJobs, type Jobs } from './jobs.ts';
import { type Log, silentLog } from './log.ts';
import { createNetworks, type Networks } from './networks.ts';
import { openUploads } from './uploads.ts';

export interface Services {
  readonly networks: Networks;
  readonly datasets: Datasets;
  readonly jobs: Jobs;
  readonly gradients: Gradients;
  readonly catalog: Catalog;
  /** False while starting or stopping: new work is refused, and `/readyz` says so. */
  ready(): boolean;
  /** Resolves when the storage answers. */
  ping(): Promise<void>;
  /** Lets everything under way reach a safe point, then frees every resource. Not ready from the first moment. */
  close(): Promise<void>;
}

/** Step points that are stored at once: few enough that storing them does not hold up the API (a million takes 170 ms). */
const storedPoints = 2 ** 18;

/** Opens the storage that the configuration names and wires the use cases to it. */
export async function openServices(config: Config, log: Log = silentLog): Promise<Services> {
  const { databaseUrl, dataDir } = config;
  const store = await openStore(databaseUrl === undefined ? { data_dir: dataDir } : { database_url: databaseUrl });
  const uploads = await openUploads(join(dataDir, 'uploads'), config.limits.max_upload_bytes);
  const datasets = createDatasets(store, uploads, config.limits);
  const pool = createPool({ workers: config.maxWorkers, settings: { checkpoint_after_points: storedPoints } });
  const jobs = createJobs({ store, pool, datasets, limits: config.limits, log });
  await jobs.start();
  let closing: Promise<void> | undefined;
  return {
    networks: createNetworks(store, config.limits),
    datasets,
    jobs,
    gradients: createGradients(config.limits),
    catalog: createCatalog(config.limits),
    ready: () => closing === undefined,
    ping: () => store.ping(),
    close: () => {
      closing ??= Promise.all([jobs.close(), datasets.close()]).then(() => store.close());
      return closing;
    },
  };
}
