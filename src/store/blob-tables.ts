/** Blobs in the database, in chunks of 1 MiB: for servers that share no directory. */
import { type BlobInfo, type BlobStore, checkBlobKey, checkBlobPrefix } from './blobs.ts';
import type { Driver } from './driver.ts';
import { decode } from './sql.ts';

export const chunkBytes = 1 << 20;

/** The same bytes in pieces of `chunkBytes`, the last one shorter. */
async function* chunked(content: Uint8Array | AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const pending = new Uint8Array(chunkBytes);
  let filled = 0;
  for await (const piece of content instanceof Uint8Array ? [content] : content) {
    for (let at = 0; at < piece.length; ) {
      const part = piece.subarray(at, at + chunkBytes - filled);
      pending.set(part, filled);
      filled += part.length;
      at += part.length;
      if (filled === chunkBytes) {
        yield pending.slice();
        filled = 0;
      }
    }
  }
  if (filled > 0) yield pending.slice(0, filled);
}

/** The first text after all that begin with a prefix ending in a slash: `0` follows `/` in ASCII. */
const prefixEnd = (prefix: string): string => `${prefix.slice(0, -1)}0`;

/** @param now milliseconds since 1970: the clock for `written_at`. */
export function blobTables(driver: Driver, now: () => number): BlobStore {
  async function* stream(key: string, count: number): AsyncGenerator<Uint8Array> {
    for (let number = 0; number < count; number++) {
      const [row] = await driver.query('select data from blob_chunks where key = $1 and number = $2', [key, number]);
      if (row === undefined) throw new Error(`blob ${key} was deleted while it was read`);
      yield row.data as Uint8Array;
    }
  }

  async function sizeOf(key: string): Promise<number | undefined> {
    checkBlobKey(key);
    const [row] = await driver.query('select size from blobs where key = $1', [key]);
    return row && Number(row.size);
  }

  return {
    put(key, content) {
      checkBlobKey(key);
      return driver.transaction(async (sql) => {
        await sql.query('delete from blobs where key = $1', [key]);
        await sql.query('insert into blobs (key, size, written_at) values ($1, 0, $2)', [key, now()]);
        let size = 0;
        let number = 0;
        for await (const data of chunked(content)) {
          await sql.query('insert into blob_chunks (key, number, data) values ($1, $2, $3)', [key, number++, data]);
          size += data.length;
        }
        await sql.query('update blobs set size = $2 where key = $1', [key, size]);
        return size;
      });
    },

    async get(key) {
      const size = await sizeOf(key);
      if (size === undefined) return undefined;
      const content = new Uint8Array(size);
      let at = 0;
      for await (const piece of stream(key, Math.ceil(size / chunkBytes))) {
        content.set(piece, at);
        at += piece.length;
      }
      return content;
    },

    async stream(key) {
      const size = await sizeOf(key);
      return size === undefined ? undefined : stream(key, Math.ceil(size / chunkBytes));
    },

    async delete(key) {
      checkBlobKey(key);
      const removed = await driver.transaction((sql) =>
        sql.query('delete from blobs where key = $1 returning key', [key]),
      );
      return removed.length > 0;
    },

    async deleteAll(prefix) {
      checkBlobPrefix(prefix);
      await driver.transaction((sql) =>
        sql.query('delete from blobs where key > $1 and key < $2', [prefix, prefixEnd(prefix)]),
      );
    },

    async *list(prefix) {
      if (prefix !== '') checkBlobPrefix(prefix);
      const rows = await driver.query('select * from blobs where key > $1 and ($1 = $3 or key < $2) order by key', [
        prefix,
        prefix === '' ? '' : prefixEnd(prefix),
        '',
      ]);
      const columns = { key: 'plain', size: 'plain', written_at: 'plain' } as const;
      yield* rows.map((row) => decode<BlobInfo>(columns, row));
    },
  };
}
