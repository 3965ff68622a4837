import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import {
  type Checkpoint,
  CheckpointError,
  checkpointPieces,
  decodeCheckpoint,
  encodeCheckpoint,
} from '../../src/training/checkpoint.ts';

const subtleFloats = [0.1, -0, 5e-324, 1.7976931348623157e308, 1 / 3, Number.NaN, Number.NEGATIVE_INFINITY];

function example(precision: 'float32' | 'float64' = 'float64'): Checkpoint {
  const floats = (values: number[]) => (precision === 'float32' ? new Float32Array(values) : new Float64Array(values));
  return {
    precision,
    arithmetic: 'strict',
    fused: false,
    cursor: {
      epoch: 2,
      step: 9,
      step_in_epoch: 1,
      epoch_loss_sum: 0.1 + 0.2,
      runtime_seconds: 1.5,
      monitor: { best: { monitor: 'loss', value: 1 / 3, epoch: 1, step: 4 }, waited: 1 },
      plateaus: [{ best: null, bad_units: 1, cooldown_left: 0, reductions: 2 }],
      learning_rate_changes: [{ first_step: 5, learning_rate: 0.01 }],
      stop_reason: null,
    },
    preprocessing: { inputs: { name: 'standardize', shift: [0.1], scale: [1 / 3] }, targets: null },
    target_kind: 'values',
    state: {
      parameters: floats(subtleFloats),
      statistics: floats([]),
      slots: [floats([1, 2, 3]), floats([4, 5, 6])],
      scalars: new Float64Array([0.9, 0.999]),
    },
    best: { parameters: floats([7, 8, 9]), statistics: floats([10]) },
  };
}

function faultOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return error instanceof CheckpointError ? error.code : String(error);
  }
  return 'none';
}

/** xorshift32: a fixed sequence of offsets to damage. */
function* sequence(seed: number): Generator<number, never> {
  let x = seed;
  while (true) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    yield x >>> 0;
  }
}

describe('checkpoint file', () => {
  test.each(['float32', 'float64'] as const)('what is written in %s is read back bit for bit', (precision) => {
    const checkpoint = example(precision);
    const decoded = decodeCheckpoint(encodeCheckpoint(checkpoint));
    expect(decoded).toStrictEqual(checkpoint);
    expect(Object.is(decoded.state.parameters[1], -0)).toBe(true);
  });

  test('a checkpoint without a best model comes back without one', () => {
    expect(decodeCheckpoint(encodeCheckpoint({ ...example(), best: null })).best).toBeNull();
  });

  test('the same checkpoint is the same bytes, at any alignment', () => {
    const bytes = encodeCheckpoint(example());
    expect(Buffer.from(encodeCheckpoint(example())).equals(bytes)).toBe(true);
    const shifted = new Uint8Array(bytes.length + 3);
    shifted.set(bytes, 3);
    expect(decodeCheckpoint(shifted.subarray(3))).toStrictEqual(example());
  });

  test('its pieces are the file, however small they are', () => {
    const bytes = encodeCheckpoint(example());
    for (const size of [1, 31, 32, 33, 100, bytes.length - 1, bytes.length, bytes.length + 1]) {
      const pieces = [...checkpointPieces(example(), size)];
      expect(Buffer.concat(pieces.map((piece) => piece.bytes)).equals(bytes), `pieces of ${size}`).toBe(true);
      expect(pieces.findIndex(({ is_last }) => is_last)).toBe(pieces.length - 1);
      expect(pieces).toHaveLength(Math.ceil(bytes.length / size));
      for (const { bytes: piece } of pieces) expect(piece.buffer.byteLength).toBe(piece.byteLength);
    }
  });

  test('every truncation is noticed', () => {
    const bytes = encodeCheckpoint(example());
    for (let length = 0; length < bytes.length; length++) {
      expect(faultOf(() => decodeCheckpoint(bytes.subarray(0, length)))).toBe('checkpoint_damaged');
    }
    expect(bytes.length).toBeGreaterThan(500);
  });

  test('1,000 flipped bits are noticed, each alone', () => {
    const bytes = encodeCheckpoint(example());
    const offsets = sequence(1);
    for (let trial = 0; trial < 1000; trial++) {
      const bit = offsets.next().value % (bytes.length * 8);
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      expect(
        faultOf(() => decodeCheckpoint(bytes)),
        `bit ${bit}`,
      ).toBe('checkpoint_damaged');
      bytes[bit >> 3]! ^= 1 << (bit & 7);
    }
    expect(faultOf(() => decodeCheckpoint(bytes))).toBe('none');
  });

  test('bytes appended, an empty file and another file are noticed', () => {
    const bytes = encodeCheckpoint(example());
    for (const other of [Buffer.concat([bytes, Buffer.from([0])]), Buffer.alloc(0), Buffer.alloc(4096, 'x')]) {
      expect(faultOf(() => decodeCheckpoint(other))).toBe('checkpoint_damaged');
    }
  });

  test('a whole file of another version is told apart from a damaged one', () => {
    const bytes = Buffer.from(encodeCheckpoint(example()));
    bytes.writeUInt32LE(99, 8);
    createHash('sha256')
      .update(bytes.subarray(0, -32))
      .digest()
      .copy(bytes, bytes.length - 32);
    expect(faultOf(() => decodeCheckpoint(bytes))).toBe('checkpoint_version');
  });
});
