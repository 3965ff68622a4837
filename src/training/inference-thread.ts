/**
 * A thread that answers questions about trained models while every other thread may be training. Little of it happens
 * on the main thread: compiling a network takes up to 100 ms when the machine is cold, and a client's rows any time. What
 * has been compiled here can answer a few rows of a small model there; see near-models.ts.
 */
import type { CompiledCode } from '../engine/wasm/modules.ts';
import type { Answer, InferenceModel, Question } from './protocol.ts';
import type { TrainedModel } from './request.ts';
import { compilerHere } from './revectorize.ts';
import { Thread, type ThreadOptions } from './thread.ts';

/** How many values the models that the thread knows may have together. */
const knownValues = 20_000_000;

export class InferenceThread {
  readonly #options: ThreadOptions;
  readonly #pending = new Map<number, PromiseWithResolvers<Answer>>();
  /** The numbers of the models that the thread knows, the least recently used first. */
  readonly #known = new Map<TrainedModel, { readonly number: number; readonly about: InferenceModel }>();
  readonly #compiled: ((about: InferenceModel, code: CompiledCode) => void) | undefined;
  #thread: Thread | null = null;
  #asked = 0;
  #learned = 0;

  /** @param compiled is told of each model that the thread has compiled */
  constructor(options: ThreadOptions, compiled?: (about: InferenceModel, code: CompiledCode) => void) {
    this.#options = options;
    this.#compiled = compiled;
  }

  /** The thread is started by the first question. Rejects with a coded error when the model does not fit or the thread dies. */
  ask({ network, model }: InferenceModel, question: Question): Promise<Answer> {
    this.#thread ??= this.#start();
    const number = this.#numberOf(this.#thread, { network, model });
    const id = this.#asked++;
    const pending = Promise.withResolvers<Answer>();
    this.#pending.set(id, pending);
    this.#thread.post({ type: 'question', id, model: number, question });
    return pending.promise;
  }

  async close(): Promise<void> {
    await this.#thread?.terminate();
  }

  /** A model travels with the first question about it. */
  #numberOf(thread: Thread, about: InferenceModel): number {
    const { model } = about;
    const known = this.#known.get(model);
    const number = known?.number ?? this.#learned++;
    if (known === undefined) thread.post({ type: 'learn_model', model: number, learned: about });
    this.#known.delete(model);
    this.#known.set(model, { number, about });
    if (known === undefined) this.#forgetOldest(thread, model);
    return number;
  }

  #forgetOldest(thread: Thread, newest: TrainedModel): void {
    let values = 0;
    for (const [model, { number }] of [...this.#known].reverse()) {
      values += model.parameters.length;
      if (values <= knownValues || model === newest) continue;
      this.#known.delete(model);
      thread.post({ type: 'forget_model', model: number });
    }
  }

  #start(): Thread {
    const thread = new Thread(this.#options, {
      onMessage: (message) => {
        if (message.type === 'answer') this.#settle(message.id)?.resolve(message.answer);
        if (message.type === 'compiled') this.#hearOf(message.model, message.code);
        if (message.type === 'refused') this.#settle(message.id)?.reject(asError(message.error));
      },
      onExit: (error) => {
        this.#thread = null;
        this.#known.clear();
        for (const id of [...this.#pending.keys()]) this.#settle(id)?.reject(asError(error));
      },
    });
    thread.open(compilerHere());
    return thread;
  }

  #hearOf(number: number, code: CompiledCode): void {
    const known = [...this.#known.values()].find((one) => one.number === number);
    if (known !== undefined) this.#compiled?.(known.about, code);
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
