/** The entry of the thread that writes: one task after the other. */
import { runInNewContext } from 'node:vm';
import { parentPort } from 'node:worker_threads';
import { StoreError } from '../store.ts';
import { type Connection, connect } from './sqlite-connection.ts';
import type { FromWriter, ToWriter, WriterTask } from './sqlite-writer.ts';

const databases = new Map<number, Connection>();

function open(path: string, setup: string): Connection {
  const connection = connect(path, false);
  try {
    connection.exec(setup);
    return connection;
  } catch (error) {
    connection.close();
    throw error;
  }
}

function carryOut(database: number, task: WriterTask): FromWriter['answer'] {
  if (task.do === 'open') {
    databases.set(database, open(task.path, task.setup));
    return { rows: [], inTransaction: false };
  }
  const connection = databases.get(database);
  if (connection === undefined) throw new StoreError('storage_failed', 'SQLite: the database is not open');
  if (task.do === 'query') {
    const rows = connection.query(task.sql, task.parameters);
    return { rows, inTransaction: connection.inTransaction };
  }
  connection.close();
  databases.delete(database);
  return { rows: [], inTransaction: false };
}

parentPort?.on('message', ({ id, database, task }: ToWriter) => {
  let answer: FromWriter['answer'];
  try {
    answer = carryOut(database, task);
  } catch (thrown) {
    // Anything else is a fault of ours, and ends the thread.
    if (!(thrown instanceof StoreError)) throw thrown;
    const inTransaction = databases.get(database)?.inTransaction ?? false;
    answer = { code: thrown.code, message: thrown.message, inTransaction };
  }
  parentPort?.postMessage({ id, answer } satisfies FromWriter);
});

// What starting has left, when whoever has waited for the thread has been served; where V8's `gc` is known by then.
const collect = "globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' })";
setTimeout(() => runInNewContext(collect), 1_000).unref();
