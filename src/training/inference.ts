/** Predicting and evaluating with trained models, outside of any run. */
import type { Backend, FloatArray, TrainingSetup } from '../engine/backend.ts';
import { createBackend } from '../engine/backends.ts';
import { plan } from '../engine/plan.ts';
import type { WasmOptions } from '../engine/wasm/backend.ts';
import { type Judgement, judge } from './evaluation.ts';
import { scale, scaleData, unscale } from './prepare.ts';
import type { Answer, EvaluateQuestion, InferenceModel, PredictQuestion, Question } from './protocol.ts';
import type { TrainedModel } from './request.ts';

/** A back end wants a training setup even when it never trains; none of it reaches inference. */
const noTraining: TrainingSetup = { arithmetic: 'fused', batch_size: 1, seed: 0, optimizer: 'sgd' };
const noData = { rows: 0, inputs: new Float64Array(0), targets: new Float64Array(0) };

interface Ready {
  readonly model: TrainedModel;
  readonly backend: Backend;
}

/** The models that a thread has been given, each compiled when it is first asked about. */
export class Inference {
  readonly #compiler: WasmOptions;
  readonly #learned = new Map<number, InferenceModel>();
  readonly #ready = new Map<number, Ready>();

  constructor(compiler: WasmOptions) {
    this.#compiler = compiler;
  }

  learn(number: number, learned: InferenceModel): void {
    this.#learned.set(number, learned);
  }

  forget(number: number): void {
    this.#learned.delete(number);
    this.#ready.delete(number);
  }

  /** @throws {RangeError} when the question does not fit the model */
  answer(number: number, { name, asked }: Question): Answer {
    const ready = this.#readyModel(number);
    return name === 'predict' ? predict(ready, asked) : evaluate(ready, asked);
  }

  #readyModel(number: number): Ready {
    const known = this.#ready.get(number);
    if (known !== undefined) return known;
    const learned = this.#learned.get(number);
    if (learned === undefined) throw new RangeError(`there is no model ${number}`);
    const { network, model } = learned;
    const { backend } = createBackend(plan(network), noTraining, noData, model, this.#compiler);
    const ready = { model, backend };
    this.#ready.set(number, ready);
    return ready;
  }
}

/** rows × output_size, in the client's units. */
function predict({ model, backend }: Ready, { inputs, rows }: PredictQuestion): FloatArray {
  const { preprocessing } = model;
  const outputs = backend.predict(scale(preprocessing.inputs, inputs, backend.plan), rows);
  return unscale(preprocessing.targets, outputs);
}

/** Mean loss and metrics over the rows. */
function evaluate({ model, backend }: Ready, { data, metrics }: EvaluateQuestion): Judgement {
  const { preprocessing, target_kind } = model;
  return judge(backend, scaleData(data, preprocessing, backend.plan), { metrics, preprocessing, target_kind });
}
