import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HistoryQuery } from '../../src/schemas/history.ts';
import { readHistory } from '../../src/services/history.ts';
import { storedChunks } from '../../src/services/history-levels.ts';
import { HistoryTail } from '../../src/services/history-tail.ts';
import { openStore } from '../../src/store/open.ts';
import type { JobRecord, PointChunk, Store } from '../../src/store/store.ts';

const points = 300_000;
const epochs = 100;

/** A falling curve with a spike, a dip and one loss that is not finite, all far from the ends of any group. */
function lossAt(step: number): number {
  if (step === 123_457) return 50;
  if (step === 200_001) return -50;
  if (step === 250_123) return Number.NaN;
  return 1000 / (1000 + step) + 0.01 * Math.sin(step);
}

const chunkOf = (first: number, count: number): PointChunk => ({
  resolution: 'step',
  first,
  count,
  series: {
    loss: Float64Array.from({ length: count }, (_, i) => lossAt(first + i)),
    learning_rate: new Float64Array(count).fill(0.1),
  },
});

let directory: string;
let store: Store;
let plain: JobRecord;
let levelled: JobRecord;

/** A job with this history, stored in pieces of uneven size, with coarser levels or without. */
async function jobWith(id: string, withLevels: boolean): Promise<JobRecord> {
  const request = { metrics: [], data: { rows: 1, sha256: '' } };
  await store.jobs.create({ job: { id, network: {}, request, created_at: 1, epochs, steps: points } });
  for (let first = 1; first <= points; first += 70_001) {
    const chunk = chunkOf(first, Math.min(70_001, points - first + 1));
    await store.jobs.change({ id, at: 2, points: storedChunks([chunk], () => (withLevels ? points : 0)) });
  }
  return (await store.jobs.get(id)) as JobRecord;
}

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'trainyard-history-'));
  store = await openStore({ data_dir: directory });
  plain = await jobWith('job_plain', false);
  levelled = await jobWith('job_levelled', true);
});

afterAll(async () => {
  await store.close();
  rmSync(directory, { recursive: true, force: true });
});

const query = (changes: Partial<HistoryQuery>): HistoryQuery => ({ resolution: 'step', max_points: 500, ...changes });

/** Counts the points that are read. */
function counting(): { readonly store: Pick<Store, 'points'>; read: number } {
  const counter = {
    read: 0,
    store: {
      points: {
        extent: store.points.extent,
        async *chunks(...args: Parameters<Store['points']['chunks']>) {
          for await (const chunk of store.points.chunks(...args)) {
            counter.read += chunk.count;
            yield chunk;
          }
        },
      },
    },
  };
  return counter;
}

describe('coarser levels of a long history', () => {
  it.each([
    ['the whole', {}],
    ['few points', { max_points: 10 }],
    ['many points', { max_points: 10_000 }],
    ['a range', { from: 100_003, to: 260_001 }],
    ['a short range', { from: 250_100, to: 250_200 }],
    ['a range beyond the end', { from: 299_000, to: 400_000 }],
  ])('give the answer that all points give: %s', async (_name, changes) => {
    const [want, found] = await Promise.all(
      [plain, levelled].map((job) => readHistory(store, job, undefined, query(changes))),
    );
    expect(found).toEqual(want);
  });

  it('keep the spike, the dip and what is not finite', async () => {
    const { step, series } = await readHistory(store, levelled, undefined, query({}));
    for (const [place, value] of [
      [123_457, 50],
      [200_001, -50],
      [250_123, 'NaN'],
    ] as const) {
      expect(series.loss![step.indexOf(place)]).toBe(value);
    }
  });

  it('spare reading most of the points', async () => {
    const [all, few] = [counting(), counting()];
    await readHistory(all.store, plain, undefined, query({}));
    await readHistory(few.store, levelled, undefined, query({}));
    expect(all.read).toBe(points);
    expect(few.read).toBeLessThan(points / 10);
  });

  it('are not relied on when a part of them has been forgotten', async () => {
    const job = await jobWith('job_rewound', true);
    const rewind = { step: 150_000, points: { step: 150_000, epoch: 50 } };
    await store.jobs.change({ id: job.id, at: 3, rewind });
    await store.jobs.change({ id: job.id, at: 4, points: storedChunks([chunkOf(150_001, 150_000)], () => points) });
    expect(await readHistory(store, job, undefined, query({}))).toEqual(
      await readHistory(store, plain, undefined, query({})),
    );
  });
});

