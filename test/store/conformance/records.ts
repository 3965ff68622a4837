import { expect, it } from 'vitest';
import { newId } from '../../../src/store/ids.ts';
import type { Fixture } from '../conformance.ts';
import { claim, dataset, network, noon, queuedJob, runningJob } from '../records.ts';

const awkward = 'ö 漢字 🚂 "quoted" \\ \n \u2028 \u0001';

export function recordsConform(fixture: Fixture): void {
  it('gives a network back as it was written, with any text and number', async () => {
    const record = network({
      name: awkward,
      definition: { [awkward]: [awkward, 'nul \0 and lone \ud800', 1e-308, -0.1, 2 ** 53, true, null, { deep: [[]] }] },
      metadata: { [awkward]: awkward, nested: { kept: true } },
    });
    await fixture.store.networks.create(record);
    expect(await fixture.store.networks.get(record.id)).toEqual(record);
  });

  it('keeps JSON of several megabytes', async () => {
    const values = Array.from({ length: 300_000 }, (_, i) => i / 7);
    const record = network({ definition: { values } });
    await fixture.store.networks.create(record);
    expect((await fixture.store.networks.get(record.id))?.definition).toEqual({ values });
  });

  it('refuses JSON with a number that is not finite, and writes nothing', async () => {
    const record = network({ definition: { deep: [{ loss: Number.NaN }] } });
    await expect(fixture.store.networks.create(record)).rejects.toThrow(RangeError);
    expect(await fixture.store.networks.get(record.id)).toBeUndefined();
  });

  it('refuses text outside JSON that one of the databases would change', async () => {
    for (const name of ['nul \0', 'lone \ud800']) {
      await expect(fixture.store.networks.create(network({ name }))).rejects.toThrow(RangeError);
    }
    expect((await fixture.store.networks.list({ limit: 10 })).data).toEqual([]);
  });

  it('answers undefined or false for what is not there', async () => {
    const { networks, datasets } = fixture.store;
    expect(await networks.get('net_none')).toBeUndefined();
    expect(await networks.delete('net_none')).toBe(false);
    expect(await datasets.get('ds_none')).toBeUndefined();
    expect(await datasets.delete('ds_none', [])).toBe('not_found');
  });

  it('keeps an answer under its key though nothing was created', async () => {
    const { idempotency } = fixture.store;
    expect(await idempotency.keep(claim())).toEqual({ outcome: 'created', record: null });
    expect(await idempotency.keep(claim())).toEqual({ outcome: 'replayed', answer: claim().answer });
    expect(await idempotency.keep(claim({ body_sha256: 'other' }))).toEqual({ outcome: 'key_reused' });
    expect(await idempotency.find(claim(), noon + 999)).toEqual({ outcome: 'replayed', answer: claim().answer });
  });

  it('lists newest first in pages that records made meanwhile do not shift', async () => {
    const { networks } = fixture.store;
    const ids: string[] = [];
    for (let i = 0; i < 5; i++) ids.unshift((await networkInStore()).id);
    const first = await networks.list({ limit: 2 });
    await networkInStore();
    const second = await networks.list({ limit: 2, after: first.data.at(-1)?.id });
    await networks.delete(second.data.at(-1)!.id);
    const third = await networks.list({ limit: 2, after: second.data.at(-1)?.id });
    expect([first, second, third].flatMap(({ data }) => data.map(({ id }) => id))).toEqual(ids);
    expect([first, second, third].map(({ has_more }) => has_more)).toEqual([true, true, false]);
  });

  it('says that there is no more when a page ends exactly with the last record', async () => {
    await networkInStore();
    await networkInStore();
    expect((await fixture.store.networks.list({ limit: 2 })).has_more).toBe(false);
  });

  it('finds records by all of the metadata asked for, compared as text', async () => {
    const { networks } = fixture.store;
    const [a] = [await networkInStore({ team: 'a', run: 7, [awkward]: 'nul \0' })];
    await networkInStore({ team: 'a', run: 8 });
    await networkInStore({ team: 'b', run: 7 });
    const found = async (metadata: Record<string, string>) =>
      (await networks.list({ limit: 10, metadata })).data.map(({ id }) => id);
    expect(await found({ team: 'a', run: '7' })).toEqual([a.id]);
    expect(await found({ [awkward]: 'nul \0' })).toEqual([a.id]);
    expect(await found({ team: 'a' })).toHaveLength(2);
    expect(await found({ team: 'A' })).toEqual([]);
    expect(await found({ 'te%m': 'a' })).toEqual([]);
  });

  it('leaves no label of what is deleted', async () => {
    const { networks, datasets, jobs } = fixture.store;
    const metadata = { team: 'a' };
    const [net, set] = [await networkInStore(metadata), dataset({ metadata })];
    await datasets.create(set);
    const job = await queuedJob(fixture.store, { metadata });
    await networks.delete(net.id);
    await datasets.delete(set.id, []);
    await jobs.delete(job.id, ['queued']);
    await fixture.close();
    const driver = fixture.place.openDriver();
    expect(await driver.query('select * from labels')).toEqual([]);
    await driver.close();
  });

  it('deletes a data set with its blob', async () => {
    const { datasets, blobs } = fixture.store;
    const record = dataset({ metadata: { team: 'a' } });
    await blobs.put(record.blob_key, new Uint8Array([1]));
    await datasets.create(record);
    expect(await datasets.get(record.id)).toEqual(record);
    expect((await datasets.list({ limit: 1, metadata: { team: 'a' } })).data).toEqual([record]);
    expect(await datasets.delete(record.id, [])).toBe('deleted');
    expect(await datasets.get(record.id)).toBeUndefined();
    expect(await blobs.get(record.blob_key)).toBeUndefined();
  });

  it('keeps a data set that a job still needs', async () => {
    const { datasets, jobs } = fixture.store;
    const { id } = dataset();
    await datasets.create(dataset({ id }));
    const job = await queuedJob(fixture.store, { dataset_id: id });
    expect(await datasets.delete(id, ['queued', 'running'])).toBe('in_use');
    await jobs.delete(job.id, ['queued']);
    expect(await datasets.delete(id, ['queued', 'running'])).toBe('deleted');
  });

  it('deletes a network of which a running job keeps its own copy', async () => {
    const record = await networkInStore();
    const job = await runningJob(fixture.store, { network_id: record.id, network: record.definition });
    expect(await fixture.store.networks.delete(record.id)).toBe(true);
    expect((await fixture.store.jobs.get(job.id))?.network).toEqual(record.definition);
  });

  it('answers a repeated key with what was answered first, and creates nothing', async () => {
    const { networks, idempotency } = fixture.store;
    const body = `${awkward} \0 \ud800`;
    const first = claim({ answer: { status: 201, headers: { etag: '"é"' }, body } });
    expect((await networks.create(network(), first)).outcome).toBe('created');
    const again = claim({ answer: { status: 201, headers: {}, body: 'another' } });
    const replayed = { outcome: 'replayed', answer: first.answer };
    expect(await networks.create(network(), again)).toEqual(replayed);
    expect(await idempotency.find(again, noon)).toEqual(replayed);
    expect((await networks.list({ limit: 10 })).data).toHaveLength(1);
  });

  it('refuses a key that was used for another body, and creates nothing', async () => {
    const { networks, idempotency } = fixture.store;
    await networks.create(network(), claim());
    const other = claim({ body_sha256: 'body-2' });
    expect(await networks.create(network(), other)).toEqual({ outcome: 'key_reused' });
    expect(await idempotency.find(other, noon)).toEqual({ outcome: 'key_reused' });
    expect((await networks.list({ limit: 10 })).data).toHaveLength(1);
  });

  it('tells the same key of two operations apart', async () => {
    const { networks, datasets } = fixture.store;
    await networks.create(network(), claim({ scope: 'POST /v1/networks' }));
    const second = await datasets.create(dataset(), claim({ scope: 'POST /v1/datasets', body_sha256: 'body-2' }));
    expect(second.outcome).toBe('created');
  });

  it('frees a key when it has expired', async () => {
    const { networks, idempotency } = fixture.store;
    await networks.create(network(), claim({ expires_at: noon + 10 }));
    const later = claim({ body_sha256: 'body-2', created_at: noon + 10, expires_at: noon + 20 });
    expect(await idempotency.find(later, noon + 9)).toEqual({ outcome: 'key_reused' });
    expect(await idempotency.find(later, noon + 10)).toBeUndefined();
    expect((await networks.create(network(), later)).outcome).toBe('created');
    expect(await idempotency.sweep(noon + 19)).toBe(0);
    expect(await idempotency.sweep(noon + 20)).toBe(1);
    expect(await idempotency.find(later, noon)).toBeUndefined();
  });

  it('creates once when the same key comes many times at once', async () => {
    const { networks } = fixture.store;
    const results = await Promise.all(Array.from({ length: 8 }, () => networks.create(network(), claim())));
    expect(results.filter(({ outcome }) => outcome === 'created')).toHaveLength(1);
    expect(results.filter(({ outcome }) => outcome === 'replayed')).toHaveLength(7);
    expect((await networks.list({ limit: 10 })).data).toHaveLength(1);
  });

  async function networkInStore(metadata = {}) {
    const record = network({ id: newId('network'), metadata });
    await fixture.store.networks.create(record);
    return record;
  }
}
