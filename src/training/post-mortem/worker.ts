/** Entry of the post-mortem thread: replays runs, one question after the other. */
import { parentPort, workerData } from 'node:worker_threads';
import { createBackend } from '../../engine/backends.ts';
import { codedError } from '../coded-error.ts';
import { lowerPriority } from '../priority.ts';
import type { CompilingWorkerOptions } from '../protocol.ts';
import type { CreateBackend } from '../run.ts';
import { auditGradients } from './audit-gradients.ts';
import { diagnose } from './diagnose.ts';
import { explainStep } from './explain-step.ts';
import type { FromPostMortem, ToPostMortem } from './protocol.ts';

const port = parentPort!;
const { compiler, niceness } = workerData as CompilingWorkerOptions;
const create: CreateBackend = (...given) => createBackend(...given, compiler);

function answer({ name, asked }: ToPostMortem): string {
  switch (name) {
    case 'audit_gradients':
      return auditGradients(asked);
    case 'explain_step':
      return explainStep(asked, create);
    case 'diagnose':
      return diagnose(asked, create);
  }
}

function reply(message: ToPostMortem): FromPostMortem {
  try {
    return { id: message.id, answer: answer(message) };
  } catch (thrown) {
    return { id: message.id, error: codedError(thrown) };
  }
}

port.on('message', (message: ToPostMortem) => port.postMessage(reply(message)));
lowerPriority(niceness);