describe('the chunks that are stored', () => {
  const report = (first: number, count: number, rate = 0.1): PointChunk => ({
    resolution: 'step',
    first,
    count,
    series: {
      loss: Float32Array.from({ length: count }, (_, i) => first + i),
      learning_rate: Float64Array.of(rate),
    },
  });

  it('are few, however small the reports were', () => {
    const reports = Array.from({ length: 20 }, (_, i) => report(1 + 7 * i, 7));
    expect(storedChunks(reports, () => 140)).toEqual([report(1, 140)]);
  });

  it('write a rate out from where it changes', () => {
    const [chunk] = storedChunks([report(1, 2), report(3, 1, 0.2)], () => 3);
    expect(chunk!.series.learning_rate).toEqual(Float64Array.of(0.1, 0.1, 0.2));
  });

  it('are of bounded size, however large the reports were', () => {
    const chunks = storedChunks([report(1, 100_000), report(100_001, 100_000)], () => 0);
    expect(chunks.map(({ first, count }) => [first, count])).toEqual([
      [1, 65_536],
      [65_537, 65_536],
      [131_073, 65_536],
      [196_609, 3_392],
    ]);
    expect(chunks.flatMap(({ series }) => [...series.loss!])).toEqual(Array.from({ length: 200_000 }, (_, i) => i + 1));
  });

  it('begin anew where other things were measured', () => {
    const { series, ...rest } = report(3, 1);
    const diverged = { ...rest, series: { loss: series.loss! } };
    expect(storedChunks([report(1, 2), diverged], () => 0)).toEqual([report(1, 2), diverged]);
  });

  it('hold all points of a level where a series of one value is not finite', () => {
    const chunk = { ...report(1, 300), series: { ...report(1, 300).series, accuracy: Float64Array.of(Number.NaN) } };
    const [, level] = storedChunks([chunk], () => points);
    expect(level).toMatchObject({ resolution: 'step/64', first: 1, count: 300 });
  });
});

describe('points that are not stored yet', () => {
  it('follow the stored ones, and those that are in both count once', async () => {
    const tail = new HistoryTail();
    const losses = Float64Array.from({ length: 20 }, (_, i) => i);
    const empty = { first_epoch: 1, steps: new Float64Array(0), series: {} };
    const steps = { first_step: points - 9, losses, learning_rates: new Float64Array([0.2]) };
    tail.add({ steps, epochs: empty, frames: [] });
    const history = await readHistory(store, plain, tail, query({ from: points - 1 }));
    expect(history.step).toEqual(Array.from({ length: 12 }, (_, i) => points - 1 + i));
    expect(history.series.loss!.slice(2)).toEqual([10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
    expect(history.series.learning_rate!.at(-1)).toBe(0.2);
  });

  it('of epochs whose series end early have null there', async () => {
    const tail = new HistoryTail();
    const noSteps = { first_step: 1, losses: new Float64Array(0), learning_rates: new Float64Array(0) };
    const series = { loss: new Float64Array([2, 1, Number.NaN]), validation_loss: new Float64Array([3, 2]) };
    tail.add({
      steps: noSteps,
      epochs: { first_epoch: 1, steps: new Float64Array([10, 20, 25]), series },
      frames: [],
    });
    const job = { ...plain, request: { ...(plain.request as object), validation: { fraction: 0.5 } } };
    const history = await readHistory(store, job, tail, query({ resolution: 'epoch' }));
    expect(history).toMatchObject({
      step: [10, 20, 25],
      series: { loss: [2, 1, 'NaN'], validation_loss: [3, 2, null] },
    });
  });

  it('give their memory back when they are stored, unless somebody still reads them', async () => {
    const tail = new HistoryTail();
    const report = () => {
      const steps = { first_step: 1, losses: Float32Array.of(1, 2), learning_rates: Float64Array.of(0.5) };
      const epochs = { first_epoch: 1, steps: Float64Array.of(2), series: { loss: Float64Array.of(1.5) } };
      tail.add({ steps, epochs, frames: [] });
      return [steps.losses, steps.learning_rates, epochs.steps, epochs.series.loss].map(({ buffer }) => buffer);
    };
    const memories = report();
    expect(new Set(tail.clear())).toEqual(new Set(memories));
    expect(tail.clear()).toEqual([]);

    report();
    const stored = Promise.withResolvers<void>();
    const reading = tail.read(async (chunks) => {
      await stored.promise;
      return chunks.map(({ count, series }) => [count, series.loss?.length]);
    });
    expect(tail.clear()).toEqual([]);
    expect(tail.chunks()).toEqual([]);
    stored.resolve();
    expect(await reading).toEqual([
      [2, 2],
      [1, 1],
    ]);
    const later = report();
    expect(new Set(tail.clear())).toEqual(new Set(later));
  });
});
