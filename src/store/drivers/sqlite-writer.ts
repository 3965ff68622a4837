/**
 * The thread that writes. A commit waits for the disk, which may take a tenth of a second while much else is written;
 * meanwhile the main thread answers whoever only reads. The process has one, for all databases that it has open, and
 * another one when it has ended.
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
  readonly #worker = new Worker(new URL('./sqlite-thread.ts', import.meta.url), {
    name: 'sqlite',
    execArgv: [],
    // Three semi-spaces of 1 MiB. What it holds are the rows of one answer.
    resourceLimits: { maxYoungGenerationSizeMb: 3, maxOldGenerationSizeMb: 512 },
  });
  readonly #pending = new Map<number, { readonly task: WriterTask } & PromiseWithResolvers<FromWriter['answer']>>();
  #asked = 0;
  #cause: unknown = undefined;
  /** As soon as the thread has left its databases, and not before. */
  isGone = false;

  constructor() {
    this.#worker.unref();
    this.#worker.on('message', ({ id, answer }: FromWriter) => {
      this.#pending.get(id)?.resolve(answer);
      this.#pending.delete(id);
      if (this.#pending.size === 0) this.#worker.unref();
    });
    this.#worker.on('error', (error) => {
      this.#cause = error;
    });
    this.#worker.on('exit', (code) => this.#end(code));
  }

  /**
   * Tasks are carried out in the order in which they are given.
   * @throws {StoreError} when the thread has ended before it could answer
   */
  async ask(database: number, task: WriterTask): Promise<FromWriter['answer']> {
    if (this.isGone) throw this.#gone(task);
    const id = this.#asked++;
    const pending = { task, ...Promise.withResolvers<FromWriter['answer']>() };
    this.#pending.set(id, pending);
    // An idle thread does not keep the process alive; one that owes an answer does.
    this.#worker.ref();
    this.#worker.postMessage({ id, database, task } satisfies ToWriter);
    return pending.promise;
  }

  #end(code: number): void {
    this.isGone = true;
    this.#cause ??= new Error(`it ended with code ${code}`);
    for (const { task, reject } of this.#pending.values()) reject(this.#gone(task, true));
    this.#pending.clear();
  }

  /** SQLite undoes what was not committed when the thread leaves the database; of a commit only the answer may be lost. */
  #gone(task: WriterTask, wasAsked = false): StoreError {
    const cause = this.#cause instanceof Error ? this.#cause : new Error(String(this.#cause));
    const isOpen = wasAsked && task.do === 'query' && task.sql === commit;
    const outcome = isOpen ? 'whether its transaction was committed is not known' : 'its transaction was undone';
    const message = `SQLite: the thread that writes is gone (${cause.message}), and ${outcome}.`;
    return new StoreError('storage_busy', message, { cause });
  }
}

const commit = 'commit';

let thread: WriterThread | undefined;
let opened = 0;

/** One that is there: whoever asks after its end gets a new one, in which no database is open. */
function livingThread(): WriterThread {
  if (thread === undefined || thread.isGone) thread = new WriterThread();
  return thread;
}

/** The connection of a database in one thread. It ends with the thread, and a transaction in it does, too. */
class Session {
  readonly #thread = livingThread();
  readonly #database = opened++;
  /** As of the last answer. */
  #inTransaction = false;

  get isGone(): boolean {
    return this.#thread.isGone;
  }

  async ask(task: WriterTask): Promise<Row[]> {
    const answer = await this.#thread.ask(this.#database, task);
    this.#inTransaction = answer.inTransaction;
    if ('code' in answer) throw new StoreError(answer.code, answer.message);
    return answer.rows;
  }

  /** Runs work between `begin` and `commit`; whatever fails in it, nothing of it stays. */
  async transaction<T>(work: (query: Query) => Promise<T>): Promise<T> {
    const query: Query = (sql, parameters = []) => this.ask({ do: 'query', sql, parameters });
    await query('begin immediate');
    try {
      const result = await work(query);
      await query(commit);
      return result;
    } finally {
      // Still open: `work` threw, or the commit failed. A full disk may have rolled it back already.
      if (this.#inTransaction && !this.isGone) await query('rollback');
    }
  }
}

export type Query = (sql: string, parameters?: readonly SqlValue[]) => Promise<Row[]>;

/** The database of a file, to be written. Should its thread end, it is opened again in another one. */
export class Writer {
  readonly #path: string;
  readonly #setup: string;
  #session: Session | null = null;

  /** @param setup statements that set a connection up */
  constructor(path: string, setup: string) {
    this.#path = path;
    this.#setup = setup;
  }

  /** One at a time. Begins in the thread that is there, and never goes on in another one. */
  async transaction<T>(work: (query: Query) => Promise<T>): Promise<T> {
    if (this.#session?.isGone ?? true) this.#session = await this.#open();
    return (this.#session as Session).transaction(work);
  }

  async close(): Promise<void> {
    if (!(this.#session?.isGone ?? true)) await this.#session?.ask({ do: 'close' });
  }

  async #open(): Promise<Session> {
    const session = new Session();
    await session.ask({ do: 'open', path: this.#path, setup: this.#setup });
    return session;
  }
}
