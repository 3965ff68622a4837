import { afterAll, beforeAll, expect, it } from 'vitest';
import { openStore } from '../../src/store/open.ts';
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
