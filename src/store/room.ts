/**
 * What the service does when the disk is full. A reserve is kept as a blob. The first write that finds no room gives it
 * up, so that jobs can be brought to rest and things can be deleted; from then on nothing that takes room is begun,
 * until as much as was missing, and the reserve, fit again.
 */
import { randomBytes } from 'node:crypto';
import { datasetPrefix, type JobChange, jobPrefix, type Store, StoreError } from './store.ts';

export interface Room {
  /** Whether the last write that took room found none. */
  readonly isFull: boolean;
  /** Looks whether there is room again; true when there is. Rejects only when the storage fails otherwise. */
  regain(): Promise<boolean>;
}

/** The room of a store that is not watched. */
export const endlessRoom: Room = { isFull: false, regain: async () => true };

/** Bringing a job to rest takes some 40 kB of the write-ahead log; this is enough for dozens of workers. */
export const reserveBytes = 2 ** 21;
const reserveKey = 'reserve/room';
const probeKey = 'reserve/probe';

/** Not zeros, which some file systems store without taking room. */
const filling = randomBytes(2 ** 20);

const nothing = async () => {};

async function* piecesOf(bytes: number): AsyncGenerator<Uint8Array> {
  for (let left = bytes; left > 0; left -= filling.length) yield filling.subarray(0, Math.min(left, filling.length));
}

export const isFullError = (error: unknown): boolean => error instanceof StoreError && error.code === 'storage_full';

class Reserve implements Room {
  readonly #blobs: Store['blobs'];
  /** Bytes of the largest write that found no room. */
  #missing = 0;
  /** How often the reserve was given up. */
  #losses = 0;
  isFull = false;

  constructor(blobs: Store['blobs']) {
    this.#blobs = blobs;
  }

  async regain(): Promise<boolean> {
    const losses = this.#losses;
    try {
      await this.#blobs.put(probeKey, piecesOf(this.#missing + reserveBytes));
      await this.#blobs.delete(probeKey);
      await this.#blobs.put(reserveKey, piecesOf(reserveBytes));
    } catch (error) {
      if (!isFullError(error)) throw error;
      this.isFull = true;
      return false;
    }
    // A write that found no room meanwhile knows better.
    if (this.#losses !== losses) return false;
    this.isFull = false;
    this.#missing = 0;
    return true;
  }

  /**
   * A write that takes room: refused at once while there is none.
   * @param undo deletes the blobs that were put for what is not written; after other faults the sweep does
   */
  async taking<T>(bytes: number, write: () => Promise<T>, undo: () => Promise<unknown> = nothing): Promise<T> {
    const wasFull = this.isFull;
    try {
      if (wasFull) throw new StoreError('storage_full', 'The disk is full; nothing new is taken in.');
      return await write();
    } catch (error) {
      if (isFullError(error)) await Promise.allSettled([undo()]);
      if (isFullError(error) && !wasFull) await this.#giveUp(bytes);
      throw error;
    }
  }

  /** A write that must get through: tried again on the room of the reserve. It has written nothing when it finds no room. */
  async essential<T>(write: () => Promise<T>): Promise<T> {
    try {
      return await write();
    } catch (error) {
      if (!isFullError(error)) throw error;
      await this.#giveUp(0);
      return write();
    }
  }

  async #giveUp(bytes: number): Promise<void> {
    this.isFull = true;
    this.#losses += 1;
    this.#missing = Math.max(this.#missing, bytes);
    await Promise.allSettled([this.#blobs.delete(probeKey), this.#blobs.delete(reserveKey)]);
  }
}

const keysOf = ({ checkpoints = [] }: JobChange) => checkpoints.map(({ blob_key }) => blob_key);

async function isKept(blobs: Store['blobs']): Promise<boolean> {
  for await (const { key, size } of blobs.list('reserve/'))
    if (key === reserveKey && size === reserveBytes) return true;
  return false;
}

/** The store, with room kept in reserve. */
export async function keepRoom(store: Store): Promise<{ readonly store: Store; readonly room: Room }> {
  const reserve = new Reserve(store.blobs);
  if (!(await isKept(store.blobs))) await reserve.regain();
  const { networks, datasets, jobs, queue, blobs } = store;
  const guarded: Store = {
    ...store,
    networks: {
      ...networks,
      create: (...given) => reserve.taking(0, () => networks.create(...given)),
      delete: (id) => reserve.essential(() => networks.delete(id)),
    },
    datasets: {
      ...datasets,
      create: (record, ...given) =>
        reserve.taking(
          0,
          () => datasets.create(record, ...given),
          () => blobs.deleteAll(datasetPrefix(record.id)),
        ),
      delete: (...given) => reserve.essential(() => datasets.delete(...given)),
    },
    jobs: {
      ...jobs,
      create: (creation) =>
        reserve.taking(
          0,
          () => jobs.create(creation),
          () => blobs.deleteAll(jobPrefix(creation.job.id)),
        ),
      change: (change) =>
        change.checkpoints === undefined
          ? reserve.essential(() => jobs.change(change))
          : reserve.taking(
              0,
              () => jobs.change(change),
              () => Promise.allSettled(keysOf(change).map((key) => blobs.delete(key))),
            ),
      delete: (...given) => reserve.essential(() => jobs.delete(...given)),
    },
    queue: { ...queue, claim: (request) => reserve.taking(0, () => queue.claim(request)) },
    blobs: {
      put: (key, content) =>
        reserve.taking(content instanceof Uint8Array ? content.length : 0, () => blobs.put(key, content)),
      get: (key) => blobs.get(key),
      stream: (key) => blobs.stream(key),
      delete: (key) => blobs.delete(key),
      deleteAll: (prefix) => blobs.deleteAll(prefix),
      list: (prefix) => blobs.list(prefix),
    },
  };
  return { store: guarded, room: reserve };
}
