/** Bodies that are too large for memory, on their way to a file that is gone when the work is done. */
import { randomUUID } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { free } from '../engine/free.ts';
import { ProblemError } from '../errors.ts';
import { type Files, fileError, nodeFiles } from '../store/files.ts';
import { followBody } from './followed-body.ts';

export interface Uploads {
  /** Receives a body, gives the path of its file to `use`, and removes the file whatever happens. */
  receive<T>(body: Readable, use: (path: string) => Promise<T>): Promise<T>;
  /**
   * The pieces of a body as they come, by way of a file that takes what is not asked for yet: the body always flows, so
   * that a client may send all of it before it reads any answer, and memory stays bounded. Throws what is wrong with the body.
   */
  follow(body: Readable): AsyncGenerator<Uint8Array, void, void>;
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
        const file = await openFor(body, path, 'wx', files);
        await receiveBody(body, maxBytes, (chunk) => file.writeFile(chunk)).finally(() => file.close());
        return await use(path);
      } finally {
        // What cannot be removed now is removed at the next start.
        await files.rm(path, { force: true }).catch(() => undefined);
      }
    },
    async *follow(body) {
      const path = join(folder, randomUUID());
      const file = await openFor(body, path, 'wx+', files);
      // Without a name the file is gone with the last who has it open, whatever happens.
      await files.rm(path, { force: true });
      yield* followBody(file, (take) => receiveBody(body, maxBytes, take));
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

async function openFor(body: Readable, path: string, flags: 'wx' | 'wx+', files: Files): Promise<FileHandle> {
  try {
    return await files.open(path, flags);
  } catch (error) {
    body.resume();
    throw fileError(error);
  }
}

/**
 * Gives every piece of a body to `take`, which writes it to a file; its memory is given back then. What is left after an
 * error is thrown away, or the connection would be stuck with it.
 */
async function receiveBody(
  body: Readable,
  maxBytes: number,
  take: (chunk: Uint8Array) => Promise<void>,
): Promise<void> {
  let received = 0;
  try {
    // The connection stays open for the answer, so the body is not destroyed when it is too large.
    for await (const chunk of body.iterator({ destroyOnReturn: false })) {
      received += (chunk as Uint8Array).byteLength;
      if (received > maxBytes) throw tooLarge(maxBytes);
      await take(chunk as Uint8Array);
      free(chunk as Uint8Array);
    }
  } catch (error) {
    body.resume();
    if (error instanceof ProblemError) throw error;
    if (!isAborted(error)) throw fileError(error);
    throw new ProblemError('bad_request', 'The upload ended early.', {}, { cause: error });
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
