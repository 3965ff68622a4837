import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Faults } from '../../scripts/storage-faults/faults.ts';
import { assertAccounts, backdate, failAtCalls, keptInFiles } from '../../scripts/storage-faults/sweep.ts';
import { useCases } from '../../scripts/storage-faults/use-cases.ts';
import { type StartedApp, startApp } from '../support/app.ts';

/** Every call is tried by scripts/storage-faults-proof.ts. */
const stride = 7;

describe('a storage of which each call fails once', () => {
  const faults = new Faults();
  let running: StartedApp;
  const start = (env = {}) =>
    startApp({ MAX_QUEUE: '100000', ...env }, { foundation: faults.foundation, storage_retry_ms: 20 });

  beforeAll(async () => {
    running = await start();
    faults.blobs = join(running.config.dataDir, 'blobs');
  });

  afterAll(async () => {
    await running.stop();
    running.remove();
  });

  it.for(useCases)('loses nothing and shows nothing by halves: $name', { timeout: 60_000 }, async (useCase) => {
    const hits = await failAtCalls(running, faults, useCase, stride);
    expect(hits.length).toBeGreaterThan(0);
  });

  it('holds after the next start what its records account for, and nothing else', async () => {
    await running.stop();
    const kept = keptInFiles(running.config.dataDir);
    await backdate(kept);
    running = await start({ DATA_DIR: running.config.dataDir });
    await running.stop();
    await expect(assertAccounts(running.config.dataDir, kept)).resolves.toBeUndefined();
  });
});
