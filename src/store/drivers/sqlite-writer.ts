/**
 * The thread that writes. A commit waits for the disk, which may take a tenth of a second while much else is written;
 * meanwhile the main thread answers whoever only reads. The process has one, for all databases that it has open.
 */
import { Worker } from 'node:worker_threads';
import type { Row, SqlValue } from '../driver.ts';
import { StoreError, type StoreErrorCode } from '../store.ts';

/** What the thread is asked to do with one of its databases. */
export type WriterTask =
  | { readonly do: 'open'; readonly path: string; readonly setup: string }
  | { readonly do: 'query'; readonly sql: string; readonly parameters: readonly SqlValue[] }
  | { readonly do: 'close' };

export interface ToWriter {
  readonly id: number;
  readonly database: number;
  readonly task: WriterTask;
}

export interface WriterAnswer {
  readonly rows: Row[];
  readonly inTransaction: boolean;
}

export interface FromWriter {
  readonly id: number;
  readonly answer:
    | WriterAnswer
    | { readonly code: StoreErrorCode; readonly message: string; readonly inTransaction: boolean };
}

class WriterThread {
  readonly #worker = new Worker(new URL('./sqlite-thread.ts', import.meta.url), { name: 'sqlite', execArgv: [] });
  readonly #pending = new Map<number, PromiseWithResolvers<FromWriter['answer']>>();
  #asked = 0;

  constructor() {
    this.#worker.unref();
    this.#worker.on('message', ({ id, answer }: FromWriter) => {
      this.#pending.get(id)?.resolve(answer);
      this.#pending.delete(id);
      if (this.#pending.size === 0) this.#worker.unref();
    });
    this.#worker.on('error', (error) => this.#end(error as Error));
    this.#worker.on('exit', (code) => this.#end(new Error(`it ended with code ${code}`)));
  }

  /** Tasks are carried out in the order in which they are given. */
  ask(database: number, task: WriterTask): Promise<FromWriter['answer']> {
    const id = this.#asked++;
    const pending = Promise.withResolvers<FromWriter['answer']>();
    this.#pending.set(id, pending);
    // An idle thread does not keep the process alive; one that owes an answer does.
    this.#worker.ref();
    this.#worker.postMessage({ id, database, task } satisfies ToWriter);
    return pending.promise;
  }

  /** Whoever asks from now on gets a new thread, in which the databases of this one are not open. */
  #end(cause: Error): void {
    if (thread === this) thread = undefined;
    const message = `SQLite: the thread that writes is gone: ${cause.message}`;
    for (const { reject } of this.#pending.values()) reject(new StoreError('storage_failed', message, { cause }));
    this.#pending.clear();
  }
}

let thread: WriterThread | undefined;
let opened = 0;

/** The connection of one database, in the thread. */
export class Writer {
  readonly #database = opened++;
  readonly #isOpen: Promise<unknown>;
  /** As of the last answer. */
  inTransaction = false;

  /** @param setup statements that set the connection up */
  constructor(path: string, setup: string) {
    this.#isOpen = this.#ask({ do: 'open', path, setup });
    // Told by the first query.
    this.#isOpen.catch(() => undefined);
  }

  /** Statements are carried out in the order in which they are given. */
  async query(sql: string, parameters: readonly SqlValue[] = []): Promise<Row[]> {
    await this.#isOpen;
    return this.#ask({ do: 'query', sql, parameters });
  }

  async close(): Promise<void> {
    await this.#ask({ do: 'close' });
  }

  async #ask(task: WriterTask): Promise<Row[]> {
    thread ??= new WriterThread();
    const answer = await thread.ask(this.#database, task);
    this.inTransaction = answer.inTransaction;
    if ('code' in answer) throw new StoreError(answer.code, answer.message);
    return answer.rows;
  }
}
