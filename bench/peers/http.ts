/**
 * The service itself: a job over HTTP on one worker, timed by a client from POST to the finished answer, with durable
 * history and every default in force; `shuffle` as the first argument for jobs that shuffle, as is their default.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { type OwnServer, startServer } from '../../scripts/own-server.ts';
import { writeNpy } from '../../src/interop/npy.ts';
import type { Answer, Request } from '../peer.ts';
import { BATCHES, dataOf, LEARNING_RATE, type Workload, workloads } from '../workloads.ts';

const shuffle = process.argv[2] === 'shuffle';
/** A job is measured once it takes this long, so that its start is a small part of it. */
const SPELL_SECONDS = 1;

async function post<T>(url: string, body: object, headers: Record<string, string> = {}): Promise<T> {
  const json = { headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) };
  const response = await fetch(url, { method: 'POST', ...(body instanceof Blob ? { body } : json) });
  if (!response.ok) throw new Error(`${url} answered ${response.status}: ${await response.text()}`);
  return (await response.json()) as T;
}

interface Job {
  readonly state: string;
  readonly stop_reason: string;
  readonly backend: string;
}

/** Seconds of wall-clock time for a job of so many epochs of the workload. */
type Train = (epochs: number) => Promise<number>;

/** The data as NumPy saves them: one matrix, the targets in its last columns. */
async function upload(base: string, workload: Workload): Promise<string> {
  const { rows, width, units, inputs, targets } = dataOf(workload);
  const columns = width + units;
  const matrix = new Float64Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    matrix.set(inputs.subarray(row * width, (row + 1) * width), row * columns);
    matrix.set(targets.subarray(row * units, (row + 1) * units), row * columns + width);
  }
  const target = Array.from({ length: units }, (_, i) => `column_${width + i + 1}`).join();
  const { id } = await post<{ id: string }>(
    `${base}/v1/datasets?target=${target}`,
    new Blob([new Uint8Array(writeNpy(matrix, [rows, columns]))], { type: 'application/x-npy' }),
  );
  return id;
}

async function prepare(base: string, workload: Workload): Promise<Train> {
  const { sizes, hidden, output, loss, optimizer, batch } = workload;
  const dataset_id = await upload(base, workload);
  const layers = sizes.slice(1).map((size, i) => ({
    units: size,
    activation: i === sizes.length - 2 ? output : hidden,
  }));
  const network = { input_size: sizes[0], layers, loss };
  return async (epochs) => {
    const request = {
      ...{ network, dataset_id, epochs, batch_size: batch, shuffle, seed: 1 },
      optimizer: { name: optimizer, learning_rate: LEARNING_RATE },
    };
    const start = performance.now();
    const job = await post<Job>(`${base}/v1/jobs`, request, { prefer: 'wait=60' });
    const seconds = (performance.now() - start) / 1000;
    if (job.stop_reason !== 'completed' || job.backend !== 'wasm') throw new Error(JSON.stringify(job));
    return seconds;
  };
}

/** MiB of memory that the process has held at most since it was started, or since the last `forgetPeak`. */
function peakMebibytes({ process: { pid } }: OwnServer): number | null {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return Math.round(Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) / 1024);
  } catch {
    return null;
  }
}

/** See clear_refs in proc_pid_smaps(5). */
function forgetPeak({ process: { pid } }: OwnServer): void {
  if (process.platform === 'linux') writeFileSync(`/proc/${pid}/clear_refs`, '5');
}

/** One server per workload, so that its memory is that of the workload. */
class Measured {
  readonly #train: Train;
  readonly #server: OwnServer;
  readonly #uploadPeak: number | null;
  #epochs = 1;

  static async start(workload: Workload): Promise<Measured> {
    const server = await startServer({ MAX_WORKERS: '1', MAX_EPOCHS: String(10 ** 9) });
    return new Measured(server, await prepare(server.base, workload));
  }

  private constructor(server: OwnServer, train: Train) {
    this.#server = server;
    this.#train = train;
    this.#uploadPeak = peakMebibytes(server);
    forgetPeak(server);
  }

  get #note(): string {
    return `peak memory ${peakMebibytes(this.#server)} MiB training, ${this.#uploadPeak} MiB before, with the upload`;
  }

  async answer(seconds: number): Promise<Answer> {
    const end = performance.now() + seconds * 1000;
    for (let least = Infinity; ; ) {
      const took = await this.#train(this.#epochs);
      if (took >= SPELL_SECONDS) least = Math.min(least, took / (this.#epochs * BATCHES));
      if (least < Infinity && performance.now() >= end) {
        return { seconds_per_step: least, note: this.#note };
      }
      if (took < SPELL_SECONDS) {
        this.#epochs = Math.ceil(this.#epochs * Math.min(50, (1.3 * SPELL_SECONDS) / Math.max(took, 0.01)));
      }
    }
  }

  stop(): Promise<void> {
    return this.#server.stop();
  }
}

let name: string | null = null;
let measured: Measured | null = null;
for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line) as Request;
  if (request.workload !== name) {
    await measured?.stop();
    name = request.workload;
    const workload = workloads.find((entry) => entry.name === name);
    measured = workload?.task === 'train' ? await Measured.start(workload) : null;
  }
  const answer: Answer = measured === null ? { seconds_per_step: null } : await measured.answer(request.seconds);
  console.log(JSON.stringify(answer));
}
await measured?.stop();
