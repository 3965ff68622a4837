/** Predicting and evaluating with a trained model, outside of any run. */
import type { Backend, FloatArray, TrainingSetup } from '../engine/backend.ts';
import { createBackend } from '../engine/backends.ts';
import { plan } from '../engine/plan.ts';
import { measure } from './evaluation.ts';
import { scale, scaleData, unscale } from './prepare.ts';
import type {
  EvaluateAnswer,
  EvaluateRequest,
  InferenceModel,
  PredictRequest,
  Question,
  Questions,
} from './protocol.ts';
import type { TrainedModel } from './request.ts';

/** A back end wants a training setup even when it never trains; none of it reaches inference. */
const noTraining: TrainingSetup = { arithmetic: 'fused', batch_size: 1, seed: 0, optimizer: 'sgd' };
const noData = { rows: 0, inputs: new Float64Array(0), targets: new Float64Array(0) };

/** As long as somebody holds on to the model, its back end is kept for the next question. */
const backends = new WeakMap<TrainedModel, Backend>();

function backendOf({ network, model }: InferenceModel): Backend {
  const known = backends.get(model);
  if (known !== undefined) return known;
  const { backend: created } = createBackend(plan(network), noTraining, noData, model);
  backends.set(model, created);
  return created;
}

/** rows × output_size, in the client's units. */
export function predict(request: PredictRequest): FloatArray {
  const backend = backendOf(request);
  const { inputs, targets } = request.model.preprocessing;
  return unscale(targets, backend.predict(scale(inputs, request.inputs, backend.plan), request.rows));
}

/** Mean loss and metrics over the rows. */
export function evaluate(request: EvaluateRequest): EvaluateAnswer {
  const backend = backendOf(request);
  const { preprocessing, target_kind } = request.model;
  const data = scaleData(request.data, preprocessing, backend.plan);
  const { values, confusion_matrix } = measure(backend, data, {
    metrics: request.metrics,
    preprocessing,
    target_kind,
  });
  return { loss: backend.evaluate(data), metrics: values, confusion_matrix };
}

export function answer(question: Question): Questions[keyof Questions]['answer'] {
  return question.name === 'predict' ? predict(question.request) : evaluate(question.request);
}

/** Multiply-adds of one pass over the rows: what a question costs. */
export function costOf(question: Question): number {
  const { network, model } = question.request;
  const rows = question.name === 'predict' ? question.request.rows : question.request.data.rows;
  return rows * (model.parameters.length + network.input_size);
}
