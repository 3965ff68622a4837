/**
 * What it costs that a job is watched. Trains the benchmarks' workloads in turns, in one process and on one thread:
 * bare (the engine alone, over the same rows in blocks of the same length, its losses thrown away), as a worker trains
 * a job with `"statistics": false` (losses of every step and epoch, the best one, progress, checkpoints), and as it
 * does with every default in force (statistics of the layers and early warnings besides). Within a job the engine's
 * own time is that in which it is made, draws the order of the rows and trains; what the rest takes more than in a
 * bare run is the cost, in processor time: both belong to the same run, so that what else happens on the machine
 * hardly moves their ratio. What it does to the engine itself (cold caches, shorter blocks) is in the last column:
 * engine time of a watched job by that of a bare run, which noise does move. Medians over rounds; exits with 1 when
 * the cost of all is over the limit.
 *
 *     node scripts/diagnosis-cost-proof.ts [seconds of training per run] [rounds] [workload …]
 */
import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads';
import { BATCHES, dataOf, LEARNING_RATE, type Workload, workloads } from '../bench/workloads.ts';
import { createBackend } from '../src/engine/backends.ts';
import { free } from '../src/engine/free.ts';
import { initialParameters, plan as planOf } from '../src/engine/plan.ts';
import { HistoryTail } from '../src/services/history-tail.ts';
import { Batches, maxBlockRows } from '../src/training/batches.ts';
import { Pace } from '../src/training/pace.ts';
import {
  control,
  createControl,
  defaultRunSettings,
  type FromWorker,
  type ToWorker,
} from '../src/training/protocol.ts';
import type { RunRequest } from '../src/training/request.ts';
import { machine } from '../src/training/revectorize.ts';
import type { CreateBackend } from '../src/training/run.ts';
import { Session } from '../src/training/session.ts';

const limit = 0.03;
const [secondsGiven, roundsGiven, ...named] = process.argv.slice(2);
const seconds = Number(secondsGiven ?? 2.5);
const rounds = Number(roundsGiven ?? 2);
const measured = named.length > 0 ? named : ['W0', 'W2', 'W3', 'W4', 'W5'];

const now = performance.now.bind(performance);

