/** The thread that predicts lines of JSON: several bodies at once, a piece of each at a time. */
import { parentPort, workerData } from 'node:worker_threads';
import { codedError } from '../training/coded-error.ts';
import { lowerPriority } from '../training/priority.ts';
import type { CompilingWorkerOptions } from '../training/protocol.ts';
import type { FromLineThread, ToLineThread } from './line-predicting.ts';
import { LinePredictor } from './line-predictions.ts';

const { niceness, compiler } = workerData as CompilingWorkerOptions;
const sessions = new Map<number, LinePredictor>();
const send = (message: FromLineThread, transfer: ArrayBuffer[] = []) => parentPort?.postMessage(message, transfer);

parentPort?.on('message', (message: ToLineThread) => {
  const { session } = message;
  if (message.type === 'close') {
    sessions.delete(session);
    return;
  }
  try {
    if (message.type === 'open') sessions.set(session, new LinePredictor(message.model, compiler));
    else {
      const answered = (sessions.get(session) as LinePredictor).take(message.bytes, message.isLast);
      send({ session, answered }, [answered.bytes.buffer]);
    }
  } catch (thrown) {
    send({ session, error: codedError(thrown) });
  }
});

lowerPriority(niceness);
