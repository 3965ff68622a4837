/**
 * Jobs over HTTP while the server is killed again and again: none may be lost or exist twice, and each must end with the
 * parameters, the loss history and the outcome that it has when nobody disturbs it.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { uniform } from '../../src/engine/prng.ts';
import { type Answer, Client } from './client.ts';
import { firstDifference, type Outcome, outcomeOf } from './outcome.ts';
import { type KillCounts, MortalServer } from './server.ts';
import { type ChaosJob, generated, type Sources, storeDatasets, workload } from './workload.ts';

export interface ChaosOptions {
  readonly kills: number;
  /** Jobs of a round; rounds are repeated until there have been so many kills. */
  readonly jobs: number;
  readonly seed: number;
  /** Of the jobs' epochs; 1 when left out. */
  readonly scale?: number;
  /** Where the server that is killed keeps its state; in its data directory when left out. */
  readonly database_url?: string;
  /** Requests under way at once. */
  readonly clients?: number;
  readonly log?: (line: string) => void;
}

export interface ChaosReport extends KillCounts {
  readonly rounds: number;
  /** Jobs whose creation was acknowledged. */
  readonly acknowledged: number;
  readonly retries: number;
  readonly attempts: number;
  /** Loss values that were compared. */
  readonly losses: number;
  /** Acknowledged, but not there or not ended. */
  readonly lost: number;
  /** Jobs and data sets there beyond one per key. */
  readonly duplicated: number;
  /** What differs from the undisturbed run. */
  readonly differences: readonly string[];
  readonly seconds: number;
}

/**
 * When a kill comes, in milliseconds: one of four from the start of the server, so that it hits the start and what that
 * takes up; the others from when it serves. A server needs about 0.8 s to start, so there is a kill every 0.3 to 2 s.
 */
function blow(seed: number, kill: number): { readonly from: 'start' | 'ready'; readonly ms: number } {
  const drawn = uniform(seed, 'generate', 0, kill);
  return kill % 4 === 3 ? { from: 'start', ms: 300 + 500 * drawn } : { from: 'ready', ms: 10 + 1190 * drawn };
}

/** One pass over all jobs with keys of its own. */
class Round {
  readonly ids: string[] = [];
  readonly #client: Client;
  readonly #jobs: readonly ChaosJob[];
  readonly #datasets: readonly string[];
  readonly #prefix: string;
  readonly #again: (index: number) => boolean;
  readonly #ended: Promise<void>[] = [];

  /** @param again whether the client sends a job once more though it was acknowledged */
  constructor(
    client: Client,
    jobs: readonly ChaosJob[],
    datasets: readonly string[],
    prefix: string,
    again: (index: number) => boolean,
  ) {
    this.#client = client;
    this.#jobs = jobs;
    this.#datasets = datasets;
    this.#prefix = prefix;
    this.#again = again;
  }

  /** Sends the jobs in order, so many at a time, each client waiting for the end of its own. */
  async carryOut(clients: number): Promise<void> {
    let next = 0;
    const work = async () => {
      while (next < this.#jobs.length) {
        const index = next++;
        this.#ended[index] = this.#carryOutOne(index);
        await this.#ended[index];
      }
    };
    await Promise.all(Array.from({ length: clients }, work));
  }

  async #carryOutOne(index: number): Promise<void> {
    const { after, body } = this.#jobs[index]!;
    if (after !== null) await this.#ended[after];
    const sources: Sources = { datasets: this.#datasets, jobId: (other) => this.ids[other]! };
    const key = `${this.#prefix}-${index}`;
    const request = { ...body(sources), metadata: { key } };
    const { id } = await this.#client.post('/v1/jobs', request, { 'idempotency-key': key });
    this.ids[index] = id;
    if (this.#again(index)) {
      const repeated = await this.#client.post('/v1/jobs', request, { 'idempotency-key': key });
      if (repeated.id !== id) throw new Error(`${key} was acknowledged as ${id} and then as ${repeated.id}`);
    }
    await this.#client.follow(id);
  }
}

const never = () => false;

/** The outcomes of the jobs on a server that nobody disturbs. */
async function undisturbed(jobs: readonly ChaosJob[], clients: number, directory: string): Promise<Outcome[]> {
  const server = new MortalServer(join(directory, 'undisturbed'), join(directory, 'compiled'));
  server.start();
  try {
    const client = new Client(server);
    const round = new Round(client, jobs, await storeDatasets(client, 'clean'), 'clean', never);
    await round.carryOut(clients);
    return await Promise.all(round.ids.map((id) => outcomeOf(client, id)));
  } finally {
    await server.stop();
  }
}

