/** Predictions of lines of JSON, streamed: what is asked of a trained model when there are very many rows. */
import type { Readable } from 'node:stream';
import { formats } from '../datasets/formats.ts';
import { type LinePredictors, type LineSession, openLinePredictors } from '../datasets/line-predicting.ts';
import type { AnsweredLines } from '../datasets/line-predictions.ts';
import { errors, errorType, ProblemError, problemError } from '../errors.ts';
import type { Store } from '../store/store.ts';
import { bugMark, type KeptRequest } from './job-request.ts';
import { Models } from './models.ts';
import type { Uploads } from './uploads.ts';

/** What a body of lines can be called; the first is what the answer is. */
export const lineMediaTypes = formats.ndjson.media_types;

/** Bytes of answers that are held back until more of a body that has come whole is known to be right. */
const heldBytes = 2 ** 16;

export interface LinePredictions {
  /**
   * Begins to predict the rows of a body. When something is wrong before the first answer, it is thrown; later it is the
   * last line.
   * @throws {ProblemError} with the number of the row that is wrong
   */
  predict(job_id: string, body: Readable): Promise<PredictedLines>;
  /** Ends the thread; what is under way ends with an error line. */
  close(): Promise<void>;
}

interface LineContext {
  readonly models: Models;
  readonly uploads: Pick<Uploads, 'follow'>;
  readonly lines: LinePredictors;
}

/** Lines of JSON, in pieces, and what they were computed with. */
export interface PredictedLines {
  readonly step: number;
  readonly parameters_sha256: string;
  readonly pieces: AsyncGenerator<Uint8Array, void, void>;
}

export function createLinePredictions(store: Store, uploads: Pick<Uploads, 'follow'>): LinePredictions {
  const lines = openLinePredictors();
  // The thread holds on to the model of each body; here only the newest is worth keeping.
  const context = { models: new Models(store, 0), uploads, lines };
  return { predict: (job_id, body) => predictLines(context, job_id, body), close: () => lines.close() };
}

async function predictLines(
  { models, uploads, lines }: LineContext,
  job_id: string,
  body: Readable,
): Promise<PredictedLines> {
  try {
    const { job, definition: network, model } = await models.of(job_id);
    const { features = null } = job.request as KeptRequest;
    const session = lines.open({ network, model, features, mark: bugMark(job) });
    const answers = answersTo(uploads.follow(body), session);
    const first = await firstAnswers(answers, body);
    const { step, parameters_sha256 } = model;
    return { step, parameters_sha256, pieces: texts(first, answers) };
  } catch (error) {
    // What is still on its way is thrown away, or the connection would be stuck with it.
    body.resume();
    throw error;
  }
}

/** The answers that say something, one for each piece of the body and one for its end. */
async function* answersTo(
  pieces: AsyncIterable<Uint8Array>,
  session: LineSession,
): AsyncGenerator<AnsweredLines, void, void> {
  const says = ({ bytes, problems }: AnsweredLines) => bytes.length > 0 || problems !== null;
  try {
    for await (const piece of pieces) {
      const answered = await session.take(piece, false);
      if (says(answered)) yield answered;
      if (answered.problems !== null) return;
    }
    const last = await session.take(new Uint8Array(0), true);
    if (says(last)) yield last;
  } finally {
    session.close();
  }
}

/**
 * What is sent first: one answer, and of a short body that has come whole all of them, so that what is wrong with its
 * last line is said by the status as well.
 * @throws {ProblemError} with the number of the row that is wrong
 */
async function firstAnswers(
  answers: AsyncGenerator<AnsweredLines, void, void>,
  body: Readable,
): Promise<AnsweredLines[]> {
  const first: AnsweredLines[] = [];
  let bytes = 0;
  do {
    const next = await answers.next();
    if (next.done === true) break;
    if (next.value.problems !== null) {
      await answers.return();
      throw problemError(next.value.problems);
    }
    first.push(next.value);
    bytes += next.value.bytes.length;
  } while (body.readableEnded && bytes < heldBytes);
  return first;
}

async function* texts(
  first: readonly AnsweredLines[],
  others: AsyncGenerator<AnsweredLines, void, void>,
): AsyncGenerator<Uint8Array, void, void> {
  async function* all() {
    yield* first;
    yield* others;
  }
  try {
    for await (const { bytes, problems } of all()) {
      if (bytes.length > 0) yield bytes;
      if (problems !== null) yield errorLine(problemError(problems));
    }
  } catch (error) {
    yield errorLine(error);
  } finally {
    await others.return();
  }
}

/** `{"error": …}` with what a problem document would say. */
function errorLine(error: unknown): Uint8Array {
  const problem =
    error instanceof ProblemError ? error : new ProblemError('internal_error', errors.internal_error.description);
  const { status, title } = errors[problem.code];
  const said = {
    type: errorType(problem.code),
    title,
    status,
    detail: problem.message,
    code: problem.code,
    ...problem.members,
  };
  return new TextEncoder().encode(`${JSON.stringify({ error: said })}\n`);
}
