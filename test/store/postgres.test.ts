import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { proveDurability } from '../../scripts/chaos/proof.ts';
import { freePort } from '../../scripts/own-postgres.ts';
import { Faults } from '../../scripts/storage-faults/faults.ts';
import { assertAccounts, backdate, failAtCalls, keptInPostgres } from '../../scripts/storage-faults/sweep.ts';
import { useCases } from '../../scripts/storage-faults/use-cases.ts';
import { diagnosisView } from '../../src/schemas/diagnosis.ts';
import { layerStatistics } from '../../src/schemas/layers.ts';
import { stepView } from '../../src/schemas/step.ts';
import type { Driver } from '../../src/store/driver.ts';
import { openStore } from '../../src/store/open.ts';
import { ailing } from '../support/ailing-jobs.ts';
import { type StartedApp, startApp } from '../support/app.ts';
import { follow, long, submit, train, undisturbed, untilProgress } from '../support/jobs.ts';
import { conformance } from './conformance.ts';
import { type PostgresServer, startPostgres } from './places.ts';

const diverging = ailing.find(
  ({ what }) => what === 'inputs of the size of thousands, at a rate too high for scaled ones',
)!.body;

let server: PostgresServer;

beforeAll(async () => {
  server = await startPostgres();
});

afterAll(() => server.stop());

conformance('the store on PostgreSQL', () => server.place());

it('several servers open a new database at once, and see what each other writes', async () => {
  const place = await server.newPlace();
  const stores = await Promise.all([place.open(), place.open(), place.open()]);
  await stores[0].blobs.put('a', new Uint8Array([1]));
  expect(await stores[2].blobs.get('a')).toEqual(new Uint8Array([1]));
  await Promise.all(stores.map((store) => store.close()));
  await place.remove();
});

it('says storage_busy when the server is not there', async () => {
  const database_url = `postgres://nobody@127.0.0.1:${await freePort()}/none`;
  await expect(openStore({ database_url })).rejects.toMatchObject({ name: 'StoreError', code: 'storage_busy' });
});

/** Ends all connections to the database but two, as its restart does. */
const endConnections = (driver: Driver) =>
  driver.query(
    "select pg_terminate_backend(pid) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid() and application_name <> 'control'",
  );

it('a connection that is lost within a transaction fails that transaction and nothing else', async () => {
  const place = await server.newPlace();
  const [driver, other] = [place.openDriver(), place.openDriver()];
  await driver.transaction((sql) => sql.query('create table numbers (n int)'));
  const broken = driver.transaction(async (sql) => {
    await sql.query('insert into numbers values (1)');
    const [{ pid }] = await sql.query('select pg_backend_pid() as pid');
    await other.query('select pg_terminate_backend($1)', [pid]);
    // Nobody waits for an answer while the end of the connection comes.
    const isThere = async () => (await other.query('select 1 from pg_stat_activity where pid = $1', [pid])).length > 0;
    while (await isThere());
    await sql.query('insert into numbers values (2)');
  });
  await expect(broken).rejects.toMatchObject({ name: 'StoreError', code: 'storage_busy' });
  await driver.transaction((sql) => sql.query('insert into numbers values (3)'));
  expect(await driver.query('select n from numbers')).toEqual([{ n: 3 }]);
  for (const open of [driver, other]) await open.close();
});