/** Kills and starts until the number is reached or the signal says so. */
async function disturb(server: MortalServer, { kills, seed }: ChaosOptions, end: AbortSignal): Promise<void> {
  while (server.counts.kills < kills && !end.aborted) {
    const { from, ms } = blow(seed, server.counts.kills);
    if (from === 'ready') await server.address();
    await sleep(ms, undefined, { signal: end }).catch(() => undefined);
    if (end.aborted) return;
    await server.kill();
    server.start();
  }
}

/** What is wrong with the jobs of a round; they have all ended. */
async function compare(client: Client, ids: readonly string[], wanted: readonly Outcome[], prefix: string) {
  const differences: string[] = [];
  let losses = 0;
  for (const [index, id] of ids.entries()) {
    const found = await outcomeOf(client, id);
    for (const [part, want] of Object.entries(wanted[index]!)) {
      const difference = firstDifference(want, found[part as keyof Outcome], part);
      if (difference !== null) differences.push(`${prefix}-${index} (${id}): ${difference}`);
    }
    losses += found.steps.reduce((sum: number, { total_points }: Answer) => sum + total_points, 0);
    differences.push(...(await unreadableCheckpoints(client, id)));
  }
  return { differences, losses };
}

/** Every checkpoint that is listed must be there and whole. */
async function unreadableCheckpoints(client: Client, id: string): Promise<string[]> {
  const { data } = await client.get(`/v1/jobs/${id}/checkpoints`);
  const read = data.map(async ({ step, parameters_url }: Answer) => {
    const answer = await client.get(parameters_url).catch(String);
    return answer.step === step ? [] : [`checkpoint ${step} of ${id}: ${JSON.stringify(answer).slice(0, 200)}`];
  });
  return (await Promise.all(read)).flat();
}

/** @throws {Error} when a server ends by itself or answers what it must not */
export async function proveDurability(options: ChaosOptions): Promise<ChaosReport> {
  const { kills, seed, scale = 1, clients = 8, log = () => undefined } = options;
  const directory = mkdtempSync(join(tmpdir(), 'trainyard-chaos-'));
  const jobs = workload(options.jobs, scale);
  const started = performance.now();
  const wanted = await undisturbed(jobs, clients, directory);
  log(`${jobs.length} jobs undisturbed: ${((performance.now() - started) / 1000).toFixed(1)} s`);

  const { database_url: url } = options;
  const settings: Readonly<Record<string, string>> = url === undefined ? {} : { DATABASE_URL: url };
  const server = new MortalServer(join(directory, 'killed'), join(directory, 'compiled'), settings);
  const client = new Client(server);
  const end = new AbortController();
  const acknowledged = new Map<string, string>();
  const differences: string[] = [];
  let [rounds, losses] = [0, 0];
  server.start();
  const disturbed = disturb(server, options, end.signal);
  try {
    do {
      const prefix = `round-${rounds}`;
      const datasets = await storeDatasets(client, prefix);
      const again = (index: number) => uniform(seed, 'generate', 1 + rounds, index) < 0.25;
      const round = new Round(client, jobs, datasets, prefix, again);
      await round.carryOut(clients);
      for (const [index, id] of round.ids.entries()) acknowledged.set(`${prefix}-${index}`, id);
      const compared = await compare(client, round.ids, wanted, prefix);
      differences.push(...compared.differences);
      losses += compared.losses;
      rounds += 1;
      log(`round ${rounds}: ${server.counts.kills} kills so far, ${differences.length} differences`);
    } while (server.counts.kills < kills);
    await disturbed;
    const found = await client.all('/v1/jobs');
    const datasetsFound = (await client.all('/v1/datasets')).length;
    const ids = new Set(found.map(({ id }) => id));
    return {
      ...server.counts,
      rounds,
      acknowledged: acknowledged.size,
      retries: client.retries,
      attempts: found.reduce((sum, { attempt }) => sum + attempt, 0),
      losses,
      lost: [...acknowledged.values()].filter((id) => !ids.has(id)).length,
      duplicated:
        found.length -
        new Set(found.map(({ metadata }) => metadata.key)).size +
        datasetsFound -
        generated.length * rounds,
      differences,
      seconds: (performance.now() - started) / 1000,
    };
  } finally {
    end.abort();
    await disturbed;
    const code = await server.stop();
    if (code !== 0) differences.push(`the last server ended with ${code}`);
    rmSync(directory, { recursive: true, force: true });
  }
}
