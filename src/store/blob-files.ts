/** Blobs as files below a directory. Written temp → fsync → rename → fsync of the directory, so a crash leaves no half blob. */
import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { type BlobInfo, type BlobStore, checkBlobKey, checkBlobPrefix } from './blobs.ts';
import { type Files, fileError, nodeFiles } from './files.ts';

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');
}

/** The call's result; `absent` when the file is not there. */
async function unlessMissing<T, A>(call: Promise<T>, absent: A): Promise<T | A> {
  try {
    return await call;
  } catch (error) {
    if (isMissing(error)) return absent;
    throw fileError(error);
  }
}

async function syncDirectory(files: Files, path: string): Promise<void> {
  const handle = await files.open(path, 'r');
  await handle.sync().finally(() => handle.close());
}

/** Makes a directory and its missing parents; each new name is durable in the directory that holds it. */
async function makeDirectory(files: Files, path: string): Promise<void> {
  const topmost = await files.mkdir(path, { recursive: true });
  if (topmost === undefined) return;
  for (let made = path; made.length >= topmost.length; made = dirname(made)) await syncDirectory(files, dirname(made));
}

/** While so many bytes are written, those before them go to the disk: the last sync finds little left to do. */
const SYNCED_BYTES = 2 ** 22;

async function writePieces(handle: FileHandle, pieces: AsyncIterable<Uint8Array>): Promise<void> {
  let unsynced = 0;
  let syncing: Promise<void> = Promise.resolve();
  for await (const piece of pieces) {
    await handle.writeFile(piece);
    unsynced += piece.length;
    if (unsynced < SYNCED_BYTES) continue;
    await syncing;
    unsynced = 0;
    syncing = handle.datasync();
    // Its fault is told by whoever waits for it.
    syncing.catch(() => undefined);
  }
  await syncing;
}

async function writeAll(handle: FileHandle, content: Uint8Array | AsyncIterable<Uint8Array>): Promise<number> {
  if (content instanceof Uint8Array) await handle.writeFile(content);
  else await writePieces(handle, content);
  await handle.sync();
  return (await handle.stat()).size;
}

class FileBlobs implements BlobStore {
  readonly #root: string;
  readonly #temporary: string;
  readonly #files: Files;
  #directoriesMade: Promise<void> = Promise.resolve();

  constructor(root: string, temporary: string, files: Files) {
    this.#files = files;
    this.#root = root;
    this.#temporary = temporary;
  }

  async put(key: string, content: Uint8Array | AsyncIterable<Uint8Array>): Promise<number> {
    const path = this.#path(key);
    const temporary = join(this.#temporary, randomUUID());
    try {
      await this.#makeDirectory(dirname(path));
      const handle = await this.#files.open(temporary, 'wx');
      const size = await writeAll(handle, content).finally(() => handle.close());
      await this.#files.rename(temporary, path);
      await syncDirectory(this.#files, dirname(path));
      return size;
    } catch (error) {
      // What cannot be removed now is removed at the next start; the first fault is the one to be told.
      await this.#files.rm(temporary, { force: true }).catch(() => undefined);
      throw fileError(error);
    }
  }

  async get(key: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const content = await unlessMissing(this.#files.readFile(this.#path(key)), undefined);
    return content && new Uint8Array(content.buffer, content.byteOffset, content.byteLength);
  }

  async stream(key: string): Promise<AsyncIterable<Uint8Array> | undefined> {
    const handle = await unlessMissing(this.#files.open(this.#path(key), 'r'), undefined);
    return handle && createReadStream('', { fd: handle, highWaterMark: 1 << 20 });
  }

  async delete(key: string): Promise<boolean> {
    const removed = this.#files.unlink(this.#path(key)).then(() => true);
    return unlessMissing(removed, false);
  }

  async deleteAll(prefix: string): Promise<void> {
    checkBlobPrefix(prefix);
    await unlessMissing(this.#files.rm(join(this.#root, prefix), { recursive: true }), undefined);
  }

  async *list(prefix: string): AsyncIterable<BlobInfo> {
    if (prefix !== '') checkBlobPrefix(prefix);
    const entries = await unlessMissing(
      this.#files.readdir(join(this.#root, prefix), { recursive: true, withFileTypes: true }),
      [],
    );
    const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
    const keys = paths.map((path) => relative(this.#root, path).split(sep).join('/'));
    // By code units, as the databases compare: keys are ASCII.
    for (const key of keys.sort((a, b) => (a < b ? -1 : 1))) {
      const status = await unlessMissing(this.#files.stat(this.#path(key)), undefined);
      if (status !== undefined) yield { key, size: status.size, written_at: Math.trunc(status.mtimeMs) };
    }
  }

  /** One after another: who finds a directory that another has just made must not go on before it is durable. */
  #makeDirectory(path: string): Promise<void> {
    const made = this.#directoriesMade.then(() => makeDirectory(this.#files, path));
    this.#directoriesMade = made.catch(() => undefined);
    return made;
  }

  #path(key: string): string {
    checkBlobKey(key);
    return join(this.#root, key);
  }
}

/** Opens the blobs below `directory`, after removing what interrupted writes have left. */
export async function openBlobFiles(directory: string, files: Files = nodeFiles): Promise<BlobStore> {
  const root = join(directory, 'content');
  const temporary = join(directory, 'temporary');
  try {
    await files.rm(temporary, { recursive: true, force: true });
    await makeDirectory(files, root);
    await makeDirectory(files, temporary);
  } catch (error) {
    throw fileError(error);
  }
  return new FileBlobs(root, temporary, files);
}
