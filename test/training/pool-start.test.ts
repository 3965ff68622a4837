import { afterEach, expect, test, vi } from 'vitest';
import { createPool, type ThreadPool } from '../../src/training/pool.ts';
import { machine } from '../../src/training/revectorize.ts';

vi.mock('../../src/training/revectorize.ts', { spy: true });

let pool: ThreadPool;
afterEach(() => pool.close());

test('a pool looks at the machine when its threads are up: the flags that this sets would hold them up', async () => {
  let online = 0;
  process.on('worker', (worker) => worker.prependOnceListener('message', () => (online += 1)));
  vi.mocked(machine).mockImplementationOnce(() => {
    expect(online).toBe(2);
    return { fused: false, revectorized: false, same_bits: true, speedup: 1 };
  });
  pool = createPool({ workers: 2, cold: true });
  expect(machine).not.toHaveBeenCalled();
  await pool.warmUp();
  expect(machine).toHaveBeenCalledOnce();
  process.removeAllListeners('worker');
});
