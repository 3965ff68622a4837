/**
 * Small models that answer where they are asked, on the main thread, so that a row costs microseconds and not two messages
 * between threads. A thread has compiled them, and answers until its code is here; the outputs have the same bits.
 */
import type { FloatArray } from '../engine/backend.ts';
import type { WasmOptions } from '../engine/wasm/backend.ts';
import type { CompiledCode } from '../engine/wasm/modules.ts';
import type { ReadyModel } from './inference.ts';
import type { InferenceModel, PredictQuestion } from './protocol.ts';
import type { TrainedModel } from './request.ts';

/** Parameters of a small model: they are laid out in a millisecond. */
const mostParameters = 2 ** 16;
/** Multiply-adds of a question: some 10 µs, and a millisecond where the reference has to answer. */
const mostWork = 2 ** 19;
/** Models that are kept: each takes a few MB. */
const mostModels = 16;

/** What the first model loads: a start does without it. */
const loadInference = () => import('./inference.ts');
type Predict = Awaited<ReturnType<typeof loadInference>>['predict'];

export class NearModels {
  readonly #compiler: () => WasmOptions;
  /** The least recently used first. */
  readonly #ready = new Map<TrainedModel, { readonly of: ReadyModel; readonly predict: Predict }>();

  /** @param compiler is not asked before there is a model: asking takes a while */
  constructor(compiler: () => WasmOptions) {
    this.#compiler = compiler;
  }

  /** Takes a model over from the thread that has compiled it, if it is small. Does not reject: the thread goes on answering. */
  async learn(learned: InferenceModel, code: CompiledCode): Promise<void> {
    const { model } = learned;
    if (model.parameters.length > mostParameters) return;
    try {
      const { predict, readyModel } = await loadInference();
      this.#ready.set(model, { of: readyModel(learned, this.#compiler(), code), predict });
    } catch {
      this.#ready.delete(model);
    }
    const [oldest] = this.#ready.keys();
    if (this.#ready.size > mostModels) this.#ready.delete(oldest);
  }

  /** Outputs in the client's units, or null where a thread has to be asked. */
  predict({ model }: InferenceModel, asked: PredictQuestion): FloatArray | null {
    const known = this.#ready.get(model);
    if (known === undefined || asked.rows * model.parameters.length > mostWork) return null;
    // What does not fit is the thread's to refuse.
    if (asked.inputs.length !== asked.rows * known.of.backend.plan.input_size) return null;
    this.#ready.delete(model);
    this.#ready.set(model, known);
    return known.predict(known.of, asked);
  }
}
