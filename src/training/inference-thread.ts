/** A thread that answers questions about trained models while every other thread may be training. */
import { answer, costOf } from './inference.ts';
import type { Question, Questions } from './protocol.ts';
import { Thread, type ThreadOptions } from './thread.ts';

/** Multiply-adds up to which a question is answered at once: about a millisecond, less than a turn of the event loop may take. */
const smallCost = 1 << 20;

type Answer = Questions[keyof Questions]['answer'];

export class InferenceThread {
  readonly #options: ThreadOptions;
  readonly #pending = new Map<number, PromiseWithResolvers<Answer>>();
  #thread: Thread | null = null;
  #asked = 0;

  constructor(options: ThreadOptions) {
    this.#options = options;
  }

  /** Small questions are answered here, larger ones in the thread, which is started by the first of them. */
  async ask(question: Question): Promise<Answer> {
    if (costOf(question) <= smallCost) return answer(question);
    const id = this.#asked++;
    const pending = Promise.withResolvers<Answer>();
    this.#pending.set(id, pending);
    this.#thread ??= this.#start();
    this.#thread.post({ type: 'question', id, question });
    return pending.promise;
  }

  async close(): Promise<void> {
    await this.#thread?.terminate();
  }

  #start(): Thread {
    return new Thread(this.#options, {
      onMessage: (message) => {
        if (message.type === 'answer') this.#settle(message.id)?.resolve(message.answer);
        if (message.type === 'refused') this.#settle(message.id)?.reject(asError(message.error));
      },
      onExit: (error) => {
        this.#thread = null;
        for (const id of [...this.#pending.keys()]) this.#settle(id)?.reject(asError(error));
      },
    });
  }

  #settle(id: number): PromiseWithResolvers<Answer> | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    return pending;
  }
}

function asError({ code, message }: { readonly code: string; readonly message: string }): Error {
  return Object.assign(new Error(message), { code });
}
