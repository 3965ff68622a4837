/**
 * How soon a job obeys, from networks whose step takes a microsecond to those whose step takes half a second. Over real
 * HTTP, on a server of its own with one worker: the time from sending `pause` or `cancel` until the event of the state
 * `paused` or `cancelled` has come back. Both are on the disk by then, a paused job with its weights. Exits with 1 when
 * the median of a cancel is over the limit.
 *
 *     node scripts/control-proof.ts [rounds]
 */
import { followEvents, send } from './http-client.ts';
import { startServer } from './own-server.ts';

const limitMs = 50;
const rounds = Number(process.argv[2] ?? 11);

/** Hidden units and rows of a batch. */
const networks = {
  'a microsecond': { units: [8], batch: 4, rows: 64 },
  'a millisecond': { units: [512, 512], batch: 64, rows: 256 },
  '30 milliseconds': { units: [1024, 1024], batch: 512, rows: 512 },
  'half a second': { units: [2048, 2048, 2048], batch: 1024, rows: 1024 },
} as const;

function jobOf({ units, batch, rows }: (typeof networks)[keyof typeof networks]): object {
  const inputs = Array.from({ length: rows }, (_, i) => Array.from({ length: 16 }, (_, j) => Math.sin(i * 16 + j)));
  const layers = [...units.map((count) => ({ units: count, activation: 'relu' })), { units: 1 }];
  return {
    network: { input_size: 16, layers, loss: 'mean_squared_error' },
    data: { inputs, targets: inputs.map(([x = 0]) => [x]) },
    epochs: 10 ** 9,
    batch_size: batch,
    optimizer: { name: 'sgd', learning_rate: 1e-4 },
  };
}

const shown = (times: readonly number[]): string => {
  const sorted = times.toSorted((a, b) => a - b);
  return [sorted[Math.floor(sorted.length / 2)], sorted.at(-1)].map((time) => time!.toFixed(0).padStart(6)).join('');
};

async function measure(base: string, name: keyof typeof networks): Promise<boolean> {
  const times = { pause: [] as number[], cancel: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    const job = await send(`${base}/v1/jobs`, 'POST', jobOf(networks[name]));
    const asked = { pause: Number.NaN, cancel: Number.NaN };
    const ask = (action: 'pause' | 'cancel' | 'resume') => {
      if (action !== 'resume') asked[action] = performance.now();
      void send(`${base}${job.urls.self}/${action}`, 'POST');
    };
    let progress = 0;
    for await (const { event, at, data } of followEvents(base + job.urls.events)) {
      if (event === 'progress' && data.step > 0 && ++progress % 3 === 0) ask(progress === 3 ? 'pause' : 'cancel');
      if (event === 'state' && data.state === 'paused') {
        times.pause.push(at - asked.pause);
        ask('resume');
      }
      if (event === 'state' && data.state === 'cancelled') times.cancel.push(at - asked.cancel);
    }
  }
  console.log(`${name.padEnd(16)} ${shown(times.cancel)} ${shown(times.pause)}`);
  return times.cancel.toSorted((a, b) => a - b)[Math.floor(rounds / 2)] <= limitMs;
}

const server = await startServer({ MAX_WORKERS: '1', MAX_EPOCHS: String(10 ** 9) });
try {
  console.log(`a step takes       cancel        pause (milliseconds: median, maximum)`);
  const results = [];
  for (const name of Object.keys(networks) as (keyof typeof networks)[]) results.push(await measure(server.base, name));
  if (!results.every(Boolean)) process.exitCode = 1;
} finally {
  await server.stop();
}
