/** Lets the engine and its peers train the same workloads in turns and compares them. */
import { type ChildProcessByStdio, spawn, spawnSync } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { parseArgs } from 'node:util';
import type { Answer } from './peer.ts';
import { operationsPerStep, type Workload, workloads } from './workloads.ts';

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '0.4' },
    peers: { type: 'string' },
    threads: { type: 'string', default: '1' },
  },
});

/** The first Python that can import the library: an own one, or the system's. */
function pythonWith(library: string): string {
  const can = (command: string) => spawnSync(command, ['-c', `import ${library}`], { stdio: 'ignore' }).status === 0;
  return ['python3', '/usr/bin/python3'].find(can) ?? 'python3';
}

const here = (path: string) => new URL(path, import.meta.url).pathname;
const node = (script: string, ...args: string[]) => [process.execPath, here(`peers/${script}.ts`), ...args];
const python = (library: string) => [pythonWith(library), here('peers/python.py'), library];

const commands: Readonly<Record<string, () => readonly string[]>> = {
  trainyard: () => node('engine'),
  // Beside the one that is held against it: what slows one of them slows the other.
  'limit 256': () => node('limit', '256'),
  ...(flags.threads === '1' ? {} : { [`trainyard ×${flags.threads}`]: () => node('engine', 'fused', flags.threads) }),
  'trainyard strict': () => node('engine', 'strict'),
  'trainyard 128': () => node('engine', 'fused', '1', 'narrow'),
  'limit 128': () => node('limit', '128'),
  'trainyard HTTP': () => node('http'),
  'HTTP shuffled': () => node('http', 'shuffle'),
  NumPy: () => python('numpy'),
  PyTorch: () => python('torch'),
  'scikit-learn': () => python('sklearn'),
  'tfjs-wasm': () => node('tfjs', 'wasm'),
  'tfjs-cpu': () => node('tfjs', 'cpu'),
  'brain.js': () => node('online', 'brain'),
  synaptic: () => node('online', 'synaptic'),
};

/** One thread for everybody, and nothing that forces a library onto a slower path. */
function peerEnvironment(): NodeJS.ProcessEnv {
  const forced = /^(OPENBLAS|MKL|BLIS|ATEN|DNNL|ONEDNN|OMP|GOTO|VECLIB|TF)_/;
  const kept = Object.entries(process.env).filter(([name]) => !forced.test(name));
  return { ...Object.fromEntries(kept), OMP_NUM_THREADS: '1', OPENBLAS_NUM_THREADS: '1', MKL_NUM_THREADS: '1' };
}

/** A peer's process; `ask` gives null once it is gone. */
class Peer {
  readonly name: string;
  readonly #process: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: AsyncIterator<string>;

  constructor(name: string, [command, ...args]: readonly string[]) {
    this.name = name;
    this.#process = spawn(command, args, { stdio: ['pipe', 'pipe', 'ignore'], env: peerEnvironment() });
    this.#process.on('error', () => {});
    this.#process.stdin.on('error', () => {});
    this.#lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
  }

  async ask(workload: Workload, seconds: number): Promise<Answer | null> {
    this.#process.stdin.write(`${JSON.stringify({ workload: workload.name, definition: workload, seconds })}\n`);
    for (;;) {
      const { value, done } = await this.#lines.next();
      if (done) return null;
      if (value.startsWith('{')) return JSON.parse(value) as Answer;
    }
  }

  end(): void {
    this.#process.stdin.end();
  }
}

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

interface Row {
  readonly workload: string;
  readonly peer: string;
  readonly microseconds_per_step: number;
  readonly samples_per_second: number;
  readonly gflops: number;
  /** Of the widest multiply-add kernel that the peer could use: the median over the rounds. */
  readonly share_of_limit: number | null;
  /** How many times as fast as this peer the engine is. */
  readonly engine_advantage: number | null;
  /** What the peer says of itself: its version, its memory. */
  readonly note: string | null;
}

interface Measurements {
  readonly times: ReadonlyMap<string, readonly number[]>;
  readonly notes: ReadonlyMap<string, string>;
}

function rowsOf(workload: Workload, { times, notes }: Measurements): Row[] {
  const seconds = new Map([...times].map(([peer, values]) => [peer, median(values)]));
  const engine = seconds.get('trainyard');
  const shareOfLimit = (peer: string) => {
    const limits = (peer.endsWith(' 128') ? undefined : times.get('limit 256')) ?? times.get('limit 128');
    return limits === undefined ? null : median((times.get(peer) ?? []).map((time, round) => limits[round] / time));
  };
  return [...seconds].map(([peer, time]) => ({
    workload: workload.name,
    peer,
    microseconds_per_step: time * 1e6,
    samples_per_second: workload.batch / time,
    gflops: operationsPerStep(workload) / time / 1e9,
    share_of_limit: shareOfLimit(peer),
    engine_advantage: engine === undefined ? null : time / engine,
    note: notes.get(peer) ?? null,
  }));
}

function show(rows: readonly Row[]): void {
  for (const row of rows) {
    const cells = [
      row.workload.padEnd(4),
      row.peer.padEnd(17),
      `${row.microseconds_per_step.toPrecision(4).padStart(10)} µs/step`,
      `${Math.round(row.samples_per_second).toLocaleString('en').padStart(13)} samples/s`,
      `${row.gflops.toFixed(1).padStart(7)} GFLOP/s`,
      row.share_of_limit === null ? '' : `${(100 * row.share_of_limit).toFixed(1).padStart(6)} % of limit`,
      row.engine_advantage === null ? '' : `${row.engine_advantage.toPrecision(3).padStart(8)}×`,
      row.note ?? '',
    ];
    console.log(cells.join('  '));
  }
}

const wanted = flags.peers?.split(',') ?? Object.keys(commands);
const unknown = wanted.filter((name) => commands[name] === undefined);
if (unknown.length > 0) throw new Error(`no peer ${unknown.join(', ')}; there are ${Object.keys(commands).join(', ')}`);
const peers = wanted.map((name) => new Peer(name, commands[name]()));
const chosen = workloads.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
const all: Row[] = [];
for (const workload of chosen) {
  const times = new Map<string, number[]>();
  const notes = new Map<string, string>();
  for (let round = 0; round < Number(flags.rounds); round++) {
    for (const peer of peers) {
      const answer = await peer.ask(workload, Number(flags.seconds));
      if (answer?.note) notes.set(peer.name, answer.note);
      if (answer?.seconds_per_step) times.set(peer.name, [...(times.get(peer.name) ?? []), answer.seconds_per_step]);
    }
  }
  const rows = rowsOf(workload, { times, notes });
  all.push(...rows);
  if (!flags.json) show(rows);
}
for (const peer of peers) peer.end();
if (flags.json)
  console.log(JSON.stringify({ node: process.version, rounds: Number(flags.rounds), rows: all }, null, 2));
