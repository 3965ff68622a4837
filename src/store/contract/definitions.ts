/** Networks and data sets. */
import type { Created, IdempotencyClaim } from './creation.ts';
import type { Json, Metadata, MetadataFilter, Page, PageRequest } from './values.ts';

/** An immutable definition. */
export interface NetworkRecord {
  readonly id: string;
  readonly name: string | null;
  readonly definition: Json;
  readonly metadata: Metadata;
  readonly created_at: number;
}

export interface Networks {
  create(record: NetworkRecord, idempotency?: IdempotencyClaim): Promise<Created<NetworkRecord>>;
  get(id: string): Promise<NetworkRecord | undefined>;
  list(page: PageRequest & { readonly metadata?: MetadataFilter | undefined }): Promise<Page<NetworkRecord>>;
  /** True when it was there. Jobs are not touched: each keeps its own copy of the definition. */
  delete(id: string): Promise<boolean>;
}

/** What is known about a data set; its numbers are a blob. */
export interface DatasetRecord {
  readonly id: string;
  readonly name: string | null;
  /** Columns, rows, classes and statistics. */
  readonly profile: Json;
  readonly sha256: string;
  /** Where the numbers are: below `datasetPrefix(id)`, so that deletion finds the blob. */
  readonly blob_key: string;
  readonly metadata: Metadata;
  readonly created_at: number;
}

export interface Datasets {
  create(record: DatasetRecord, idempotency?: IdempotencyClaim): Promise<Created<DatasetRecord>>;
  get(id: string): Promise<DatasetRecord | undefined>;
  list(page: PageRequest & { readonly metadata?: MetadataFilter | undefined }): Promise<Page<DatasetRecord>>;
  /** Deletes the record and its blobs, unless a job in one of the states `needed_by` was made with it. */
  delete(id: string, needed_by: readonly string[]): Promise<'deleted' | 'not_found' | 'in_use'>;
}
