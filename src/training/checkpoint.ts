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
import type { PlateauState } from '../engine/schedules.ts';
import { floatsFromBytes, littleEndianBytes, parametersSha256 } from './bytes.ts';
import type { Preprocessing } from './preprocessing.ts';
import type { Best, FlatParameters, LearningRateChange, RoundingSpan, RunResult } from './request.ts';
import type { TargetKind } from './target-kind.ts';
import type { WarningState } from './warning-watch.ts';

const magic = Buffer.from('TRNYCKPT', 'latin1');
const version = 1;
const preambleBytes = magic.length + 8;
const digestBytes = 32;

/**
 * Bytes of a piece: few beside the file of a large network, many beside what it costs to pass one on, and less than what
 * `npm start` has malloc ask the system for, so that the memory of a piece that has been read serves for another one.
 */
export const checkpointPieceBytes = 2 ** 17;

export type CheckpointFault =
  | 'checkpoint_damaged'
  | 'checkpoint_version'
  | 'checkpoint_mismatch'
  | 'checkpoint_rounding';

export class CheckpointError extends Error {
  readonly code: CheckpointFault;
  constructor(code: CheckpointFault, message: string) {
    super(message);
    this.name = 'CheckpointError';
    this.code = code;
  }
}

/** The best value of the monitored series so far, and the patience spent since. */
export interface MonitorState {
  /** Null as long as no value has been finite. */
  readonly best: Best | null;
  /** Epochs since then, or since the start, without an improvement. */
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
  readonly monitor: MonitorState;
  /** One state per schedule; only those that monitor a value change theirs. */
  readonly plateaus: readonly PlateauState[];
  readonly learning_rate_changes: readonly LearningRateChange[];
  /** How the steps behind it were rounded, where not all were as `fused` says. */
  readonly roundings?: readonly RoundingSpan[] | undefined;
  /** Absent where nothing is watched. */
  readonly warnings?: WarningState | undefined;
  /** Set when the saved step was the run's last. */
  readonly stop_reason: 'completed' | 'early_stopping' | 'target_reached' | null;
}

export interface Checkpoint {
  readonly precision: Precision;
  readonly arithmetic: ArithmeticMode;
  /** Whether the last step behind it rounded multiply-adds once: with other rounding the rest would have other bits. */
  readonly fused: boolean;
  readonly cursor: CheckpointCursor;
  readonly preprocessing: Preprocessing;
  /** What the targets mean, decided on the training data. */
  readonly target_kind: TargetKind;
  readonly state: BackendState;
  /** The model of the best epoch, kept for `restore_best`. */
  readonly best: FlatParameters | null;
}

interface TensorEntry {
  readonly name: string;
  readonly type: Precision;
  readonly length: number;
}

type Header = Omit<Checkpoint, 'state' | 'best'> & {
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

/** A part of a file; the parts that belong together arrive in order. */
export interface FilePiece {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly is_last: boolean;
}

/** The whole file. */
export function encodeCheckpoint(checkpoint: Checkpoint): Uint8Array<ArrayBuffer> {
  const [{ bytes }] = checkpointPieces(checkpoint, Number.POSITIVE_INFINITY);
  return bytes;
}

/**
 * The file in pieces of `pieceBytes`, the last one shorter. Each has a memory of its own and is made when it is asked for:
 * the tensors must not change before the last.
 */
export function* checkpointPieces(checkpoint: Checkpoint, pieceBytes = checkpointPieceBytes): Generator<FilePiece> {
  const parts = contentOf(checkpoint);
  let left = parts.reduce((sum, { byteLength }) => sum + byteLength, digestBytes);
  let piece = new Uint8Array(Math.min(pieceBytes, left));
  let filled = 0;
  for (const part of withDigest(parts, pieceBytes)) {
    for (let at = 0; at < part.length; ) {
      const fitting = part.subarray(at, at + piece.length - filled);
      piece.set(fitting, filled);
      filled += fitting.length;
      at += fitting.length;
      if (filled < piece.length) continue;
      left -= filled;
      yield { bytes: piece, is_last: left === 0 };
      piece = new Uint8Array(Math.min(pieceBytes, left));
      filled = 0;
    }
  }
}

/** The parts, cut so that each is hashed while it is in the caches, and the digest of all of them. */
function* withDigest(parts: readonly Uint8Array[], pieceBytes: number): Generator<Uint8Array> {
  const hash = createHash('sha256');
  for (const part of parts) {
    for (let from = 0; from < part.length; from += pieceBytes) {
      const cut = part.subarray(from, from + pieceBytes);
      hash.update(cut);
      yield cut;
    }
  }
  yield hash.digest();
}

/** What the digest is taken of: preamble, header and tensors. */
function contentOf(checkpoint: Checkpoint): Uint8Array[] {
  const { state: _state, best: _best, ...values } = checkpoint;
  const tensors = namedTensors(checkpoint);
  const entries = tensors.map(
    ([name, array]): TensorEntry => ({
      name,
      type: array instanceof Float32Array ? 'float32' : 'float64',
      length: array.length,
    }),
  );
  const header = Buffer.from(JSON.stringify({ ...values, tensors: entries } satisfies Header));
  const preamble = Buffer.alloc(preambleBytes);
  magic.copy(preamble);
  preamble.writeUInt32LE(version, magic.length);
  preamble.writeUInt32LE(header.length, magic.length + 4);
  return [preamble, header, ...tensors.map(([, array]) => littleEndianBytes(array))];
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
  const { tensors: entries, ...values } = header;
  const tensors = readTensors(file.subarray(headerEnd, bodyEnd), entries);
  return { ...values, state: stateOf(tensors), best: bestOf(tensors) };
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

/** The model that a checkpoint holds: the best one where the run keeps it for `restore_best`, else that of its step. */
export function modelOf({ cursor, state, best, preprocessing, target_kind }: Checkpoint): RunResult {
  const { parameters, statistics } = best ?? state;
  const at = best === null ? cursor : cursor.monitor.best!;
  return {
    parameters,
    statistics,
    preprocessing,
    target_kind,
    parameters_sha256: parametersSha256({ parameters, statistics }),
    step: at.step,
    epoch: at.epoch,
    best: cursor.monitor.best,
  };
}

/** What a checkpoint must have in common with the run that goes on from it. */
export type RunShape = Pick<Checkpoint, 'arithmetic' | 'state'>;

/**
 * Refuses a checkpoint that does not fit a run.
 * @throws {CheckpointError} `checkpoint_mismatch`
 */
export function requireMatch(checkpoint: RunShape, run: RunShape): void {
  const [found, wanted] = [shapeOf(checkpoint), shapeOf(run)];
  if (found !== wanted) {
    throw new CheckpointError('checkpoint_mismatch', `the checkpoint holds ${found}; the run needs ${wanted}`);
  }
}

function shapeOf({ arithmetic, state: { parameters, statistics, slots, scalars } }: RunShape): string {
  const type = parameters instanceof Float32Array ? 'float32' : 'float64';
  const sizes = `${parameters.length} parameters, ${statistics.length} statistics`;
  return `${type} ${arithmetic}, ${sizes}, ${slots.length} moments, ${scalars.length} scalars`;
}
