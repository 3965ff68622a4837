/** Data sets: uploads and toy sets, read in a thread of their own, kept as a matrix, given to jobs. */
import type { Readable } from 'node:stream';
import type { Limits } from '../config.ts';
import {
  type DatasetProfile,
  featureCount,
  featureNames,
  spreadInputs,
  spreadTargets,
  type TargetForm,
  targetForm,
  targetWidth,
  type UsedProfile,
  withWeights,
} from '../datasets/dataset.ts';
import { type Features, featuresOf } from '../datasets/features.ts';
import { type DatasetFormat, formats } from '../datasets/formats.ts';
import { type ToyDatasetName, toyDatasets } from '../datasets/generate.ts';
import { DatasetError } from '../datasets/problems.ts';
import { openReaders, type ReadingWork } from '../datasets/reading.ts';
import type { FloatArray } from '../engine/backend.ts';
import type { Precision } from '../engine/definition.ts';
import { free } from '../engine/free.ts';
import type { LossSpec } from '../engine/losses.ts';
import { sharedFloats } from '../engine/wasm/data-memory.ts';
import { notFound, ProblemError, refuse } from '../errors.ts';
import { toTimestamp, type WirePage } from '../schemas/common.ts';
import type { Matrix } from '../schemas/data.ts';
import type {
  DatasetProfileView,
  DatasetRows,
  DatasetSummary,
  DatasetView,
  GenerateInput,
  UploadQuery,
} from '../schemas/dataset.ts';
import { newId } from '../store/ids.ts';
import { type DatasetRecord, datasetPrefix, type PageRequest, type Store } from '../store/store.ts';
import { isTerminal, jobStates, namesOf } from '../training/states.ts';
import {
  answered,
  type CreatedAnswer,
  claimOf,
  earlierAnswer,
  keptAnswer,
  type RequestClaim,
  repeated,
} from './idempotency.ts';
import { makeRoom } from './row-memory.ts';
import { SharedLoads } from './shared-loads.ts';
import type { Uploads } from './uploads.ts';

/** A data set as a network is given it. */
export interface LoadedDataset {
  readonly id: string;
  readonly rows: number;
  /** rows × features, on shared memory as all matrices here, in the type in which the data set is stored. */
  readonly inputs: Matrix;
  /** In the form that the network needs. */
  readonly targets: Matrix;
  readonly target_form: TargetForm;
  /** What a model trained on it has to remember, so that it can be asked in the client's columns and classes. */
  readonly features: Features;
  /** The weights of the rows; null when the column that should hold them is no input of numbers. */
  readonly weights: FloatArray | null;
  readonly sha256: string;
}

/** What decides the form of the targets: labels for a loss of labels, one output per class, or the numbers themselves. */
export interface TargetReader {
  readonly loss: LossSpec;
  readonly output_size: number;
}

export interface Datasets {
  /**
   * Keeps an upload; nothing is kept when anything is wrong with it.
   * @throws {ProblemError} naming the rows and columns that are wrong
   */
  create(body: Readable, mediaType: string, query: UploadQuery, key?: string): Promise<CreatedAnswer>;
  /** @param key the client's Idempotency-Key */
  generate(input: GenerateInput, key?: string): Promise<CreatedAnswer>;
  get(id: string): Promise<DatasetView>;
  list(page: PageRequest): Promise<WirePage<DatasetSummary>>;
  profile(id: string): Promise<DatasetProfileView>;
  rows(id: string, page: { readonly after?: number | undefined; readonly limit: number }): Promise<DatasetRows>;
  /** @throws {ProblemError} in_use, while a job that is not finished was made with it */
  remove(id: string): Promise<void>;
  /**
   * The rows for training, on shared memory; `undefined` when there is no such data set. The main thread is given back
   * between the parts of the data. Everybody who needs them at the same time is given the same matrices.
   * @param network how the targets are wanted; without it, the numbers as they are (texts: their labels)
   * @param weights the input that holds the weights of the rows, which then is no feature
   */
  load(id: string, network?: TargetReader, weights?: string): Promise<LoadedDataset | undefined>;
  /** Ends the threads that read. */
  close(): Promise<void>;
}

/** Threads that read uploads at the same time; more would only share the same cores. */
const maxReaders = 2;

