/** Predicting and evaluating with trained models, outside of any run. */
import type { Backend, FloatArray, TrainingSetup } from '../engine/backend.ts';
import { createBackend } from '../engine/backends.ts';
import { plan } from '../engine/plan.ts';
import { WasmBackend, type WasmOptions } from '../engine/wasm/backend.ts';
import { type CompiledCode, keepCode } from '../engine/wasm/modules.ts';
import { type Judgement, judge } from './evaluation.ts';
import { scale, scaleData, unscale } from './prepare.ts';
import type { Answer, EvaluateQuestion, InferenceModel, PredictQuestion, Question } from './protocol.ts';
import type { TrainedModel } from './request.ts';

/** A back end wants a training setup even when it never trains; none of it reaches inference. */
const noTraining: TrainingSetup = { arithmetic: 'fused', batch_size: 1, seed: 0, optimizer: 'sgd' };
const noData = { rows: 0, inputs: new Float64Array(0), targets: new Float64Array(0) };

/** A model and what computes it. */
export interface ReadyModel {
  readonly model: TrainedModel;
  readonly backend: Backend;
}

/** @param code of the model, if another thread has compiled it */
export function readyModel(
  { network, model }: InferenceModel,
  compiler: WasmOptions,
  code: CompiledCode | null = null,
): ReadyModel {
  if (code !== null) keepCode(code);
  return {
    model,
    backend: createBackend(plan(network), noTraining, noData, model, { ...compiler, trains: false }).backend,
  };
}

/** The models that a thread has been given, each compiled when it is first asked about. */
export class Inference {
  readonly #compiler: WasmOptions;
  readonly #learned = new Map<number, InferenceModel>();
  readonly #ready = new Map<number, ReadyModel>();
  /** Models whose code nobody has taken yet. */
  readonly #fresh = new Set<number>();

  constructor(compiler: WasmOptions) {
    this.#compiler = compiler;
  }

  learn(number: number, learned: InferenceModel): void {
    this.#learned.set(number, learned);
  }

  forget(number: number): void {
    this.#learned.delete(number);
    this.#ready.delete(number);
    this.#fresh.delete(number);
  }

  /** @throws {RangeError} when the question does not fit the model */
  answer(number: number, { name, asked }: Question): Answer {
    const ready = this.#readyModel(number);
    return name === 'predict' ? predict(ready, asked) : evaluate(ready, asked);
  }

  /** The code of a model, once it is there and only once; null as well where it is not compiled. */
  takeCode(number: number): CompiledCode | null {
    const backend = this.#fresh.delete(number) ? this.#ready.get(number)?.backend : undefined;
    return backend instanceof WasmBackend ? backend.code : null;
  }

  #readyModel(number: number): ReadyModel {
    const known = this.#ready.get(number);
    if (known !== undefined) return known;
    const learned = this.#learned.get(number);
    if (learned === undefined) throw new RangeError(`there is no model ${number}`);
    const ready = readyModel(learned, this.#compiler);
    this.#ready.set(number, ready);
    this.#fresh.add(number);
    return ready;
  }
}

/** rows × output_size, in the client's units. */
export function predict({ model, backend }: ReadyModel, { inputs, rows }: PredictQuestion): FloatArray {
  const { preprocessing } = model;
  const outputs = backend.predict(scale(preprocessing.inputs, inputs, backend.plan), rows);
  return unscale(preprocessing.targets, outputs);
}

/** Mean loss and metrics over the rows. */
function evaluate({ model, backend }: ReadyModel, { data, metrics }: EvaluateQuestion): Judgement {
  const { preprocessing, target_kind } = model;
  return judge(backend, scaleData(data, preprocessing, backend.plan), { metrics, preprocessing, target_kind });
}
