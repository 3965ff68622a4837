/** The formats of an upload, what a client says about one, and the tables that reading gives. */
import type { DatasetColumn, MissingPolicy, TargetTask } from './dataset.ts';
import type { Places, Table, TableLimits } from './table.ts';

/** The formats of an upload, by the media types that name them. */
export const formats = {
  json: { media_types: ['application/json'], description: '`{"inputs": [[…], …], "targets": […]}`' },
  csv: { media_types: ['text/csv'], description: 'RFC 4180 with a header row; `,` `;` tab or `|` as the separator' },
  ndjson: {
    media_types: ['application/x-ndjson', 'application/ndjson', 'application/jsonl'],
    description: 'One JSON object (by column name) or list a line',
  },
  npy: { media_types: ['application/x-npy', 'application/octet-stream'], description: 'A matrix saved by numpy.save' },
  npz: {
    media_types: ['application/x-npz', 'application/zip'],
    description: 'Two arrays saved by numpy.savez: `inputs` or `X`, `targets` or `y`',
  },
} as const satisfies Record<string, { readonly media_types: readonly string[]; readonly description: string }>;

export type DatasetFormat = keyof typeof formats;

export interface DatasetLimits extends TableLimits {
  readonly max_columns: number;
}

/** What the client says about the file. */
export interface ReadOptions {
  readonly format: DatasetFormat;
  /** Default: the last column. */
  readonly target?: readonly string[] | undefined;
  readonly ignore?: readonly string[] | undefined;
  readonly categorical?: readonly string[] | undefined;
  readonly missing: MissingPolicy;
  readonly task?: TargetTask | undefined;
  readonly limits: DatasetLimits;
}

/** A table and the role of each of its columns; null: it is left out. */
export interface ReadTable {
  readonly table: Table;
  readonly roleOf: (name: string) => DatasetColumn['role'] | null;
  readonly places: Places;
}
