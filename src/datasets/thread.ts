/** The thread that reads one upload (or draws one toy data set) and hands its stored form to the main thread. */
import { parentPort, workerData } from 'node:worker_threads';
import { finishDataset } from './finish.ts';
import { generateTable } from './generate.ts';
import { DatasetError, Problems } from './problems.ts';
import { readTables } from './read.ts';
import type { ThreadInput, ThreadMessage } from './reading.ts';

const { work, finish, stored } = workerData as ThreadInput;
const storedParts = new Int32Array(stored);
/** Parts that may wait in the main thread before this one pauses. */
const maxWaiting = 4;
const send = (message: ThreadMessage, transfer: ArrayBuffer[] = []) => parentPort?.postMessage(message, transfer);

function run(): ThreadMessage {
  const problems = new Problems();
  const tables = 'path' in work ? readTables(work.path, work.options, problems) : [generateTable(work)];
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
  return { kind: 'done', profile };
}

try {
  send(run());
} catch (error) {
  if (!(error instanceof DatasetError)) throw error;
  send({ kind: 'refused', problems: error.problems });
}
