/** Reading a data set away from the main thread: how the thread is started, and what it says. */
import { Worker } from 'node:worker_threads';
import type { DatasetProfile } from './dataset.ts';
import type { FinishOptions } from './finish.ts';
import type { GenerateRequest } from './generate.ts';
import { DatasetError, type DatasetProblem } from './problems.ts';
import type { ReadOptions } from './read.ts';

export interface ThreadInput {
  readonly work: { readonly path: string; readonly options: ReadOptions } | GenerateRequest;
  readonly finish: FinishOptions;
  /** One Int32: how many parts the main thread has stored. */
  readonly stored: SharedArrayBuffer;
}

export type ThreadMessage =
  | { readonly kind: 'part'; readonly number: number; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly kind: 'done'; readonly profile: DatasetProfile }
  | { readonly kind: 'refused'; readonly problems: readonly DatasetProblem[] };

/**
 * Reads a file, or draws a toy data set, in a thread of its own; parts are stored as they come, in order.
 * @throws {DatasetError} with what is wrong with the data
 */
export async function readInThread(
  work: ThreadInput['work'],
  finish: FinishOptions,
  store: (number: number, part: Uint8Array<ArrayBuffer>) => Promise<void>,
): Promise<DatasetProfile> {
  const stored = new SharedArrayBuffer(4);
  const input: ThreadInput = { work, finish, stored };
  const thread = new Worker(new URL('./thread.ts', import.meta.url), { workerData: input, name: 'dataset' });
  const counter = new Int32Array(stored);
  let storing = Promise.resolve();
  try {
    const profile = await new Promise<DatasetProfile>((resolve, reject) => {
      thread.on('message', (message: ThreadMessage) => {
        if (message.kind === 'done') resolve(message.profile);
        else if (message.kind === 'refused') reject(new DatasetError(message.problems));
        else {
          storing = storing
            .then(() => store(message.number, message.bytes))
            .then(() => {
              Atomics.add(counter, 0, 1);
              Atomics.notify(counter, 0);
            });
          storing.catch(reject);
        }
      });
      thread.on('error', reject);
      thread.on('exit', (code) => reject(new Error(`the thread that reads the data set ended with code ${code}`)));
    });
    await storing;
    return profile;
  } finally {
    await thread.terminate();
  }
}
