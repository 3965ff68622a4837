/** A process that has a store open and, when told to, writes checkpoint after checkpoint, reporting each that is acknowledged. */
import { openStore } from '../../src/store/open.ts';
import { checkpoint, losses, noon, runningJob } from './records.ts';

const store = await openStore({ data_dir: process.argv[2]! });
const job = await runningJob(store);

// A writer does not outlive the test that started it.
process.once('disconnect', () => process.exit());

process.once('message', async () => {
  for (let step = 1; ; step++) {
    const saved = checkpoint(job, step);
    await store.blobs.put(saved.blob_key, new Uint8Array(4).fill(step % 256));
    await store.jobs.change({
      id: job.id,
      at: noon + step,
      from: ['running'],
      attempt: job.attempt,
      set: { step },
      points: [losses(step, step / 8)],
      checkpoints: [saved],
      drop_checkpoints: [step - 2],
      events: [{ type: 'checkpoint', data: { step } }],
    });
    process.send?.(step);
  }
});
process.send?.('open');
