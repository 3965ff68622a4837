/**
 * Small predictions of the same model joined into one: while one is on its way to the thread, those that arrive wait and
 * then go together. Nobody waits for company, and under load a message and a call of the engine serve many requests.
 */
import type { FloatArray } from '../engine/backend.ts';
import type { InferenceModel, PredictQuestion } from './protocol.ts';
import type { TrainedModel } from './request.ts';

/** Rows of one joined question; what is more waits for the next. */
const maxJoinedRows = 1024;

interface Waiting extends PromiseWithResolvers<FloatArray> {
  readonly asked: PredictQuestion;
}

export type Predict = (model: InferenceModel, asked: PredictQuestion) => Promise<FloatArray>;

export class JoinedPredictions {
  readonly #predict: Predict;
  /** Of each model with a question on its way: those that came after it. */
  readonly #waiting = new Map<TrainedModel, Waiting[]>();

  constructor(predict: Predict) {
    this.#predict = predict;
  }

  ask(about: InferenceModel, asked: PredictQuestion): Promise<FloatArray> {
    const one: Waiting = { asked, ...Promise.withResolvers<FloatArray>() };
    const waiting = this.#waiting.get(about.model);
    if (waiting !== undefined) waiting.push(one);
    else {
      this.#waiting.set(about.model, []);
      void this.#send(about, [one]);
    }
    return one.promise;
  }

  async #send(about: InferenceModel, group: readonly Waiting[]): Promise<void> {
    try {
      const outputs = await this.#predict(about, joined(group.map(({ asked }) => asked)));
      let first = 0;
      const perRow = outputs.length / group.reduce((rows, { asked }) => rows + asked.rows, 0);
      for (const { asked, resolve } of group) {
        resolve(outputs.subarray(first * perRow, (first + asked.rows) * perRow));
        first += asked.rows;
      }
    } catch (error) {
      for (const { reject } of group) reject(error);
    }
    const next = this.#next(about.model);
    if (next.length > 0) void this.#send(about, next);
  }

  /** Takes those that go together next; when there are none, the model has nothing on its way. */
  #next(model: TrainedModel): Waiting[] {
    const waiting = this.#waiting.get(model) ?? [];
    let rows = 0;
    const count = waiting.findIndex(({ asked }, i) => {
      rows += asked.rows;
      return i > 0 && rows > maxJoinedRows;
    });
    if (waiting.length === 0) this.#waiting.delete(model);
    return waiting.splice(0, count === -1 ? waiting.length : count);
  }
}

function joined(questions: readonly PredictQuestion[]): PredictQuestion {
  if (questions.length === 1) return questions[0];
  const inputs = new Float64Array(questions.reduce((values, question) => values + question.inputs.length, 0));
  let at = 0;
  for (const question of questions) {
    inputs.set(question.inputs, at);
    at += question.inputs.length;
  }
  return { inputs, rows: questions.reduce((sum, { rows }) => sum + rows, 0) };
}
