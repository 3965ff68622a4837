/** A client that never gives up: it repeats what was not answered, and follows its job's events across restarts. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { MortalServer } from './server.ts';

// biome-ignore lint/suspicious/noExplicitAny: answers are free JSON, read field by field.
export type Answer = any;

/** Points of one answer: the most that the service gives. */
const windowPoints = 10_000;
/** As long as a server may leave a request without an answer, in milliseconds. */
const patienceMs = 30_000;

export class Client {
  readonly #server: MortalServer;
  /** How often a request had to be sent again because the server was gone. */
  retries = 0;

  constructor(server: MortalServer) {
    this.#server = server;
  }

  /**
   * The answer's JSON, however often the server dies on the way.
   * @throws {Error} when the service refuses, other than for the moment
   */
  async send(path: string, init: RequestInit = {}): Promise<Answer> {
    for (;;) {
      const address = await this.#server.address();
      try {
        const response = await fetch(`${address}${path}`, { ...init, signal: AbortSignal.timeout(patienceMs) });
        const text = await response.text();
        if (response.ok) return JSON.parse(text);
        if (response.status !== 429 && response.status !== 503) {
          throw new Refused(`${init.method ?? 'GET'} ${path} answered ${response.status}: ${text}`);
        }
      } catch (error) {
        if (error instanceof Refused) throw error;
        if (error instanceof Error && error.name === 'TimeoutError') throw error;
      }
      this.retries += 1;
      await sleep(10);
    }
  }

  get(path: string): Promise<Answer> {
    return this.send(path);
  }

  post(path: string, body: object, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    const sent = { 'content-type': 'application/json', ...headers };
    return this.send(path, { method: 'POST', headers: sent, body: JSON.stringify(body) });
  }

  /** Follows a job to its end. Complains when the numbers of its events do not ascend one by one. */
  async follow(id: string): Promise<void> {
    let seen = 0;
    for (;;) {
      const address = await this.#server.address();
      try {
        const headers = { accept: 'text/event-stream', 'last-event-id': String(seen) };
        const response = await fetch(`${address}/v1/jobs/${id}/events`, { headers });
        if (!response.ok) throw new Refused(`the events of ${id} answered ${response.status}`);
        for await (const event of eventsOf(response)) {
          if (event.id !== undefined && event.id !== seen + 1) {
            throw new Refused(`event ${event.id} of ${id} came after event ${seen}`);
          }
          seen = event.id ?? seen;
          if (event.name === 'end') return;
        }
      } catch (error) {
        if (error instanceof Refused) throw error;
      }
      this.retries += 1;
      await sleep(10);
    }
  }

  /** Every point of a job's history, column by column. */
  async history(id: string, resolution: 'step' | 'epoch'): Promise<readonly Answer[]> {
    const windows: Answer[] = [];
    for (let from = 1; ; from += windowPoints) {
      const range = `from=${from}&to=${from + windowPoints - 1}&max_points=${windowPoints}`;
      const answer = await this.get(`/v1/jobs/${id}/loss-history?resolution=${resolution}&${range}`);
      if (answer.sampled) throw new Error(`the history of ${id} came sampled`);
      if (answer.total_points === 0) return windows;
      windows.push(answer);
      if (answer.total_points < windowPoints) return windows;
    }
  }

  /** Every record of a list, newest first. */
  async all(path: '/v1/jobs' | '/v1/datasets'): Promise<readonly Answer[]> {
    const records: Answer[] = [];
    for (let after = ''; ; after = `&after=${records.at(-1).id}`) {
      const page = await this.get(`${path}?limit=100${after}`);
      records.push(...page.data);
      if (!page.has_more) return records;
    }
  }
}

/** The service has answered, and not with what can be tried again. */
class Refused extends Error {}

async function* eventsOf(response: Response): AsyncGenerator<{ readonly id?: number; readonly name: string }> {
  let rest = '';
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    const blocks = (rest + chunk).split('\n\n');
    rest = blocks.pop()!;
    for (const block of blocks) {
      const name = /^event: (.*)$/m.exec(block)?.[1];
      const id = /^id: (\d+)$/m.exec(block)?.[1];
      if (name !== undefined) yield { name, ...(id === undefined ? {} : { id: Number(id) }) };
    }
  }
}
