/** Blobs as files below a directory. Written temp → fsync → rename → fsync of the directory, so a crash leaves no half blob. */
import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, readFile, rename, rm, stat, unlink } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { type BlobInfo, type BlobStore, checkBlobKey, checkBlobPrefix } from './blobs.ts';
import { systemErrorCode } from './driver.ts';
import { StoreError } from './store.ts';

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');
}

function storageError(error: unknown): unknown {
  if (!(error instanceof Error && 'syscall' in error)) return error;
  return new StoreError(systemErrorCode(error), `blob: ${error.message}`, { cause: error });
}

/** The call's result; `absent` when the file is not there. */
async function unlessMissing<T, A>(call: Promise<T>, absent: A): Promise<T | A> {
  try {
    return await call;
  } catch (error) {
    if (isMissing(error)) return absent;
    throw storageError(error);
  }
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r');
  await handle.sync().finally(() => handle.close());
}

/** Makes a directory and its missing parents; each new name is durable in the directory that holds it. */
async function makeDirectory(path: string): Promise<void> {
  const topmost = await mkdir(path, { recursive: true });
  if (topmost === undefined) return;
  for (let made = path; made.length >= topmost.length; made = dirname(made)) await syncDirectory(dirname(made));
}

async function writeAll(handle: FileHandle, content: Uint8Array | AsyncIterable<Uint8Array>): Promise<number> {
  await handle.writeFile(content);
  await handle.sync();
  return (await handle.stat()).size;
}

class FileBlobs implements BlobStore {
  readonly #root: string;
  readonly #temporary: string;
  #directoriesMade: Promise<void> = Promise.resolve();

  constructor(root: string, temporary: string) {
    this.#root = root;
    this.#temporary = temporary;
  }

  async put(key: string, content: Uint8Array | AsyncIterable<Uint8Array>): Promise<number> {
    const path = this.#path(key);
    const temporary = join(this.#temporary, randomUUID());
    try {
      await this.#makeDirectory(dirname(path));
      const handle = await open(temporary, 'wx');
      const size = await writeAll(handle, content).finally(() => handle.close());
      await rename(temporary, path);
      await syncDirectory(dirname(path));
      return size;
    } catch (error) {
      await rm(temporary, { force: true });
      throw storageError(error);
    }
  }

  async get(key: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const content = await unlessMissing(readFile(this.#path(key)), undefined);
    return content && new Uint8Array(content.buffer, content.byteOffset, content.byteLength);
  }

  async stream(key: string): Promise<AsyncIterable<Uint8Array> | undefined> {
    const handle = await unlessMissing(open(this.#path(key), 'r'), undefined);
    return handle && createReadStream('', { fd: handle, highWaterMark: 1 << 20 });
  }

  async delete(key: string): Promise<boolean> {
    const removed = unlink(this.#path(key)).then(() => true);
    return unlessMissing(removed, false);
  }

  async deleteAll(prefix: string): Promise<void> {
    checkBlobPrefix(prefix);
    await unlessMissing(rm(join(this.#root, prefix), { recursive: true }), undefined);
  }

  async *list(prefix: string): AsyncIterable<BlobInfo> {
    if (prefix !== '') checkBlobPrefix(prefix);
    const entries = await unlessMissing(
      readdir(join(this.#root, prefix), { recursive: true, withFileTypes: true }),
      [],
    );
    const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
    const keys = paths.map((path) => relative(this.#root, path).split(sep).join('/'));
    // By code units, as the databases compare: keys are ASCII.
    for (const key of keys.sort((a, b) => (a < b ? -1 : 1))) {
      const status = await unlessMissing(stat(this.#path(key)), undefined);
      if (status !== undefined) yield { key, size: status.size, written_at: Math.trunc(status.mtimeMs) };
    }
  }

  /** One after another: who finds a directory that another has just made must not go on before it is durable. */
  #makeDirectory(path: string): Promise<void> {
    const made = this.#directoriesMade.then(() => makeDirectory(path));
    this.#directoriesMade = made.catch(() => undefined);
    return made;
  }

  #path(key: string): string {
    checkBlobKey(key);
    return join(this.#root, key);
  }
}

/** Opens the blobs below `directory`, after removing what interrupted writes have left. */
export async function openBlobFiles(directory: string): Promise<BlobStore> {
  const root = join(directory, 'content');
  const temporary = join(directory, 'temporary');
  try {
    await rm(temporary, { recursive: true, force: true });
    await makeDirectory(root);
    await makeDirectory(temporary);
  } catch (error) {
    throw storageError(error);
  }
  return new FileBlobs(root, temporary);
}