/** Seconds of processor time of this process: what V8 collects beside the thread counts, other programs do not. */
function processorTime(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/** Of the run under way: within the engine, and in receiving what it sends, which is another thread's work. */
const spent = { engine: 0, receiving: 0 };

function timed<Result>(part: keyof typeof spent, work: () => Result): Result {
  const before = processorTime();
  const result = work();
  spent[part] += processorTime() - before;
  return result;
}

const { revectorized } = machine();
const create: CreateBackend = (...given) =>
  timed('engine', () => {
    const chosen = createBackend(...given, { revectorized });
    const train = chosen.backend.train.bind(chosen.backend);
    chosen.backend.train = (block) => timed('engine', () => train(block));
    return chosen;
  });
const { whole } = Batches.prototype;
Batches.prototype.whole = function (...given) {
  return timed('engine', () => whole.apply(this, given));
};

function requestOf(workload: Workload, epochs: number): RunRequest {
  const { sizes, hidden, output, loss, optimizer, batch } = workload;
  const { rows, inputs, targets } = dataOf(workload);
  const layers = sizes.slice(1).map((units, i) => ({ units, activation: i === sizes.length - 2 ? output : hidden }));
  return {
    network: { input_size: sizes[0], layers, loss },
    data: { rows, inputs, targets },
    epochs,
    batch_size: batch,
    shuffle: true,
    seed: 1,
    optimizer: { name: optimizer, learning_rate: LEARNING_RATE },
    learning_rate_schedule: [],
    metrics: [],
    arithmetic: 'fused',
    statistics: true,
  };
}

/** The engine alone: the rows as a run draws them, in blocks as long as a session's. */
function trainBare(request: RunRequest, create: CreateBackend): void {
  const { network, data, epochs, batch_size, seed } = request;
  const plan = planOf(network);
  const { backend } = create(plan, request, data, initialParameters(plan, network, seed));
  const batches = new Batches({ ...request, rows: Uint32Array.from({ length: data.rows }, (_, row) => row) });
  const perEpoch = batches.steps_per_epoch;
  const learning_rates = new Float64Array(maxBlockRows).fill(LEARNING_RATE);
  const pace = new Pace();
  for (let step = 0; step < epochs * perEpoch; ) {
    const [epoch, inEpoch] = [Math.floor(step / perEpoch), step % perEpoch];
    const fitting = Math.floor(Math.min(pace.steps / perEpoch, maxBlockRows / data.rows, epochs - epoch));
    const isWhole = inEpoch === 0 && fitting > 0;
    const started = now();
    const order = isWhole
      ? batches.whole(epoch, fitting)
      : batches.part(epoch, inEpoch, Math.min(inEpoch + pace.steps, perEpoch));
    const steps = order.length / batch_size;
    const epoch_rows = isWhole ? data.rows : order.length;
    backend.train({ order, epoch_rows, first_step: step + 1, learning_rates: learning_rates.subarray(0, steps) });
    pace.observe(steps, now() - started);
    step += steps;
  }
}

/** What a worker does with a job, its messages included; the memory of a report comes back as from who has stored it. */
function trainWatched(request: RunRequest): void {
  const { port1, port2 } = new MessageChannel();
  const cells = createControl();
  const tail = new HistoryTail();
  const store = (message: FromWorker) => {
    if (message.type === 'checkpoint' || message.type === 'checkpoint_piece') free(message.bytes);
    if (message.type === 'progress') tail.add(message.progress);
    if (message.type !== 'checkpoint') return;
    const memories = tail.clear();
    port2.postMessage({ type: 'reuse', memories } satisfies ToWorker, memories);
  };
  const send = (message: FromWorker, transfer: readonly ArrayBuffer[]) => {
    port1.postMessage(message, transfer);
    timed('receiving', () => store(receiveMessageOnPort(port2)?.message));
    Atomics.add(cells, control.acknowledged, 1);
  };
  const link = { control: cells, send, receive: () => receiveMessageOnPort(port1)?.message, now };
  const end = new Session(request, null, defaultRunSettings, link, create).carryOut();
  port1.close();
  if (end.kind !== 'succeeded') throw new Error(`the run ended as ${end.kind}`);
}

const ways = {
  bare: (request: RunRequest) => trainBare(request, create),
  recorded: (request: RunRequest) => trainWatched({ ...request, statistics: false }),
  watched: trainWatched,
};
const names = Object.keys(ways) as (keyof typeof ways)[];

/** Seconds of processor time within the engine and besides. */
interface Times {
  readonly engine: number;
  readonly besides: number;
}

function timesOf(way: keyof typeof ways, request: RunRequest): Times {
  spent.engine = 0;
  spent.receiving = 0;
  const before = processorTime();
  ways[way](request);
  return { engine: spent.engine, besides: processorTime() - before - spent.engine - spent.receiving };
}

/** Epochs that take the engine about so many seconds; on the way everything gets compiled. */
function epochsFor(workload: Workload): number {
  for (let epochs = 1; ; epochs *= 2) {
    const request = requestOf(workload, epochs);
    const [{ engine }] = names.map((way) => timesOf(way, request));
    if (engine >= seconds / 4) return Math.ceil((epochs * seconds) / engine);
  }
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) / 2)];
const percent = (part: number): string => `${(100 * part).toFixed(2)} %`.padStart(10);

/** Prints a line; returns whether the cost is below the limit. */
function prove(workload: Workload): boolean {
  const request = requestOf(workload, epochsFor(workload));
  const times = Array.from({ length: rounds }, (_, round) => {
    const order = names.map((_, i) => names[(round + i) % names.length]);
    return Object.fromEntries(order.map((way) => [way, timesOf(way, request)])) as Record<keyof typeof ways, Times>;
  });
  const cost = (way: keyof typeof ways) =>
    median(times.map(({ bare, [way]: { engine, besides } }) => (besides - bare.besides) / engine));
  const [history, all] = [cost('recorded'), cost('watched')];
  const step = (1e6 * median(times.map(({ bare }) => bare.engine))) / (request.epochs * BATCHES);
  const slower = median(times.map(({ watched, bare }) => watched.engine / bare.engine));
  const costs = [history, all - history, all].map(percent).join('');
  console.log(`${workload.name} ${`${step.toFixed(2)} us`.padStart(12)} ${costs}   ${slower.toFixed(3)}`);
  return all <= limit;
}

console.log('   engine, a step   history statistics      all   engine watched / bare');
const held = workloads.filter(({ name }) => measured.includes(name)).map(prove);
if (!held.every(Boolean)) process.exitCode = 1;
