/** The thread that reads uploads (or draws toy data sets) one after the other and hands their stored form to the main thread. */
import { getHeapStatistics } from 'node:v8';
import { parentPort } from 'node:worker_threads';
import { collectGarbage } from '../training/collect-garbage.ts';
import { lowerPriority } from '../training/priority.ts';
import { finishDataset } from './finish.ts';
import { generateTable } from './generate.ts';
import { DatasetError, Problems } from './problems.ts';
import { readTables } from './read.ts';
import { type End, isLarge, type ReadingTask, type ThreadMessage } from './reading.ts';

/** Reading yields to the API, and goes before training. */
const niceness = 5;
/** Parts that may wait in the main thread before this one pauses. */
const maxWaiting = 4;
const send = (message: ThreadMessage, transfer: ArrayBuffer[] = []) => parentPort?.postMessage(message, transfer);

function run({ work, finish, stored }: ReadingTask): End {
  const problems = new Problems();
  const tables = 'path' in work ? readTables(work.path, work.options, problems) : [generateTable(work)];
  const storedParts = new Int32Array(stored);
  let sent = 0;
  const profile = finishDataset(tables, finish, problems, (bytes) => {
    for (;;) {
      const done = Atomics.load(storedParts, 0);
      if (sent - done < maxWaiting) break;
      Atomics.wait(storedParts, 0, done);
    }
    send({ kind: 'part', number: sent, bytes }, [bytes.buffer]);
    sent += 1;
  });
  return { kind: 'done', profile, held: held() };
}

/** Of this thread alone. */
function held(): number {
  const { total_heap_size, external_memory } = getHeapStatistics();
  return total_heap_size + external_memory;
}

lowerPriority(niceness);
parentPort?.on('message', (task: ReadingTask) => {
  try {
    const end = run(task);
    // What is left when the thread ends stays with the process for some seconds.
    if (isLarge(end)) collectGarbage();
    send(end);
  } catch (error) {
    // Anything else is a fault of ours: it ends the thread, and the task with it.
    if (!(error instanceof DatasetError)) throw error;
    send({ kind: 'refused', problems: error.problems, held: held() });
  }
});
