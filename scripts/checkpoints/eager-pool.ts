/** A pool that trains in this thread and saves a checkpoint after every step: as much writing as there can be. */

import { checkpointPieces, decodeCheckpoint } from '../../src/training/checkpoint.ts';
import { codedError } from '../../src/training/coded-error.ts';
import type { RunHandle, RunHandlers, RunOutcome, TrainingPool } from '../../src/training/pool.ts';
import type { RunRequest } from '../../src/training/request.ts';
import { Run } from '../../src/training/run.ts';

export interface EagerPoolOptions {
  readonly workers: number;
  /** A run that has come to this step rests until the pool is closed. */
  readonly rest_at_step: number;
  /** Called when a checkpoint has been accepted. */
  onSaved?(step: number): void;
}

const doNothing = () => undefined;

export function createEagerPool({ workers, rest_at_step, onSaved }: EagerPoolOptions): TrainingPool {
  const closed = Promise.withResolvers<void>();

  async function carryOut(request: RunRequest, handlers: RunHandlers, bytes: Uint8Array | null): Promise<RunOutcome> {
    const run = new Run(request, bytes === null ? null : decodeCheckpoint(bytes));
    while (run.end === null && run.cursor.step < rest_at_step) {
      await save(run, handlers);
      onSaved?.(run.cursor.step);
    }
    await closed.promise;
    return { kind: 'released', cursor: run.cursor };
  }

  return {
    workers,
    idle: workers,
    run(request, handlers, checkpoint = null): RunHandle {
      const finished = carryOut(request, handlers, checkpoint).catch((error: unknown): RunOutcome => {
        const { code, message } = codedError(error);
        return { kind: 'error', stop_reason: 'worker_crashed', error: { code, message } };
      });
      const asked = { pause: doNothing, stop: doNothing, cancel: doNothing, changeLearningRate: doNothing };
      return { finished, step: 0, ...asked, reuse: doNothing };
    },
    predict: () => Promise.reject(new Error('this pool only trains')),
    evaluate: () => Promise.reject(new Error('this pool only trains')),
    async close() {
      closed.resolve();
    },
  };
}

/** One step and its checkpoint, reported as a worker reports them. */
async function save(run: Run, handlers: RunHandlers): Promise<void> {
  const advance = run.advance(1);
  const { cursor, best } = run;
  await handlers.onProgress({ cursor, best, ...advance, samples_per_second: 0 });
  const pieces = checkpointPieces(run.checkpoint());
  async function* file() {
    for (const { bytes } of pieces) yield bytes;
  }
  await handlers.onCheckpoint({ reason: 'periodic', step: cursor.step, epoch: cursor.epoch, best, file: file() });
}
