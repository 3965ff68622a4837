/** Predicting lines of JSON away from the main thread: what it says to the thread that does it. */
import { Worker } from 'node:worker_threads';
import type { CompilingWorkerOptions } from '../training/protocol.ts';
import type { CodedError } from '../training/request.ts';
import { compilerHere } from '../training/revectorize.ts';
import type { AnsweredLines, LineModel } from './line-predictions.ts';

export type ToLineThread =
  | { readonly type: 'open'; readonly session: number; readonly model: LineModel }
  | { readonly type: 'take'; readonly session: number; readonly bytes: Uint8Array; readonly isLast: boolean }
  | { readonly type: 'close'; readonly session: number };

export type FromLineThread = { readonly session: number } & (
  | { readonly answered: AnsweredLines; readonly error?: undefined }
  | { readonly error: CodedError }
);

/** One body on its way through a model. */
export interface LineSession {
  /** The next piece; the one before it must have been answered. Rejects when the thread fails. */
  take(bytes: Uint8Array, isLast: boolean): Promise<AnsweredLines>;
  /** Forgets the model; nothing may be taken afterwards. */
  close(): void;
}

export interface LinePredictors {
  open(model: LineModel): LineSession;
  /** Ends the thread; what it is predicting fails. */
  close(): Promise<void>;
}

/** It yields to the API and to small predictions, and goes before training. */
const niceness = 5;

/** The thread is started by the first body, and again when it has died. */
export function openLinePredictors(): LinePredictors {
  const pending = new Map<number, PromiseWithResolvers<AnsweredLines>>();
  let thread: Worker | null = null;
  let sessions = 0;

  function settle(session: number): PromiseWithResolvers<AnsweredLines> | undefined {
    const waiting = pending.get(session);
    pending.delete(session);
    if (pending.size === 0) thread?.unref();
    return waiting;
  }

  function start(): Worker {
    const workerData: CompilingWorkerOptions = { niceness, compiler: compilerHere() };
    const started = new Worker(new URL('./line-thread.ts', import.meta.url), {
      name: 'lines',
      workerData,
      execArgv: [],
    });
    let failure: Error | null = null;
    started.on('message', (message: FromLineThread) => {
      const waiting = settle(message.session);
      if (message.error === undefined) waiting?.resolve(message.answered);
      else waiting?.reject(Object.assign(new Error(message.error.message), { code: message.error.code }));
    });
    started.on('error', (error) => {
      failure = error as Error;
    });
    started.on('exit', (code) => {
      if (thread === started) thread = null;
      const reason = failure?.message ?? `it exited with code ${code}`;
      for (const session of [...pending.keys()])
        settle(session)?.reject(new Error(`the thread that predicts lines died: ${reason}`));
    });
    return started;
  }

  return {
    open(model) {
      thread ??= start();
      const own = thread;
      const session = sessions++;
      const post = (message: ToLineThread, transfer: ArrayBuffer[] = []) => own.postMessage(message, transfer);
      post({ type: 'open', session, model });
      return {
        take(bytes, isLast) {
          if (own !== thread) return Promise.reject(new Error('the thread that predicts lines died'));
          const waiting = Promise.withResolvers<AnsweredLines>();
          pending.set(session, waiting);
          own.ref();
          post({ type: 'take', session, bytes, isLast });
          return waiting.promise;
        },
        close: () => post({ type: 'close', session }),
      };
    },
    async close() {
      await thread?.terminate();
    },
  };
}
