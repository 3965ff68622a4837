import { expect, test } from 'vitest';
import { takeJoined } from '../../src/training/columns.ts';
import { HistoryBuffer } from '../../src/training/history-buffer.ts';
import type { RunRequest } from '../../src/training/request.ts';
import { Run } from '../../src/training/run.ts';
import { Slab, Spares } from '../../src/training/slab.ts';
import { smallRequest } from './fixtures/requests.ts';

const slabOf = (spares: Spares) => new Slab((memory) => new Float64Array(memory), spares);

test('numbers that were taken bit by bit leave in one piece, without a copy', () => {
  const slab = slabOf(new Spares());
  const parts = [slab.take(2), slab.take(3)];
  parts[0].set([1, 2]);
  parts[1].set([3, 4, 5]);
  const { byteLength } = parts[0].buffer;
  const left = takeJoined(parts);
  expect(left).toEqual(Float64Array.of(1, 2, 3, 4, 5));
  expect(left.buffer.byteLength).toBe(byteLength);
  expect(parts.map(({ length }) => length)).toEqual([0, 0]);
  // What comes next lies elsewhere.
  slab.take(1)[0] = 9;
  expect(left[0]).toBe(1);
});

test('what is given back is taken again', () => {
  const slab = slabOf(new Spares());
  const first = slab.take(4).subarray(0, 1);
  first[0] = 1;
  slab.giveBack(3);
  const second = slab.take(1);
  second[0] = 2;
  expect(takeJoined([first, second])).toEqual(Float64Array.of(1, 2));
});

test('numbers that do not lie side by side are copied, and what is taken later does not touch them', () => {
  const slab = slabOf(new Spares());
  const first = slab.take(500).fill(1);
  const second = slab.take(500).fill(2);
  const joined = takeJoined([first, second]);
  expect(joined).toHaveLength(1000);
  slab.take(500).fill(3);
  expect([joined[0], joined[499], joined[500], joined[999]]).toEqual([1, 1, 2, 2]);
});

test('arrays of different precisions that follow each other in one memory are not taken for neighbours', () => {
  const memory = new ArrayBuffer(16);
  const [single, double] = [new Float32Array(memory, 0, 2).fill(1), new Float64Array(memory, 8, 1).fill(2)];
  expect(takeJoined([single, double])).toEqual(Float64Array.of(1, 1, 2));
});

test('a memory that has come back is used before a new one is made: the smallest that is large enough', () => {
  const spares = new Spares();
  const [large, small] = [new ArrayBuffer(65_536), new ArrayBuffer(8_192)];
  spares.give([large, small]);
  expect(spares.take(8_000)).toBe(small);
  expect(spares.take(8_000)).toBe(large);
  expect(spares.take(8_000).byteLength).toBe(8_000);
});

test('no more memory is kept than can be under way', () => {
  const spares = new Spares();
  const memories = Array.from({ length: 3 }, () => new ArrayBuffer(2 ** 23));
  spares.give(memories);
  expect(memories.map(({ byteLength }) => byteLength)).toEqual([2 ** 23, 2 ** 23, 0]);
  spares.free();
  expect(memories.map(({ byteLength }) => byteLength)).toEqual([0, 0, 0]);
});

test('memory that numbers of either precision do not fill, or hardly any do, is not kept', () => {
  const spares = new Spares();
  const [odd, small, fit] = [new ArrayBuffer(8_196), new ArrayBuffer(64), new ArrayBuffer(8_192)];
  spares.give([odd, small, fit]);
  expect([odd.byteLength, small.byteLength]).toEqual([0, 0]);
  expect(spares.take(4_096)).toBe(fit);
  const slab = slabOf(spares);
  spares.give([new Float32Array(2049).buffer]);
  expect(slab.take(3)).toHaveLength(3);
});

/** What a run reports, a few blocks at a time, when it writes on memory full of other numbers. */
function reported(request: RunRequest, spares: Spares) {
  const run = new Run(request, null, undefined, spares);
  const buffer = new HistoryBuffer();
  const reports: object[] = [];
  for (let blocks = 1; run.end === null; blocks++) {
    buffer.add(run.advance(5));
    if (blocks % 3 > 0 && run.end === null) continue;
    const { steps, epochs } = buffer.drain();
    reports.push(structuredClone({ steps, epochs }));
    const columns = [steps.losses, epochs.steps, ...Object.values(epochs.series)];
    for (const column of columns) column.fill(7e77);
    spares.give(columns.map(({ buffer }) => buffer as ArrayBuffer));
  }
  return reports;
}

test.each(['float32', 'float64'] as const)(
  'a run in %s reports the same whatever is left in its memory',
  (precision) => {
    const request = smallRequest({ network: { ...smallRequest().network, precision }, epochs: 40 });
    const dirty = new Spares();
    dirty.give(Array.from({ length: 6 }, () => new Float64Array(4096).fill(-1e99).buffer));
    const wanted = reported(request, {
      give() {},
      take: (bytes: number) => new ArrayBuffer(bytes),
    } as unknown as Spares);
    expect(wanted.length).toBeGreaterThan(5);
    expect(reported(request, dirty)).toEqual(wanted);
  },
);