describe('a whole service on PostgreSQL', () => {
  let running: StartedApp;
  const faults = new Faults();

  beforeAll(async () => {
    const surroundings = { foundation: faults.foundation, storage_retry_ms: 20 };
    running = await startApp({ DATABASE_URL: await server.newUrl() }, surroundings);
  });

  afterAll(async () => {
    await running.stop();
    running.remove();
  });

  /** A stream whose connection to the database was lost breaks off; a client comes back. */
  async function untilEnd(id: string): Promise<void> {
    for (;;) for await (const { event } of follow(running, id)) if (event === 'end') return;
  }

  it('explains a job that diverged, its steps and layers, and applies the fix', async () => {
    const failed = await train(running, { ...diverging, checkpoint: { every_epochs: 1 } });
    expect(failed).toMatchObject({ state: 'failed', stop_reason: 'diverged' });
    const { request } = running;
    const { body: found } = await request.get(failed.urls.diagnosis).expect(200);
    expect(diagnosisView.parse(found)).toMatchObject({
      verdict: 'failed',
      cause: { code: 'unscaled_inputs' },
      replay: { bit_identical: true },
    });
    const { body: kept } = await request.get(failed.urls.diagnosis).expect(200);
    expect(kept).toEqual(found);
    const { body: step } = await request.get(`${failed.urls.self}/steps/2?include=gradients`).expect(200);
    expect(stepView.parse(step)).toMatchObject({ step: 2, replay: { bit_identical: true } });
    const { body: layers } = await request.get(failed.urls.layers).expect(200);
    expect(layerStatistics.parse(layers).step.slice(0, 2)).toEqual([1, 2]);
    const fix = found.fixes.find(({ succeeded }: { succeeded: boolean }) => succeeded).id;
    const { body: mended } = await request
      .post(`${failed.urls.diagnosis}/apply`)
      .set('Prefer', 'wait=30')
      .send({ fix })
      .expect(201);
    expect(mended).toMatchObject({ state: 'succeeded', parent: { job_id: failed.id, fix } });
  });

  it('ends a job with the bits of an undisturbed one though all its connections are lost on the way', async () => {
    const view = await submit(running, { ...long, epochs: 8_000, checkpoint: { every_epochs: 500 } });
    await untilProgress(running, view.id);
    expect(await endConnections(faults.driver!)).not.toEqual([]);
    await untilEnd(view.id);
    const { body: done } = await running.request.get(view.urls.self).expect(200);
    expect(done).toMatchObject({ state: 'succeeded', parameters_sha256: undisturbed(done, []) });
  });

  /** Every call is tried by scripts/storage-faults-proof.ts. */
  it.for(useCases)(
    'loses nothing and shows nothing by halves when calls of the storage fail: $name',
    async (useCase) => {
      const hits = await failAtCalls(running, faults, useCase, 37);
      expect(hits.length).toBeGreaterThan(0);
    },
  );

  it('holds after the next start what its records account for, and nothing else', async () => {
    await running.stop();
    const { databaseUrl: url = '', dataDir } = running.config;
    const kept = keptInPostgres(url, dataDir);
    await backdate(kept);
    running = await startApp({ DATABASE_URL: url, DATA_DIR: dataDir });
    await running.stop();
    await expect(assertAccounts(dataDir, kept)).resolves.toBeUndefined();
  });
});

it('a server that is killed loses no job, doubles none, and changes no bit of any', async () => {
  const database_url = await server.newUrl();
  const report = await proveDurability({ kills: 1, jobs: 3, seed: 3, scale: 0.1, clients: 3, database_url });
  expect(report).toMatchObject({ kills: 1, lost: 0, duplicated: 0, differences: [] });
}, 60_000);

it('carries a whole service: a data set, a job with weights and rows held out for a test, and its evaluation', async () => {
  const running = await startApp({ DATABASE_URL: await server.newUrl() });
  try {
    const rows = Array.from({ length: 30 }, (_, i) => `${i},${1 + (i % 2)},${i < 10 ? 'small' : 'large'}`);
    const csv = `size,trust,kind\n${rows.join('\n')}\n`;
    const dataset = await running.request.post('/v1/datasets').set('content-type', 'text/csv').send(csv).expect(201);
    const dataset_id = dataset.body.id;
    const done = await train(running, {
      network: {
        input_size: 1,
        layers: [{ units: 2, activation: 'softmax' }],
        loss: 'sparse_categorical_cross_entropy',
      },
      dataset_id,
      class_weights: 'balanced',
      sample_weights: 'trust',
      test: { fraction: 0.2 },
      standardize: true,
      epochs: 200,
      optimizer: { name: 'adam', learning_rate: 0.1 },
    });
    expect(done).toMatchObject({ state: 'succeeded', test: { rows: 6, metrics: { accuracy: 1 } } });
    const judged = await running.request.post(done.urls.evaluate).send({ dataset_id }).expect(200);
    expect(judged.body.rows).toBe(30);
    expect(judged.body.metrics.accuracy).toBeGreaterThanOrEqual(29 / 30);
  } finally {
    await running.stop();
    running.remove();
  }
});
