/** One worker thread, and how it ends. */
import { getHeapStatistics } from 'node:v8';
import { type Transferable, Worker } from 'node:worker_threads';
import type { WasmOptions } from '../engine/wasm/backend.ts';
import type { FromWorker, ToWorker, WorkerOptions } from './protocol.ts';
import type { CodedError } from './request.ts';

export interface ThreadOptions extends WorkerOptions {
  readonly entry: URL;
  /** Heap limit in MiB; absent: that of the main thread, less than 2 GiB. */
  readonly max_heap_mb?: number | undefined;
}

/** Three semi-spaces of 1 MiB: neither training nor predicting gains by more. */
const maxYoungGenerationSizeMb = 3;

/**
 * MiB of objects, which arrays are not: as many as the main thread may have, but less than 2 GiB. From there on V8 maps 2 MiB
 * of its own code once more for the thread.
 */
const maxOldGenerationSizeMb = Math.min(Math.floor(getHeapStatistics().heap_size_limit / 2 ** 20), 2047);

export interface ThreadEvents {
  onMessage(message: FromWorker): void;
  /** The thread is gone, whatever ended it; nothing comes after. */
  onExit(error: CodedError & { readonly code: 'worker_crashed' | 'out_of_memory' }): void;
}

export class Thread {
  readonly #worker: Worker;
  #failure: Error | null = null;
  /** Null once the thread is open. */
  #held: [ToWorker, readonly Transferable[]][] | null = [];

  constructor({ entry, max_heap_mb, niceness }: ThreadOptions, events: ThreadEvents) {
    this.#worker = new Worker(entry, {
      workerData: { niceness } satisfies WorkerOptions,
      // What the process was started with (a debugger's port, a test runner's loader) is not for its threads.
      execArgv: [],
      resourceLimits: {
        maxYoungGenerationSizeMb,
        maxOldGenerationSizeMb: max_heap_mb ?? maxOldGenerationSizeMb,
      },
    });
    this.#worker.on('message', events.onMessage);
    this.#worker.on('error', (error) => {
      this.#failure = error as Error;
    });
    this.#worker.on('exit', (code) => events.onExit(exitError(code, this.#failure)));
  }

  /** What has been posted before waits for this: the thread has to know how to compile. */
  open(compiler: WasmOptions): void {
    const held = this.#held;
    if (held === null) return;
    this.#held = null;
    this.post({ type: 'compiler', compiler });
    for (const [message, transfer] of held) this.post(message, transfer);
  }

  post(message: ToWorker, transfer: readonly Transferable[] = []): void {
    if (this.#held === null) this.#worker.postMessage(message, transfer);
    else this.#held.push([message, transfer]);
  }

  async terminate(): Promise<void> {
    await this.#worker.terminate();
  }
}

function exitError(code: number, failure: Error | null) {
  const outOfMemory = failure !== null && 'code' in failure && failure.code === 'ERR_WORKER_OUT_OF_MEMORY';
  const reason = failure === null ? `it exited with code ${code}` : failure.message;
  return {
    code: outOfMemory ? ('out_of_memory' as const) : ('worker_crashed' as const),
    message: `The worker thread died: ${reason}`,
  };
}
