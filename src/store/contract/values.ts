/** What records are made of, and stretches of a list. */

/** A parsed JSON value whose shape the caller knows: it wrote it. */
export type Json = unknown;

/** Free labels of a record. Values that are strings, numbers or booleans can be filtered by. */
export type Metadata = Readonly<Record<string, Json>>;

/** `metadata[k]=v` of a list request; a record matches when for every k its value, as text, equals v. */
export type MetadataFilter = Readonly<Record<string, string>>;

/** A stretch of a list. Newest first unless the call says otherwise. */
export interface PageRequest {
  /** The id of the last record that the reader has seen. It need not exist any more. */
  readonly after?: string | undefined;
  /** The most records to return, at least 1. */
  readonly limit: number;
}

export interface Page<T> {
  readonly data: readonly T[];
  readonly has_more: boolean;
}
