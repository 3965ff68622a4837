import { afterEach, expect, test, vi } from 'vitest';
import { createPool, type ThreadPool } from '../../src/training/pool.ts';
import type { Progress } from '../../src/training/protocol.ts';
import type { RunNote } from '../../src/training/request.ts';
import { compilerHere } from '../../src/training/revectorize.ts';
import { smallRequest } from './fixtures/requests.ts';

vi.mock('../../src/training/revectorize.ts', { spy: true });

let pool: ThreadPool;
afterEach(() => pool.close());

test('a pool looks at the machine when its threads are up: the flags that this sets would hold them up', async () => {
  let online = 0;
  process.on('worker', (worker) => worker.prependOnceListener('message', () => (online += 1)));
  vi.mocked(compilerHere).mockImplementationOnce(() => {
    expect(online).toBe(2);
    return {};
  });
  pool = createPool({ workers: 2, cold: true });
  expect(compilerHere).not.toHaveBeenCalled();
  await pool.warmUp();
  expect(compilerHere).toHaveBeenCalled();
  process.removeAllListeners('worker');
});

test('a run that comes while threads start waits for them, and hears what was asked of it meanwhile', async () => {
  pool = createPool({ workers: 2 });
  const notes: RunNote[] = [];
  const handlers = { onProgress: (progress: Progress) => void notes.push(...progress.notes), onCheckpoint: () => {} };
  const handle = pool.run(smallRequest({ epochs: 1e9 }), handlers);
  handle.changeLearningRate(0.5);
  await pool.warmUp();
  handle.pause();
  expect(await handle.finished).toMatchObject({ kind: 'paused' });
  expect(notes).toContainEqual(expect.objectContaining({ type: 'learning_rate_changed', learning_rate: 0.5 }));
});
