/** All use cases of the service in one place, as the routes see them. */
import type { Config } from '../config.ts';
import type { Catalog } from '../schemas/catalog.ts';
import { openStore } from '../store/open.ts';
import { createCatalog } from './catalog.ts';
import { createNetworks, type Networks } from './networks.ts';

export interface Services {
  readonly networks: Networks;
  readonly catalog: Catalog;
  /** False while starting or stopping: new work is refused, and `/readyz` says so. */
  ready(): boolean;
  /** Resolves when the storage answers. */
  ping(): Promise<void>;
  /** Lets everything under way reach a safe point, then frees every resource. Not ready from the first moment. */
  close(): Promise<void>;
}

/** Opens the storage that the configuration names and wires the use cases to it. */
export async function openServices(config: Config): Promise<Services> {
  const { databaseUrl, dataDir } = config;
  const store = await openStore(databaseUrl === undefined ? { data_dir: dataDir } : { database_url: databaseUrl });
  let closing: Promise<void> | undefined;
  return {
    networks: createNetworks(store, config.limits),
    catalog: createCatalog(config.limits),
    ready: () => closing === undefined,
    ping: () => store.ping(),
    close: () => {
      closing ??= store.close();
      return closing;
    },
  };
}
