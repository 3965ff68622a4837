/** Bodies that are too large for memory, on their way to a file that is gone when the work is done. */
import { randomUUID } from 'node:crypto';
import { mkdir, open, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { ProblemError } from '../errors.ts';

export interface Uploads {
  /** Receives a body, gives the path of its file to `use`, and removes the file whatever happens. */
  receive<T>(body: Readable, use: (path: string) => Promise<T>): Promise<T>;
}

/** Files older than this belong to a process that has died. Milliseconds. */
const abandonedAfter = 3_600_000;

/** @param folder where the files are; what a crash has left there is removed */
export async function openUploads(folder: string, maxBytes: number, now: () => number = Date.now): Promise<Uploads> {
  await mkdir(folder, { recursive: true });
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    if (now() - (await stat(path)).mtimeMs > abandonedAfter) await rm(path, { force: true, recursive: true });
  }
  return {
    async receive(body, use) {
      const path = join(folder, randomUUID());
      try {
        await writeBody(body, path, maxBytes);
        return await use(path);
      } finally {
        await rm(path, { force: true });
      }
    },
  };
}

async function writeBody(body: Readable, path: string, maxBytes: number): Promise<void> {
  const file = await open(path, 'wx');
  let received = 0;
  try {
    // The connection stays open for the answer, so the body is not destroyed when it is too large.
    for await (const chunk of body.iterator({ destroyOnReturn: false })) {
      received += (chunk as Uint8Array).byteLength;
      if (received > maxBytes) throw tooLarge(maxBytes);
      await file.write(chunk as Uint8Array);
    }
  } catch (error) {
    // What is still on its way is thrown away, or the connection would be stuck with it.
    body.resume();
    if (error instanceof ProblemError || !isAborted(error)) throw error;
    throw new ProblemError('bad_request', 'The upload ended early.', {}, { cause: error });
  } finally {
    await file.close();
  }
}

const isAborted = (error: unknown): boolean =>
  error instanceof Error &&
  'code' in error &&
  ['ECONNRESET', 'ERR_STREAM_PREMATURE_CLOSE'].includes(String(error.code));

function tooLarge(value: number): ProblemError {
  return new ProblemError('payload_too_large', `The body has more than max_upload_bytes = ${value} bytes.`, {
    limit: { name: 'max_upload_bytes', value },
  });
}