export function createDatasets(
  store: Pick<Store, 'datasets' | 'blobs' | 'idempotency'>,
  uploads: Uploads,
  limits: Limits,
  now: () => number = Date.now,
): Datasets {
  const readers = openReaders(maxReaders);
  const loads = new SharedLoads<LoadedDataset>(({ inputs }) => inputs.values);

  async function keep(
    work: ReadingWork,
    task: UploadQuery['task'],
    name: string | undefined,
    missing: UploadQuery['missing'],
    claimWith: (sha256: string) => RequestClaim | undefined,
  ): Promise<CreatedAnswer> {
    const id = newId('dataset');
    const prefix = datasetPrefix(id);
    let profile: DatasetProfile;
    try {
      profile = await readers.read(work, { missing, task, max_classes: limits.max_classes }, async (part, bytes) => {
        await store.blobs.put(partKey(prefix, part), bytes);
        free(bytes);
      });
      refuseWide(profile, limits);
    } catch (error) {
      // What cannot be deleted now is swept later.
      await Promise.allSettled([store.blobs.deleteAll(prefix)]);
      throw asProblem(error);
    }
    const record = {
      id,
      name: name ?? null,
      profile,
      sha256: profile.sha256,
      blob_key: partKey(prefix, 0),
      metadata: {},
      created_at: now(),
    };
    // The parts stay when this fails: it may have been kept all the same, and only its answer lost.
    const answer = answered(201, viewOf(record));
    const claim = keptAnswer(claimWith(record.sha256), answer, '/v1/datasets', record.created_at);
    const created = await store.datasets.create(record, claim);
    if (created.outcome === 'created') return answer;
    await Promise.allSettled([store.blobs.deleteAll(prefix)]);
    return repeated(created);
  }

  async function find(id: string): Promise<DatasetRecord> {
    const record = await store.datasets.get(id);
    if (record === undefined) throw notFound('dataset', id);
    return record;
  }

  /** The stored cells of one part. */
  async function part(record: DatasetRecord, number: number): Promise<FloatArray> {
    const bytes = await store.blobs.get(partKey(datasetPrefix(record.id), number));
    if (bytes === undefined) throw new Error(`part ${number} of ${record.id} is missing`);
    const { type } = profileOf(record).storage;
    return type === 'float32'
      ? new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4)
      : new Float64Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 8);
  }

  /** The stored cells as matrices. */
  async function spread(record: DatasetRecord, profile: UsedProfile, form: TargetForm): Promise<LoadedDataset> {
    const { rows, storage, sha256 } = profileOf(record);
    const weightAt = profile.columns.findIndex(({ role, kind }) => role === 'weight' && kind === 'number');
    const weights = weightAt === -1 ? null : sharedFloats(storage.type, rows);
    const columns = featureCount(profile.columns) + targetWidth(profile, form);
    makeRoom(rows * columns * (storage.type === 'float32' ? 4 : 8));
    const inputs = sharedMatrix(storage.type, rows, featureCount(profile.columns), false);
    const targets = sharedMatrix(storage.type, rows, targetWidth(profile, form), form === 'labels');
    for (let number = 0; number < storage.parts; number += 1) {
      const cells = await part(record, number);
      const firstRow = number * storage.part_rows;
      spreadInputs(profile.columns, cells, inputs.values, firstRow);
      spreadTargets(profile, form, cells, targets.values, firstRow);
      const width = profile.columns.length;
      if (weights !== null) {
        for (let row = 0; row < cells.length / width; row += 1) weights[firstRow + row] = cells[row * width + weightAt];
      }
      free(cells);
    }
    return { id: record.id, rows, inputs, targets, target_form: form, features: featuresOf(profile), weights, sha256 };
  }

  return {
    create: (body, mediaType, query, key) => {
      const { name, target, ignore, categorical, missing, task } = query;
      const options = { format: formatOf(mediaType), target, ignore, categorical, missing, limits: readLimits(limits) };
      // What an upload says is known when it has been read: its cells, in whatever form they came.
      const claimWith = (sha256: string) => claimOf('POST /v1/datasets', key, { query, sha256 });
      return uploads.receive(body, (path) => keep({ path, options }, task, name, missing, claimWith));
    },
    async generate(input, key) {
      const { kind, name, rows, seed, ...given } = input;
      const claim = claimOf('POST /v1/datasets/generate', key, input);
      const earlier = await earlierAnswer(store.idempotency, claim, now());
      const work = { name: kind, rows, seed, options: optionsOf(kind, given) };
      return earlier ?? keep(work, undefined, name, 'error', () => claim);
    },
    get: async (id) => viewOf(await find(id)),
    async list(request) {
      const page = await store.datasets.list({ ...request, limit: Math.min(request.limit, limits.max_page_size) });
      return { data: page.data.map(summaryOf), has_more: page.has_more };
    },
    profile: async (id) => profileView(profileOf(await find(id))),
    async rows(id, { after, limit }) {
      const record = await find(id);
      const { rows, columns, storage } = profileOf(record);
      const first = after === undefined ? 0 : after + 1;
      const last = Math.min(rows, first + Math.min(limit, limits.max_page_size));
      const data: DatasetRows['data'] = [];
      let cells: FloatArray = new Float32Array(0);
      for (let row = first; row < last; row += 1) {
        const at = row % storage.part_rows;
        if (row === first || at === 0) cells = await part(record, Math.floor(row / storage.part_rows));
        const values = columns.map(({ categories }, i) => {
          const cell = cells[at * columns.length + i];
          return categories?.[cell] ?? cell;
        });
        data.push({ id: row, values });
      }
      return { columns: columns.map(({ name }) => name), data, has_more: last < rows };
    },
    async remove(id) {
      const needing = namesOf(jobStates).filter((state) => !isTerminal(state));
      const outcome = await store.datasets.delete(id, needing);
      if (outcome === 'not_found') throw notFound('dataset', id);
      if (outcome === 'in_use') throw new ProblemError('in_use', 'A job that is not finished needs this data set.');
    },
    async load(id, network, weightColumn) {
      const record = await store.datasets.get(id);
      if (record === undefined) return undefined;
      const profile = withWeights(profileOf(record), weightColumn);
      const form = network === undefined ? 'values' : targetForm(profile, network.loss, network.output_size);
      return loads.get(JSON.stringify([id, form, weightColumn]), () => spread(record, profile, form));
    },
    close: () => readers.close(),
  };
}

