/**
 * The checkpoint file: all that the rest of a run depends on, so that a run resumed from it is bit-identical.
 *
 *     "TRNYCKPT"   8 bytes
 *     version      u32, little-endian
 *     length       u32: bytes of the header
 *     header       JSON (UTF-8): cursor, running values, and name, type and length of every tensor
 *     tensors      raw little-endian floats, one after the other in the header's order
 *     SHA-256      32 bytes over everything before
 *
 * No random state is in it: every random number is a function of seed, stream, epoch and index.
 */
import { createHash } from 'node:crypto';
import type { BackendState, FloatArray } from '../engine/backend.ts';
import type { ArithmeticMode, Precision } from '../engine/definition.ts';
import { floatsFromBytes, littleEndianBytes } from './bytes.ts';
import type { FlatParameters, LearningRateChange } from './request.ts';

const magic = Buffer.from('TRNYCKPT', 'latin1');
const version = 1;
const preambleBytes = magic.length + 8;
const digestBytes = 32;

export type CheckpointFault = 'checkpoint_damaged' | 'checkpoint_version' | 'checkpoint_mismatch';

export class CheckpointError extends Error {
  readonly code: CheckpointFault;
  constructor(code: CheckpointFault, message: string) {
    super(message);
    this.name = 'CheckpointError';
    this.code = code;
  }
}

/** The best value of the monitored series and the patience spent since; null before the first epoch has ended. */
export interface MonitorState {
  readonly value: number;
  readonly epoch: number;
  readonly step: number;
  /** Epochs since then without an improvement. */
  readonly waited: number;
}

/** The values of a run besides its tensors. */
export interface CheckpointCursor {
  /** Epochs that are complete. */
  readonly epoch: number;
  readonly step: number;
  /** Steps done of the epoch under way. */
  readonly step_in_epoch: number;
  /** Σ batch loss × batch rows over the done steps of the epoch under way. */
  readonly epoch_loss_sum: number;
  /** Seconds of training behind it; counts towards the time limit, and nothing else depends on it. */
  readonly runtime_seconds: number;
  readonly monitor: MonitorState | null;
  /** State of each entry of the learning-rate schedule that has any. */
  readonly schedules: readonly unknown[];
  readonly learning_rate_changes: readonly LearningRateChange[];
}

export interface Checkpoint {
  readonly precision: Precision;
  readonly arithmetic: ArithmeticMode;
  readonly cursor: CheckpointCursor;
  /** How the inputs were scaled, as preprocessing.ts defines it; null when they were not. */
  readonly preprocessing: unknown;
  readonly state: BackendState;
  /** The model of the best epoch, kept for `restore_best`. */
  readonly best: FlatParameters | null;
}

interface TensorEntry {
  readonly name: string;
  readonly type: Precision;
  readonly length: number;
}

type Header = Pick<Checkpoint, 'precision' | 'arithmetic' | 'cursor' | 'preprocessing'> & {
  readonly tensors: readonly TensorEntry[];
};

function namedTensors({ state, best }: Checkpoint): [string, FloatArray][] {
  return [
    ['parameters', state.parameters],
    ['statistics', state.statistics],
    ['scalars', state.scalars],
    ...state.slots.map((slot, index): [string, FloatArray] => [`slot.${index}`, slot]),
    ...(best === null
      ? []
      : ([
          ['best.parameters', best.parameters],
          ['best.statistics', best.statistics],
        ] satisfies [string, FloatArray][])),
  ];
}

export function encodeCheckpoint(checkpoint: Checkpoint): Uint8Array<ArrayBuffer> {
  const { precision, arithmetic, cursor, preprocessing } = checkpoint;
  const tensors = namedTensors(checkpoint);
  const entries = tensors.map(
    ([name, array]): TensorEntry => ({
      name,
      type: array instanceof Float32Array ? 'float32' : 'float64',
      length: array.length,
    }),
  );
  const header = Buffer.from(
    JSON.stringify({ precision, arithmetic, cursor, preprocessing, tensors: entries } satisfies Header),
  );
  const bodyBytes = tensors.reduce((sum, [, array]) => sum + array.byteLength, 0);
  const file = Buffer.from(new ArrayBuffer(preambleBytes + header.length + bodyBytes + digestBytes));
  magic.copy(file);
  file.writeUInt32LE(version, magic.length);
  file.writeUInt32LE(header.length, magic.length + 4);
  header.copy(file, preambleBytes);
  let offset = preambleBytes + header.length;
  for (const [, array] of tensors) {
    file.set(littleEndianBytes(array), offset);
    offset += array.byteLength;
  }
  createHash('sha256').update(file.subarray(0, offset)).digest().copy(file, offset);
  return new Uint8Array(file.buffer);
}

/**
 * Reads a checkpoint file.
 * @throws {CheckpointError} `checkpoint_damaged` when a single bit is not as it was written, `checkpoint_version` when the
 *   file is whole but written by another version.
 */
export function decodeCheckpoint(bytes: Uint8Array): Checkpoint {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const bodyEnd = requireIntact(file);
  const found = file.readUInt32LE(magic.length);
  if (found !== version) {
    throw new CheckpointError(
      'checkpoint_version',
      `the checkpoint has version ${found}, this program reads ${version}`,
    );
  }
  const headerEnd = preambleBytes + file.readUInt32LE(magic.length + 4);
  const header = JSON.parse(file.toString('utf8', preambleBytes, headerEnd)) as Header;
  const tensors = readTensors(file.subarray(headerEnd, bodyEnd), header.tensors);
  const { precision, arithmetic, cursor, preprocessing } = header;
  return { precision, arithmetic, cursor, preprocessing, state: stateOf(tensors), best: bestOf(tensors) };
}

/** Checks magic and digest; returns where the body ends. */
function requireIntact(file: Buffer): number {
  const bodyEnd = file.length - digestBytes;
  if (bodyEnd < preambleBytes || !file.subarray(0, magic.length).equals(magic)) {
    throw new CheckpointError('checkpoint_damaged', 'the file is not a checkpoint, or only the beginning of one');
  }
  const digest = createHash('sha256').update(file.subarray(0, bodyEnd)).digest();
  if (!digest.equals(file.subarray(bodyEnd))) {
    throw new CheckpointError(
      'checkpoint_damaged',
      'the checkpoint does not match its SHA-256: it is damaged or cut off',
    );
  }
  return bodyEnd;
}

function readTensors(body: Buffer, entries: readonly TensorEntry[]): Map<string, FloatArray> {
  const tensors = new Map<string, FloatArray>();
  let offset = 0;
  for (const { name, type, length } of entries) {
    const end = offset + length * (type === 'float32' ? 4 : 8);
    tensors.set(name, floatsFromBytes(body.subarray(offset, end), type));
    offset = end;
  }
  return tensors;
}

function stateOf(tensors: ReadonlyMap<string, FloatArray>): BackendState {
  const slots: FloatArray[] = [];
  for (let index = 0; tensors.has(`slot.${index}`); index++) slots.push(tensors.get(`slot.${index}`)!);
  return {
    parameters: tensors.get('parameters')!,
    statistics: tensors.get('statistics')!,
    slots,
    scalars: tensors.get('scalars') as Float64Array,
  };
}

function bestOf(tensors: ReadonlyMap<string, FloatArray>): FlatParameters | null {
  const parameters = tensors.get('best.parameters');
  return parameters === undefined ? null : { parameters, statistics: tensors.get('best.statistics')! };
}
