import { afterAll, beforeAll, expect, it } from 'vitest';
import { openStore } from '../../src/store/open.ts';
import { startApp } from '../support/app.ts';
import { train } from '../support/jobs.ts';
import { conformance } from './conformance.ts';
import { freePort, type PostgresServer, startPostgres } from './places.ts';

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
