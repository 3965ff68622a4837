/** Large binary values (checkpoints, data sets) under path-like keys. A blob is whole or not there, and never changes. */

export interface BlobInfo {
  readonly key: string;
  /** Bytes. */
  readonly size: number;
  /** Milliseconds since 1970. */
  readonly written_at: number;
}

export interface BlobStore {
  /**
   * Stores a blob; it is durable when the promise resolves. An existing blob of that key is replaced at once.
   * @returns its size in bytes.
   * @throws {RangeError} when the key is not a path of plain names.
   */
  put(key: string, content: Uint8Array | AsyncIterable<Uint8Array>): Promise<number>;
  /** The whole content; `undefined` when there is none. */
  get(key: string): Promise<Uint8Array<ArrayBuffer> | undefined>;
  /** The content piece by piece; `undefined` when there is none. */
  stream(key: string): Promise<AsyncIterable<Uint8Array> | undefined>;
  /** True when it was there. */
  delete(key: string): Promise<boolean>;
  /** Deletes the blobs below `prefix`, which ends with a slash. */
  deleteAll(prefix: string): Promise<void>;
  /** The blobs below `prefix`, which ends with a slash or is empty for all, by key ascending. */
  list(prefix: string): AsyncIterable<BlobInfo>;
}

const blobKey = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}(\/[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}){0,7}$/;

/**
 * Refuses keys that could leave the blob directory: each of up to 8 names has letters, digits, `_`, `-`, `.` (not first).
 * @throws {RangeError}
 */
export function checkBlobKey(key: string): void {
  if (!blobKey.test(key)) throw new RangeError(`not a blob key: ${JSON.stringify(key)}`);
}

/**
 * Refuses prefixes that are not one or more whole names with a slash behind each.
 * @throws {RangeError}
 */
export function checkBlobPrefix(prefix: string): void {
  if (!prefix.endsWith('/')) throw new RangeError(`a blob prefix must end with a slash: ${JSON.stringify(prefix)}`);
  checkBlobKey(prefix.slice(0, -1));
}
