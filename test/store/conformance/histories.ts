import { expect, it } from 'vitest';
import type { Fixture } from '../conformance.ts';
import { collect, losses, noon, progressTo, queuedJob, runningJob } from '../records.ts';

const bits = (values: Float32Array | Float64Array): bigint[] => Array.from(new BigUint64Array(values.slice().buffer));

export function historiesConform(fixture: Fixture): void {
  it('keeps every bit of every point: NaN payloads, infinities, -0, subnormals', async () => {
    const { id } = await queuedJob(fixture.store);
    const patterns = [0x7ff8000000000001n, 0x7ff0000000000001n, 0xfff8000000000000n, 0x7ff0000000000000n];
    const loss = new Float64Array(BigUint64Array.from([...patterns, 0x8000000000000000n, 1n]).buffer);
    const accuracy = loss.slice().reverse();
    const chunk = { resolution: 'step', first: 1, count: 6, series: { loss, 'accuracy ö': accuracy } };
    await fixture.store.jobs.change({ id, at: noon, points: [chunk] });
    const [read] = await collect(fixture.store.points.chunks(id, 'step'));
    expect(Object.keys(read!.series)).toEqual(['loss', 'accuracy ö']);
    expect(bits(read!.series.loss!)).toEqual(bits(loss));
    expect(bits(read!.series['accuracy ö']!)).toEqual(bits(accuracy));
  });

  it('keeps columns of float32, and columns of one value for all points, as they are', async () => {
    const { id } = await queuedJob(fixture.store);
    const series = {
      loss: Float32Array.of(0.1, Number.NaN, 3),
      rate: Float64Array.of(0.1),
      other: Float64Array.of(1, 2, 3),
    };
    const chunk = { resolution: 'step', first: 1, count: 3, series };
    await fixture.store.jobs.change({ id, at: noon, points: [chunk] });
    expect(await collect(fixture.store.points.chunks(id, 'step'))).toEqual([chunk]);
    const rewind = { step: 2, points: { step: 2 } };
    await fixture.store.jobs.change({ id, at: noon, rewind });
    const kept = { ...series, loss: series.loss.subarray(0, 2), other: series.other.subarray(0, 2) };
    expect(await collect(fixture.store.points.chunks(id, 'step'))).toEqual([{ ...chunk, count: 2, series: kept }]);
  });

  it('takes a series that is a view into a larger or shared buffer', async () => {
    const { id } = await queuedJob(fixture.store);
    const shared = new Float64Array(new SharedArrayBuffer(64)).fill(9);
    const loss = shared.subarray(2, 5) as unknown as Float64Array<ArrayBuffer>;
    loss.set([1, 2, 3]);
    await fixture.store.jobs.change({ id, at: noon, points: [{ ...losses(1, 0, 0, 0), series: { loss } }] });
    expect(await collect(fixture.store.points.chunks(id, 'step'))).toEqual([losses(1, 1, 2, 3)]);
  });

  it('reads exactly the chunks that touch a range, in order, over many pages', async () => {
    const { id } = await queuedJob(fixture.store);
    const chunks = Array.from({ length: 50 }, (_, i) => losses(1 + 10 * i, ...Array(10).fill(i)));
    await fixture.store.jobs.change({ id, at: noon, points: chunks.toReversed() });
    const firsts = async (range: object) =>
      (await collect(fixture.store.points.chunks(id, 'step', range))).map(({ first }) => first);
    expect(await firsts({})).toEqual(chunks.map(({ first }) => first));
    expect(await firsts({ from: 10, to: 11 })).toEqual([1, 11]);
    expect(await firsts({ from: 11, to: 20 })).toEqual([11]);
    expect(await firsts({ from: 491 })).toEqual([491]);
    expect(await firsts({ from: 501 })).toEqual([]);
    expect(await firsts({ to: 0 })).toEqual([]);
    expect(await fixture.store.points.extent(id, 'step')).toEqual({ count: 500, first: 1, last: 500 });
  });

  it('keeps resolutions and jobs apart', async () => {
    const a = await queuedJob(fixture.store);
    const b = await queuedJob(fixture.store);
    const epoch = { ...losses(1, 7), resolution: 'epoch' };
    await fixture.store.jobs.change({ id: a.id, at: noon, points: [losses(1, 1, 2), epoch] });
    expect(await collect(fixture.store.points.chunks(a.id, 'epoch'))).toEqual([epoch]);
    expect(await fixture.store.points.extent(b.id, 'step')).toBeUndefined();
  });

  it('refuses an empty chunk and a series of another length, and writes nothing of that change', async () => {
    const running = await runningJob(fixture.store);
    for (const wrong of [losses(9), { ...losses(9, 1, 2), count: 3 }]) {
      const change = { ...progressTo(3, running), points: [losses(1, 1, 2, 3), wrong] };
      await expect(fixture.store.jobs.change(change)).rejects.toThrow(RangeError);
    }
    expect(await fixture.store.points.extent(running.id, 'step')).toBeUndefined();
    expect(await fixture.store.jobs.get(running.id)).toEqual(running);
  });

  it('refuses the same points twice', async () => {
    const { id } = await queuedJob(fixture.store);
    await fixture.store.jobs.change({ id, at: noon, points: [losses(1, 1, 2)] });
    const again = fixture.store.jobs.change({ id, at: noon, points: [losses(1, 5)] });
    await expect(again).rejects.toMatchObject({ name: 'StoreError', code: 'storage_failed' });
  });

  it('pages through events by id, oldest first, while events are added', async () => {
    const { id } = await queuedJob(fixture.store);
    const add = (data: number[]) =>
      fixture.store.jobs.change({ id, at: noon, events: data.map((n) => ({ type: 'epoch', data: { n } })) });
    await add([1, 2, 3]);
    const first = await fixture.store.events.list(id, { limit: 2 });
    await add([4]);
    const second = await fixture.store.events.list(id, { after: 2, limit: 2 });
    expect([...first.data, ...second.data].map((event) => [event.id, event.data])).toEqual(
      [1, 2, 3, 4].map((n) => [n, { n }]),
    );
    expect([first.has_more, second.has_more]).toEqual([true, false]);
  });
}
