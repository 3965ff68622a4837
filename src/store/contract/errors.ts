/** A storage that fails. */

export type StoreErrorCode =
  /** Another server has this data directory open. */
  | 'data_directory_in_use'
  /** The database was written by a newer version of the service. */
  | 'schema_too_new'
  /** No room on the disk; nothing was written, the same call may succeed later. */
  | 'storage_full'
  /**
   * The storage did not answer in time or was not reachable; the same call may succeed later. Nothing was written, unless
   * the answer that got lost was that to a commit.
   */
  | 'storage_busy'
  /** Anything else that the storage reported; see `cause`. */
  | 'storage_failed';

/** A failure of the storage itself. The `code` is stable; the message is for people. */
export class StoreError extends Error {
  override readonly name = 'StoreError';
  readonly code: StoreErrorCode;

  constructor(code: StoreErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
