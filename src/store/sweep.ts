/** Finds the blobs that a crash between writing a blob and committing its record has left behind. */
import type { BlobStore } from './blobs.ts';
import type { Driver } from './driver.ts';
import { checkpointPrefix, datasetPrefix, jobPrefix } from './store.ts';

/** Whether a record accounts for a blob: its owner exists, and if it is a checkpoint, a record names it. */
async function isAccountedFor(driver: Driver, key: string): Promise<boolean> {
  const owner = key.split('/')[1] ?? '';
  const text = key.startsWith(checkpointPrefix(owner))
    ? 'select 1 as found from checkpoints where blob_key = $1'
    : key.startsWith(jobPrefix(owner))
      ? 'select 1 as found from jobs where id = $1'
      : 'select 1 as found from datasets where id = $1';
  const asked = key.startsWith(checkpointPrefix(owner)) ? key : owner;
  return (await driver.query(text, [asked])).length > 0;
}

/** Deletes them when they were written before `before`; others may be about to be committed. Says how many. */
export async function sweepBlobs(driver: Driver, blobs: BlobStore, before: number): Promise<number> {
  let swept = 0;
  for await (const { key, written_at } of blobs.list('')) {
    const owner = key.split('/')[1] ?? '';
    const known = key.startsWith(jobPrefix(owner)) || key.startsWith(datasetPrefix(owner));
    if (!known || written_at >= before || (await isAccountedFor(driver, key))) continue;
    if (await blobs.delete(key)) swept++;
  }
  return swept;
}