const partKey = (prefix: string, number: number): string => `${prefix}part-${number}`;
const profileOf = (record: DatasetRecord): DatasetProfile => record.profile as DatasetProfile;

function sharedMatrix(type: Precision, rows: number, columns: number, flat: boolean): Matrix {
  return { rows, columns, values: sharedFloats(type, rows * columns), flat };
}

const readLimits = ({ max_dataset_columns, max_dataset_values, max_categories }: Limits) => ({
  max_columns: max_dataset_columns,
  max_values: max_dataset_values,
  max_categories,
});

/** Texts are one feature each, so a table that fits can be too wide as inputs. */
function refuseWide({ rows, input_size }: DatasetProfile, { max_dataset_values }: Limits): void {
  const estimate = rows * input_size;
  if (estimate <= max_dataset_values) return;
  const detail = `With one feature for each text the data set has ${estimate} values; the limit max_dataset_values is ${max_dataset_values}.`;
  refuse([{ pointer: '', code: 'limit_exceeded', detail }], 'limit_exceeded');
}

/** The format that a media type names, its parameters aside. */
function formatOf(mediaType: string): DatasetFormat {
  const [type] = mediaType.toLowerCase().split(';');
  const found = Object.entries(formats).find(([, { media_types }]) =>
    media_types.some((known) => known === type.trim()),
  );
  if (found === undefined) throw new ProblemError('unsupported_media_type', `Send ${uploadMediaTypes.join(', ')}.`);
  return found[0] as DatasetFormat;
}

/** Every media type of an upload. */
export const uploadMediaTypes: readonly string[] = Object.values(formats).flatMap(({ media_types }) => media_types);

function optionsOf(kind: ToyDatasetName, given: Readonly<Record<string, unknown>>): Record<string, number> {
  const entries = Object.entries(toyDatasets[kind].options as Readonly<Record<string, { readonly default: number }>>);
  return Object.fromEntries(
    entries.map(([option, entry]) => [option, (given[option] as number | undefined) ?? entry.default]),
  );
}

function asProblem(error: unknown): unknown {
  if (!(error instanceof DatasetError)) return error;
  const { problems } = error;
  const [first] = problems;
  const detail = problems.length === 1 ? first.detail : `${problems.length} problems; the first: ${first.detail}`;
  const code = problems.every((problem) => problem.code === 'limit_exceeded') ? 'limit_exceeded' : 'validation_failed';
  return new ProblemError(code, detail, { errors: problems });
}

function summaryOf(record: DatasetRecord): DatasetSummary {
  const { rows, input_size, task, columns, sha256 } = profileOf(record);
  return {
    id: record.id,
    name: record.name,
    rows,
    input_size,
    task,
    targets: columns.filter(({ role }) => role === 'target').map(({ name }) => name),
    sha256,
    created_at: toTimestamp(record.created_at),
  };
}

function detailsOf({ columns, classes, warnings }: DatasetProfile) {
  const own = (categories: readonly string[] | null) => (categories === null ? null : [...categories]);
  return {
    columns: columns.map((column) => ({ ...column, categories: own(column.categories) })),
    classes: classes === null ? null : [...classes],
    warnings: [...warnings],
  };
}

const viewOf = (record: DatasetRecord): DatasetView => ({ ...summaryOf(record), ...detailsOf(profileOf(record)) });

function profileView(profile: DatasetProfile): DatasetProfileView {
  const counts = (profile.classes ?? []).map(({ count }) => count).filter((count) => count > 0);
  return {
    ...detailsOf(profile),
    rows: profile.rows,
    features: featureNames(profile.columns.filter(({ role }) => role === 'input')),
    imbalance: counts.length === 0 ? null : Math.max(...counts) / Math.min(...counts),
  };
}
