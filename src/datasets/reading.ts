/** Reading data sets away from the main thread: the threads that do it, and what is said to and by them. */
import { Worker } from 'node:worker_threads';
import type { DatasetProfile } from './dataset.ts';
import type { FinishOptions } from './finish.ts';
import type { ReadOptions } from './formats.ts';
import type { GenerateRequest } from './generate.ts';
import { DatasetError, type DatasetProblem } from './problems.ts';

/** A file to be read, or a toy data set to be drawn. */
export type ReadingWork = { readonly path: string; readonly options: ReadOptions } | GenerateRequest;

export interface ReadingTask {
  readonly work: ReadingWork;
  readonly finish: FinishOptions;
  /** One Int32: how many parts the main thread has stored. */
  readonly stored: SharedArrayBuffer;
}

export type ThreadMessage =
  | { readonly kind: 'part'; readonly number: number; readonly bytes: Uint8Array<ArrayBuffer> }
  | ((
      | { readonly kind: 'done'; readonly profile: DatasetProfile }
      | { readonly kind: 'refused'; readonly problems: readonly DatasetProblem[] }
    ) & {
      /** Bytes that the thread holds, garbage included. */
      readonly held: number;
    });

export type End = Exclude<ThreadMessage, { readonly kind: 'part' }>;

/** Keeps one part; they come in order. */
export type StorePart = (number: number, part: Uint8Array<ArrayBuffer>) => Promise<void>;

export interface Readers {
  /**
   * Reads in a thread of its own, as soon as one is free.
   * @throws {DatasetError} with what is wrong with the data
   */
  read(work: ReadingWork, finish: FinishOptions, store: StorePart): Promise<DatasetProfile>;
  /** Ends the threads; what they are reading fails. */
  close(): Promise<void>;
}

const maxHeld = 24 * 2 ** 20;

/** An idle thread collects no garbage: after large data it is worth less than its memory, and is ended. */
export const isLarge = ({ held }: End): boolean => held > maxHeld;

/** @param atOnce threads at most; each is started when it is first needed and kept, idle ones do not hold the process */
export function openReaders(atOnce: number): Readers {
  const idle: Worker[] = [];
  const rest = async (thread: Worker, end: End) => {
    if (isLarge(end)) await thread.terminate();
    else idle.push(thread);
  };
  const all = new Set<Worker>();
  const waiting: (() => void)[] = [];
  let busy = 0;
  return {
    async read(work, finish, store) {
      // A task that ends hands its place on, so that nobody slips in between.
      if (busy >= atOnce) await new Promise<void>((resolve) => waiting.push(resolve));
      else busy += 1;
      const thread = idle.pop() ?? startThread(all);
      try {
        const end = await readIn(thread, { work, finish, stored: new SharedArrayBuffer(4) }, store);
        // After a refusal the thread is as good as new.
        await rest(thread, end);
        if (end.kind === 'done') return end.profile;
        throw new DatasetError(end.problems);
      } catch (error) {
        // After anything else nobody knows.
        if (!(error instanceof DatasetError)) await thread.terminate();
        throw error;
      } finally {
        thread.unref();
        const next = waiting.shift();
        if (next === undefined) busy -= 1;
        else next();
      }
    },
    async close() {
      await Promise.all([...all].map((thread) => thread.terminate()));
    },
  };
}

function startThread(all: Set<Worker>): Worker {
  const thread = new Worker(new URL('./thread.ts', import.meta.url), { name: 'dataset' });
  all.add(thread);
  thread.on('exit', () => all.delete(thread));
  return thread;
}

async function readIn(thread: Worker, task: ReadingTask, store: StorePart): Promise<End> {
  const { promise, resolve, reject } = Promise.withResolvers<End>();
  const counter = new Int32Array(task.stored);
  let storing = Promise.resolve();
  const onMessage = (message: ThreadMessage): void => {
    if (message.kind !== 'part') resolve(message);
    else {
      storing = storing
        .then(() => store(message.number, message.bytes))
        .then(() => {
          Atomics.add(counter, 0, 1);
          Atomics.notify(counter, 0);
        });
      storing.catch(reject);
    }
  };
  const onExit = (code: number): void => reject(new Error(`the thread that reads data sets ended with code ${code}`));
  thread.ref();
  thread.on('message', onMessage).on('error', reject).on('exit', onExit);
  try {
    thread.postMessage(task);
    const end = await promise;
    await storing;
    return end;
  } finally {
    thread.off('message', onMessage).off('error', reject).off('exit', onExit);
  }
}
