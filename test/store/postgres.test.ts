import { afterAll, beforeAll } from 'vitest';
import { conformance } from './conformance.ts';
import { type PostgresServer, startPostgres } from './places.ts';

let server: PostgresServer;

beforeAll(async () => {
  server = await startPostgres();
});

afterAll(() => server.stop());

conformance('the store on PostgreSQL', () => server.place());
