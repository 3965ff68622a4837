/** Entry of a thread that answers questions about models. It loads nothing of training, so the first answer comes sooner. */
import { parentPort, workerData } from 'node:worker_threads';
import type { WasmOptions } from '../engine/wasm/backend.ts';
import { codedError } from './coded-error.ts';
import { collectGarbage } from './collect-garbage.ts';
import { Inference } from './inference.ts';
import { lowerPriority } from './priority.ts';
import type { FromWorker, ToWorker, WorkerOptions } from './protocol.ts';

const port = parentPort!;
const { niceness } = workerData as WorkerOptions;
let compiler: WasmOptions = {};
let inference: Inference | undefined;

function send(message: FromWorker): void {
  port.postMessage(message);
}

function answer(inference: Inference, { id, model, question }: ToWorker & { readonly type: 'question' }): FromWorker {
  try {
    return { type: 'answer', id, answer: inference.answer(model, question) };
  } catch (thrown) {
    return { type: 'refused', id, error: codedError(thrown) };
  }
}

port.on('message', (message: ToWorker) => {
  if (message.type === 'compiler') compiler = message.compiler;
  if (message.type === 'learn_model') {
    inference ??= new Inference(compiler);
    inference.learn(message.model, message.learned);
  }
  if (message.type === 'forget_model') inference?.forget(message.model);
  if (message.type === 'question') {
    // A model is learned before anything is asked about it.
    send(answer(inference!, message));
    const { model } = message;
    const code = inference!.takeCode(model);
    if (code !== null) send({ type: 'compiled', model, code });
  }
});

lowerPriority(niceness);
send({ type: 'online' });
// What starting has left, when whoever has waited for the thread has been served.
setTimeout(collectGarbage, 500).unref();
