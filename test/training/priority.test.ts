import { readdirSync, readFileSync } from 'node:fs';
import { getPriority } from 'node:os';
import { expect, it } from 'vitest';
import { createPool } from '../../src/training/pool.ts';
import { smallRequest } from './fixtures/requests.ts';

/** The nice values of the threads of this process: field 19 of proc_pid_stat(5), behind the name in brackets. */
function niceValues(): number[] {
  return readdirSync('/proc/self/task').map((thread) => {
    const fields = readFileSync(`/proc/self/task/${thread}/stat`, 'utf8').split(') ').at(-1)?.split(' ');
    return Number(fields?.[16]);
  });
}

it.runIf(process.platform === 'linux')(
  'threads that train yield the processor to the main thread, which keeps its priority',
  async () => {
    const own = getPriority();
    const before = niceValues();
    const pool = createPool({ workers: 2 });
    const handlers = { onProgress: () => {}, onCheckpoint: () => {} };
    const runs = [1, 2].map((seed) => pool.run(smallRequest({ seed, epochs: 1e9 }), handlers));
    while (runs.some(({ step }) => step === 0)) await new Promise(setImmediate);
    const lowered = niceValues().filter((nice) => nice > own);
    expect(lowered.length - before.filter((nice) => nice > own).length).toBe(2);
    expect(getPriority()).toBe(own);
    for (const run of runs) run.cancel();
    await pool.close();
  },
);
