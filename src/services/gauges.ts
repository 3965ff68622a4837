/** How much there is to do and who does it, as the metrics show it. */
import type { Room } from '../store/room.ts';
import type { Store } from '../store/store.ts';
import type { TrainingPool } from '../training/pool.ts';
import { jobStates, namesOf } from '../training/states.ts';

export interface Gauge {
  readonly help: string;
  readonly label?: string;
  /** One value, or one for each value of the label. */
  read(): Promise<number | Readonly<Record<string, number>>>;
}

export type Gauges = Readonly<Record<string, Gauge>>;

export function createGauges(
  store: Pick<Store, 'jobs' | 'queue'>,
  pool: Pick<TrainingPool, 'workers' | 'idle'>,
  room: Room,
): Gauges {
  const states = namesOf(jobStates);
  return {
    trainyard_jobs: {
      help: 'Jobs by state.',
      label: 'state',
      async read() {
        const counts = await store.jobs.counts();
        return Object.fromEntries(states.map((state) => [state, counts[state] ?? 0]));
      },
    },
    trainyard_queue_depth: {
      help: 'Jobs that wait for a worker.',
      read: async () => (await store.queue.depth()).waiting,
    },
    trainyard_workers: { help: 'Threads that train.', read: async () => pool.workers },
    trainyard_workers_busy: { help: 'Threads that are training a job.', read: async () => pool.workers - pool.idle },
    trainyard_storage_full: {
      help: '1 while the disk is full, jobs rest, and nothing new is taken in.',
      read: async () => Number(room.isFull),
    },
  };
}
