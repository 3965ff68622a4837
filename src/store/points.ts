/**
 * The loss history: chunks of consecutive points. A chunk is one row: what its series are as JSON, and one binary value
 * with their columns one after another, in little-endian order.
 */
import type { Driver, Queryable, Row } from './driver.ts';
import { toJson } from './sql.ts';
import type { PointChunk, Points, Rewind } from './store.ts';

/** Chunks read at once by `chunks`: what a reader holds in memory. */
const chunksPerRead = 16;

type Column = PointChunk['series'][string];

const types = { float32: Float32Array, float64: Float64Array } as const;

/** A stored column. Chunks of before schema 6 have names only: `count` float64 values each. */
interface StoredSeries {
  readonly name: string;
  readonly type: keyof typeof types;
  readonly length: number;
}

const seriesOf = ({ series }: PointChunk): StoredSeries[] =>
  Object.entries(series).map(([name, { length, BYTES_PER_ELEMENT: size }]) => ({
    name,
    type: size === 4 ? 'float32' : 'float64',
    length,
  }));

function packed({ count, series }: PointChunk): Uint8Array {
  const columns = Object.entries(series);
  const wrong = columns.find(([, { length }]) => length !== count && length !== 1);
  if (wrong) throw new RangeError(`series ${wrong[0]} has ${wrong[1].length} values, expected ${count}`);
  const bytes = new Uint8Array(columns.reduce((sum, [, { byteLength }]) => sum + byteLength, 0));
  let offset = 0;
  for (const [, { buffer, byteOffset, byteLength }] of columns) {
    // Bytes, not numbers: copying numbers may change the payload of a NaN.
    bytes.set(new Uint8Array(buffer, byteOffset, byteLength), offset);
    offset += byteLength;
  }
  return bytes;
}

function unpacked(row: Row): PointChunk {
  const first = Number(row.first_index);
  const count = Number(row.last_index) - first + 1;
  const stored = JSON.parse(String(row.series)) as readonly (string | StoredSeries)[];
  const bytes = row.data as Uint8Array;
  let offset = 0;
  const columns = stored.map((entry) => {
    const { name, type, length } =
      typeof entry === 'string' ? { name: entry, type: 'float64' as const, length: count } : entry;
    const size = length * types[type].BYTES_PER_ELEMENT;
    // A copy, because a Float64Array must begin at a multiple of 8 bytes of its buffer.
    const column = bytes.slice(offset, offset + size);
    offset += size;
    return [name, new types[type](column.buffer, column.byteOffset, length)] as const;
  });
  return { resolution: String(row.resolution), first, count, series: Object.fromEntries(columns) };
}

/** The beginning of a chunk, up to and including the index `last`. */
function cut(chunk: PointChunk, last: number): PointChunk {
  const count = last - chunk.first + 1;
  const beginning = (values: Column) => (values.length === 1 ? values : values.subarray(0, count));
  const series = Object.entries(chunk.series).map(([name, values]) => [name, beginning(values)] as const);
  return { ...chunk, count, series: Object.fromEntries(series) };
}

/** @throws {RangeError} when a chunk is empty or a series has another length than `count`. */
export async function putPoints(sql: Queryable, job_id: string, chunks: readonly PointChunk[]): Promise<void> {
  for (const chunk of chunks) {
    if (!(chunk.count > 0)) throw new RangeError(`a chunk of ${chunk.count} points`);
    await sql.query(
      `insert into points (job_id, resolution, first_index, last_index, series, data) values ($1, $2, $3, $4, $5, $6)`,
      [job_id, chunk.resolution, chunk.first, chunk.first + chunk.count - 1, toJson(seriesOf(chunk)), packed(chunk)],
    );
  }
}

/** Forgets the points after the last index of each resolution; a chunk that reaches over it is cut. */
export async function rewindPoints(sql: Queryable, job_id: string, keep: Rewind['points']): Promise<void> {
  const known = await sql.query('select distinct resolution from points where job_id = $1', [job_id]);
  for (const resolution of known.map((row) => String(row.resolution))) {
    const last = Object.hasOwn(keep, resolution) ? Number(keep[resolution]) : Number.MIN_SAFE_INTEGER;
    const rows = await sql.query(
      'select * from points where job_id = $1 and resolution = $2 and first_index <= $3 and last_index > $3',
      [job_id, resolution, last],
    );
    await sql.query('delete from points where job_id = $1 and resolution = $2 and last_index > $3', [
      job_id,
      resolution,
      last,
    ]);
    await putPoints(
      sql,
      job_id,
      rows.map((row) => cut(unpacked(row), last)),
    );
  }
}

export function points(driver: Driver): Points {
  return {
    async *chunks(job_id, resolution, { from = Number.MIN_SAFE_INTEGER, to = Number.MAX_SAFE_INTEGER } = {}) {
      for (let next = from; ; ) {
        const rows = await driver.query(
          `select * from points where job_id = $1 and resolution = $2 and last_index >= $3 and first_index <= $4
           order by first_index limit $5`,
          [job_id, resolution, next, to, chunksPerRead],
        );
        yield* rows.map(unpacked);
        const last = rows.at(-1);
        if (last === undefined || rows.length < chunksPerRead) return;
        next = Number(last.last_index) + 1;
      }
    },

    async extent(job_id, resolution) {
      const [row] = await driver.query(
        `select cast(sum(last_index - first_index + 1) as ${driver.dialect.integer}) as count,
           min(first_index) as first, max(last_index) as last
         from points where job_id = $1 and resolution = $2`,
        [job_id, resolution],
      );
      if (row === undefined || row.first === null) return undefined;
      return { count: Number(row.count), first: Number(row.first), last: Number(row.last) };
    },
  };
}
