/**
 * Trains the jobs of the chaos proof again and again on servers that nobody disturbs and that start anew after every few
 * dozen jobs, several at a time, so that more threads than there are cores want the processor. Everything that a job
 * says (parameters, losses, statistics of the layers) must be what it said the first time. Exits with 1 when it is not.
 *
 *     node scripts/repeat-proof.ts [seconds] [servers at a time]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from './chaos/client.ts';
import { firstDifference, type Outcome, outcomeOf } from './chaos/outcome.ts';
import { MortalServer } from './chaos/server.ts';
import { type ChaosJob, storeDatasets, workload } from './chaos/workload.ts';

const [seconds, serversAtATime] = [Number(process.argv[2] ?? 120), Number(process.argv[3] ?? 3)];
const jobsOfAServer = 32;
const clients = 4;

/** Those that do not start from another one's model. */
const jobs = workload(40, 1).filter(({ after }) => after === null);
const firstTime = new Map<ChaosJob, Outcome>();
const until = performance.now() + 1000 * seconds;
const directory = mkdtempSync(join(tmpdir(), 'trainyard-repeat-'));
let [trained, different, servers] = [0, 0, 0];

async function trainOne(client: Client, job: ChaosJob, datasets: readonly string[]): Promise<void> {
  const jobId = () => {
    throw new Error('none of these jobs starts from another one');
  };
  const { id } = await client.post('/v1/jobs', job.body({ datasets, jobId }));
  await client.follow(id);
  const outcome = await outcomeOf(client, id);
  trained += 1;
  const difference = firstDifference(firstTime.get(job) ?? outcome, outcome, `job ${jobs.indexOf(job)}`);
  firstTime.set(job, firstTime.get(job) ?? outcome);
  if (difference === null) return;
  different += 1;
  console.log(`${id}, one of ${trained}: ${difference}`);
}

async function serve(lane: number): Promise<void> {
  while (performance.now() < until) {
    const state = join(directory, String(servers++));
    const server = new MortalServer(state, join(directory, `compiled-${lane}`));
    server.start();
    const client = new Client(server);
    const datasets = await storeDatasets(client, 'repeat');
    let sent = 0;
    const train = async () => {
      while (sent++ < jobsOfAServer && performance.now() < until)
        await trainOne(client, jobs[Math.floor(jobs.length * Math.random())], datasets);
    };
    await Promise.all(Array.from({ length: clients }, train));
    await server.stop();
    rmSync(state, { recursive: true, force: true });
  }
}

// Each server listens for the end of this process.
process.setMaxListeners(0);
try {
  await Promise.all(Array.from({ length: serversAtATime }, (_, lane) => serve(lane)));
} finally {
  console.log(`${trained} jobs on ${servers} servers in ${seconds} s: ${different} differ from their first time`);
  // After a failure servers of the others may still be writing.
  rmSync(directory, { recursive: true, force: true, maxRetries: 10 });
}
if (different > 0) process.exitCode = 1;
