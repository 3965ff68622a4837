/**
 * How fresh is what a client sees, while every worker trains. Over real HTTP, on a server of its own: the pauses between
 * two progress events of a stream, which bound the age of what it shows, and the time from sending a changed learning rate
 * until its event is there, which takes the way from the client to the step and back. Exits with 1 when the slowest is
 * over the limit.
 *
 *     node scripts/live-proof.ts [changes]
 */
import { followEvents, send } from './http-client.ts';
import { startServer } from './own-server.ts';

const limitMs = 250;
const changes = Number(process.argv[2] ?? 100);

/** Networks whose step takes microseconds and milliseconds. */
const networks = {
  'small steps': {
    input_size: 2,
    layers: [{ units: 8, activation: 'tanh' }, { units: 1 }],
    loss: 'mean_squared_error',
  },
  'large steps': {
    input_size: 2,
    layers: [{ units: 512, activation: 'relu' }, { units: 512, activation: 'relu' }, { units: 1 }],
    loss: 'mean_squared_error',
  },
};

function jobOf(network: object): object {
  const rows = Array.from({ length: 256 }, (_, i) => [i % 16, Math.floor(i / 16)].map((x) => x / 16));
  const data = { inputs: rows, targets: rows.map(([x = 0, y = 0]) => [x * y]) };
  return { network, data, epochs: 10 ** 9, batch_size: 64, optimizer: { name: 'sgd', learning_rate: 1e-3 } };
}

const at = (sorted: readonly number[], share: number): string =>
  (sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN).toFixed(0).padStart(5);

function report(name: string, what: string, times: number[]): boolean {
  const sorted = times.toSorted((a, b) => a - b);
  const slowest = sorted.at(-1) ?? Number.POSITIVE_INFINITY;
  console.log(`${name.padEnd(12)} ${what.padEnd(34)} ${at(sorted, 0.5)} ${at(sorted, 0.99)} ${at(sorted, 1)}`);
  return slowest <= limitMs;
}

async function measure(base: string, name: keyof typeof networks): Promise<boolean> {
  const job = await send(`${base}/v1/jobs`, 'POST', jobOf(networks[name]));
  const pauses: number[] = [];
  const answers: number[] = [];
  let seen: number | null = null;
  let sentAt: number | null = null;
  for await (const { event, at: now } of followEvents(base + job.urls.events)) {
    if (event === 'progress') {
      if (seen !== null && pauses.length < changes) pauses.push(now - seen);
      seen = now;
    }
    if (event === 'learning_rate_changed' && sentAt !== null) {
      answers.push(now - sentAt);
      sentAt = null;
    }
    if (answers.length >= changes) break;
    // A change makes the server report at once, so the pauses are measured before the first one.
    if (sentAt === null && event === 'progress' && pauses.length >= changes) {
      sentAt = performance.now();
      void send(base + job.urls.self, 'PATCH', { learning_rate: 1e-3 / (answers.length + 2) });
    }
  }
  await send(`${base}${job.urls.self}/cancel`, 'POST');
  const isFresh = report(name, 'between two progress events', pauses);
  return report(name, 'from PATCH to its event', answers) && isFresh;
}

const server = await startServer({ MAX_LEARNING_RATE_CHANGES: '100000', MAX_EPOCHS: String(10 ** 9) });
try {
  console.log(`${''.padEnd(47)}   50 %  99 %   max  (milliseconds)`);
  const results = [];
  for (const name of Object.keys(networks) as (keyof typeof networks)[]) results.push(await measure(server.base, name));
  if (!results.every(Boolean)) process.exitCode = 1;
} finally {
  await server.stop();
}
