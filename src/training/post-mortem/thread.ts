/** The thread in which runs are replayed, so that neither the API nor any training has to wait for it. */
import { Worker } from 'node:worker_threads';
import type { CompilingWorkerOptions } from '../protocol.ts';
import { compilerHere } from '../revectorize.ts';
import type { FromPostMortem, PostMortemQuestions, QuestionName, ToPostMortem } from './protocol.ts';

export interface PostMortems {
  /** Rejects with a coded error when the question cannot be answered or the thread dies. */
  ask<Q extends QuestionName>(name: Q, asked: PostMortemQuestions[Q]): Promise<string>;
  close(): Promise<void>;
}

/** Like training, it yields to the API. */
const niceness = 10;
const entry = new URL('./worker.ts', import.meta.url);

/** The thread itself is started by the first question. */
export function createPostMortems(): PostMortems {
  return new PostMortemThread();
}

class PostMortemThread implements PostMortems {
  readonly #pending = new Map<number, PromiseWithResolvers<string>>();
  #worker: Worker | null = null;
  #asked = 0;

  ask<Q extends QuestionName>(name: Q, asked: PostMortemQuestions[Q]): Promise<string> {
    const pending = Promise.withResolvers<string>();
    const id = this.#asked++;
    this.#pending.set(id, pending);
    this.#worker ??= this.#start();
    this.#worker.postMessage({ id, name, asked } as ToPostMortem);
    return pending.promise;
  }

  async close(): Promise<void> {
    await this.#worker?.terminate();
  }

  #start(): Worker {
    const workerData: CompilingWorkerOptions = { niceness, compiler: compilerHere() };
    // What the process was started with (a debugger's port, a test runner's loader) is not for its threads.
    const worker = new Worker(entry, { workerData, execArgv: [] });
    let failure: Error | null = null;
    worker.on('message', ({ id, answer, error }: FromPostMortem) => {
      if (error === undefined) this.#settle(id)?.resolve(answer);
      else this.#settle(id)?.reject(Object.assign(new Error(error.message), { code: error.code }));
    });
    worker.on('error', (error) => {
      failure = error as Error;
    });
    worker.on('exit', (code) => {
      if (this.#worker === worker) this.#worker = null;
      const message = `the post-mortem thread died: ${failure?.message ?? `it exited with code ${code}`}`;
      const ended = Object.assign(new Error(message), { code: 'post_mortem_ended' });
      for (const id of [...this.#pending.keys()]) this.#settle(id)?.reject(ended);
    });
    return worker;
  }

  #settle(id: number): PromiseWithResolvers<string> | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    return pending;
  }
}
