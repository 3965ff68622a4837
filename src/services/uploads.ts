/** Bodies that are too large for memory, on their way to a file that is gone when the work is done. */
import { randomUUID } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { ProblemError } from '../errors.ts';
import { type Files, fileError, nodeFiles } from '../store/files.ts';

export interface Uploads {
  /** Receives a body, gives the path of its file to `use`, and removes the file whatever happens. */
  receive<T>(body: Readable, use: (path: string) => Promise<T>): Promise<T>;
}

export interface UploadPlace {
  /** Where the files are; what a crash has left there is removed. */
  readonly folder: string;
  readonly max_bytes: number;
  /** Milliseconds after which a file belongs to a process that has died: 0 where only one process can use the folder. */
  readonly abandoned_after: number;
  readonly now?: () => number;
  readonly files?: Files | undefined;
}

/** @throws {StoreError} when the folder cannot be made or read */
export async function openUploads(place: UploadPlace): Promise<Uploads> {
  const { folder, max_bytes: maxBytes, files = nodeFiles } = place;
  await removeAbandoned(place, files).catch((error: unknown) => {
    throw fileError(error);
  });
  return {
    async receive(body, use) {
      const path = join(folder, randomUUID());
      try {
        await writeBody(body, path, maxBytes, files).catch((error: unknown) => {
          throw fileError(error);
        });
        return await use(path);
      } finally {
        // What cannot be removed now is removed at the next start.
        await files.rm(path, { force: true }).catch(() => undefined);
      }
    },
  };
}

async function removeAbandoned({ folder, abandoned_after, now = Date.now }: UploadPlace, files: Files): Promise<void> {
  await files.mkdir(folder, { recursive: true });
  for (const name of await files.readdir(folder)) {
    const path = join(folder, name);
    const age = now() - (await files.stat(path)).mtimeMs;
    if (age >= abandoned_after) await files.rm(path, { force: true, recursive: true });
  }
}

async function writeBody(body: Readable, path: string, maxBytes: number, files: Files): Promise<void> {
  let file: FileHandle;
  try {
    file = await files.open(path, 'wx');
  } catch (error) {
    body.resume();
    throw error;
  }
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
