/** What the job tests share: small networks and data, and waiting without sleeping. */
import http from 'node:http';
import type { NetworkDefinition } from '../../src/engine/definition.ts';
import type { JobView } from '../../src/schemas/job-view.ts';
import { type KeptRequest, runRequest } from '../../src/services/job-request.ts';
import { parametersSha256 } from '../../src/training/bytes.ts';
import type { LearningRateChange } from '../../src/training/request.ts';
import { Run } from '../../src/training/run.ts';
import type { RunningApp } from './app.ts';

export const xor = {
  inputs: [
    [0, 0],
    [0, 1],
    [1, 0],
    [1, 1],
  ],
  targets: [[0], [1], [1], [0]],
};

export const network = {
  input_size: 2,
  layers: [
    { units: 4, activation: 'tanh' },
    { units: 1, activation: 'sigmoid' },
  ],
  loss: 'binary_cross_entropy',
  precision: 'float64',
};

export const job = {
  network,
  data: xor,
  epochs: 20,
  batch_size: 2,
  seed: 3,
  optimizer: { name: 'sgd', learning_rate: 0.5 },
};

/** Wide enough that a run of many epochs takes its time on every back end. */
const wideNetwork = { ...network, layers: [{ units: 32, activation: 'tanh' }, ...network.layers] };

/** A job that goes on until somebody ends it. */
export const endless = { ...job, network: wideNetwork, epochs: 9_000_000 };

/** A job that takes long enough to be interrupted. */
export const long = { ...job, network: wideNetwork, epochs: 80_000, optimizer: 'adam' };

/** The run of a job on `xor` that knows its changes from the start and is never disturbed, and all its losses. */
function undisturbedRun({ network, request }: JobView, changes: readonly LearningRateChange[]) {
  const arrays = { inputs: Float64Array.from(xor.inputs.flat()), targets: Float64Array.from(xor.targets.flat()) };
  const kept = request as unknown as KeptRequest;
  const run = new Run(runRequest(network as unknown as NetworkDefinition, kept, arrays, changes), null);
  const losses: number[] = [];
  while (run.end === null) losses.push(...run.advance(1000).steps.losses);
  return { run, losses };
}

/** The SHA of its parameters. */
export const undisturbed = (job: JobView, changes: readonly LearningRateChange[]): string =>
  parametersSha256(undisturbedRun(job, changes).run.result());

export const undisturbedLosses = (job: JobView): number[] => undisturbedRun(job, []).losses;

/** Trains a job to its end. */
export async function train(running: RunningApp, body: object): Promise<JobView> {
  const answer = await running.request.post('/v1/jobs').set('Prefer', 'wait=30').send(body).expect(201);
  return answer.body as JobView;
}

export async function submit(running: RunningApp, body: object): Promise<JobView> {
  const answer = await running.request.post('/v1/jobs').send(body).expect(201);
  return answer.body as JobView;
}

export interface ReceivedEvent {
  readonly id?: number;
  readonly event: string;
  // biome-ignore lint/suspicious/noExplicitAny: the data of an event are free JSON.
  readonly data: any;
}

/** The events of a job as they come; ends with the stream, or when the caller stops reading. */
export async function* follow(
  { port }: Pick<RunningApp, 'port'>,
  id: string,
  headers: Readonly<Record<string, string>> = {},
): AsyncGenerator<ReceivedEvent> {
  const { promise, resolve, reject } = Promise.withResolvers<http.IncomingMessage>();
  const path = `/v1/jobs/${id}/events`;
  const request = http.get({ port, path, headers: { accept: 'text/event-stream', ...headers } }, resolve);
  request.once('error', reject);
  try {
    let rest = '';
    for await (const chunk of await promise) {
      const parts = (rest + String(chunk)).split('\n\n');
      rest = parts.pop() as string;
      for (const part of parts) if (!part.startsWith(':')) yield eventOf(part);
    }
  } finally {
    request.destroy();
  }
}

function eventOf(text: string): ReceivedEvent {
  const fields = Object.fromEntries(text.split('\n').map((line) => line.split(/: (.*)/s).slice(0, 2)));
  const id = fields.id === undefined ? {} : { id: Number(fields.id) };
  return { ...id, event: fields.event, data: JSON.parse(fields.data) };
}

/** Waits until a job is in a state. */
export async function untilState(running: Pick<RunningApp, 'port'>, id: string, state: string): Promise<void> {
  for await (const { event, data } of follow(running, id)) if (event === 'state' && data.state === state) return;
  throw new Error(`the job ended without having been ${state}`);
}

/** Waits until a running job has got somewhere. */
export async function untilProgress(running: Pick<RunningApp, 'port'>, id: string): Promise<ReceivedEvent['data']> {
  for await (const { event, data } of follow(running, id)) if (event === 'progress') return data;
  throw new Error('the job ended before it reported any progress');
}
