/**
 * NumPy's array files: `.npy` (format versions 1 to 3) and `.npz`, a zip archive of them.
 * Source: numpy.lib.format; PKWARE APPNOTE 6.3.10 for the archive.
 */
import { constants, inflateRawSync } from 'node:zlib';

/** Any place from which bytes can be had at random: a file or memory. */
export interface ByteSource {
  readonly size: number;
  /** Exactly `length` bytes from `offset`; fewer are an error. They stand until the next call. */
  read(offset: number, length: number): Uint8Array;
}

export class NpyError extends Error {
  override readonly name = 'NpyError';
}

/** A matrix of numbers as it stands in a file; `rowsFrom` converts some of its rows to float64, row-major. */
export interface NpyMatrix {
  readonly rows: number;
  readonly columns: number;
  /** 1 for a vector, which has one column. */
  readonly dimensions: number;
  rowsFrom(first: number, count: number): Float64Array;
}

type Reader = (view: DataView, at: number, littleEndian: boolean) => number;

/** kind and size in bytes → how to read one. 64-bit integers become the nearest float64. */
const readers: Readonly<Record<string, Reader>> = {
  f8: (view, at, little) => view.getFloat64(at, little),
  f4: (view, at, little) => view.getFloat32(at, little),
  f2: (view, at, little) => view.getFloat16(at, little),
  i8: (view, at, little) => Number(view.getBigInt64(at, little)),
  i4: (view, at, little) => view.getInt32(at, little),
  i2: (view, at, little) => view.getInt16(at, little),
  i1: (view, at) => view.getInt8(at),
  u8: (view, at, little) => Number(view.getBigUint64(at, little)),
  u4: (view, at, little) => view.getUint32(at, little),
  u2: (view, at, little) => view.getUint16(at, little),
  u1: (view, at) => view.getUint8(at),
  b1: (view, at) => view.getUint8(at),
};

const magic = '\x93NUMPY';
const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');
const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/**
 * Reads the header of a `.npy` file.
 * @throws {NpyError} when it is not one, or its array is not a matrix or vector of numbers
 */
export function openNpy(source: ByteSource): NpyMatrix {
  if (source.size < 10 || latin1(source.read(0, 6)) !== magic) throw new NpyError('This is not a .npy file.');
  const version = source.read(6, 1)[0];
  const prefix = version === 1 ? 10 : 12;
  const headerBytes =
    version === 1 ? viewOf(source.read(8, 2)).getUint16(0, true) : viewOf(source.read(8, 4)).getUint32(0, true);
  if (headerBytes > 65_536 || prefix + headerBytes > source.size)
    throw new NpyError('The header of the .npy file is damaged.');
  const { descr, fortran, shape } = parseHeader(latin1(source.read(prefix, headerBytes)));
  const [byteOrder, type] = [descr[0], descr.slice(1)];
  const reader = Object.hasOwn(readers, type) ? readers[type] : undefined;
  if (reader === undefined)
    throw new NpyError(`The array holds ${descr}, which is not a type of number (${Object.keys(readers).join(', ')}).`);
  if (shape.length < 1 || shape.length > 2)
    throw new NpyError(`The array has ${shape.length} dimensions; a matrix or a vector is needed.`);
  const [rows, columns] = [shape[0], shape[1] ?? 1];
  const width = Number(type.slice(1));
  const start = prefix + headerBytes;
  if (!Number.isSafeInteger(rows * columns * width) || start + rows * columns * width > source.size) {
    throw new NpyError(`The file is too short for an array of ${shape.join(' × ')}.`);
  }
  const little = byteOrder !== '>';
  const read = (cell: number, count: number): Float64Array => {
    const view = viewOf(source.read(start + cell * width, count * width));
    const values = new Float64Array(count);
    for (let i = 0; i < count; i += 1) values[i] = reader(view, i * width, little);
    return values;
  };
  return {
    rows,
    columns,
    dimensions: shape.length,
    rowsFrom: fortran ? byColumn(read, rows, columns) : (first, count) => read(first * columns, count * columns),
  };
}

/** Rows of an array that is stored column by column. */
function byColumn(read: (cell: number, count: number) => Float64Array, rows: number, columns: number) {
  return (first: number, count: number): Float64Array => {
    const values = new Float64Array(count * columns);
    for (let column = 0; column < columns; column += 1) {
      read(column * rows + first, count).forEach((value, row) => {
        values[row * columns + column] = value;
      });
    }
    return values;
  };
}

/** The header is the text of a Python dictionary with three known keys. */
function parseHeader(text: string): { descr: string; fortran: boolean; shape: number[] } {
  const descr = /'descr':\s*'([<>|=][a-zA-Z]\d+)'/.exec(text)?.[1];
  const fortran = /'fortran_order':\s*(True|False)/.exec(text)?.[1];
  const shape = /'shape':\s*\(([\d,\s]*)\)/.exec(text)?.[1];
  if (descr === undefined || fortran === undefined || shape === undefined) {
    throw new NpyError('The header of the .npy file does not describe an array of numbers.');
  }
  const sizes = shape
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
  return { descr, fortran: fortran === 'True', shape: sizes.map(Number) };
}

const STORED = 0;
const DEFLATED = 8;

/**
 * The arrays of a `.npz` file by name (without `.npy`). Compressed ones are unpacked to at most `maxBytes` each.
 * @throws {NpyError} when it is not such an archive
 */
export function openNpz(source: ByteSource, maxBytes: number): ReadonlyMap<string, ByteSource> {
  const arrays = new Map<string, ByteSource>();
  let left = maxBytes;
  for (const entry of centralDirectory(source)) {
    const content = entryContent(source, entry, left);
    left -= content.size;
    arrays.set(entry.name.replace(/\.npy$/, ''), content);
  }
  return arrays;
}

interface ZipEntry {
  readonly name: string;
  readonly method: number;
  readonly compressed: number;
  readonly size: number;
  readonly offset: number;
}

const zipDamaged = () => new NpyError('This is not a .npz file, or it is damaged or larger than 4 GiB.');

/** The list of entries at the end of the archive, found by its signature before a comment of at most 64 KiB. */
function centralDirectory(source: ByteSource): ZipEntry[] {
  const tailLength = Math.min(source.size, 22 + 65_535);
  const tail = viewOf(source.read(source.size - tailLength, tailLength));
  let at = tailLength - 22;
  while (at >= 0 && tail.getUint32(at, true) !== 0x06054b50) at -= 1;
  if (at < 0) throw zipDamaged();
  const [count, length, start] = [
    tail.getUint16(at + 10, true),
    tail.getUint32(at + 12, true),
    tail.getUint32(at + 16, true),
  ];
  if (start + length > source.size) throw zipDamaged();
  const bytes = source.read(start, length);
  const view = viewOf(bytes);
  const entries: ZipEntry[] = [];
  for (let i = 0, place = 0; i < count; i += 1) {
    if (place + 46 > length || view.getUint32(place, true) !== 0x02014b50) throw zipDamaged();
    const nameLength = view.getUint16(place + 28, true);
    entries.push({
      name: latin1(bytes.subarray(place + 46, place + 46 + nameLength)),
      method: view.getUint16(place + 10, true),
      compressed: view.getUint32(place + 20, true),
      size: view.getUint32(place + 24, true),
      offset: view.getUint32(place + 42, true),
    });
    place += 46 + nameLength + view.getUint16(place + 30, true) + view.getUint16(place + 32, true);
  }
  return entries;
}

function entryContent(source: ByteSource, entry: ZipEntry, maxBytes: number): ByteSource {
  if (entry.offset + 30 > source.size) throw zipDamaged();
  const header = viewOf(source.read(entry.offset, 30));
  const start = entry.offset + 30 + header.getUint16(26, true) + header.getUint16(28, true);
  if (header.getUint32(0, true) !== 0x04034b50 || start + entry.compressed > source.size) throw zipDamaged();
  if (entry.method === STORED) {
    return { size: entry.size, read: (offset, length) => source.read(start + offset, length) };
  }
  if (entry.method !== DEFLATED)
    throw new NpyError(`${entry.name} is compressed by a method that numpy does not write.`);
  if (entry.size > maxBytes) throw new NpyError(`${entry.name} unpacks to more than ${maxBytes} bytes.`);
  return memorySource(inflate(source.read(start, entry.compressed), entry));
}

function inflate(compressed: Uint8Array, entry: ZipEntry): Uint8Array {
  try {
    return inflateRawSync(compressed, {
      maxOutputLength: Math.max(1, entry.size),
      finishFlush: constants.Z_SYNC_FLUSH,
    });
  } catch (error) {
    throw new NpyError(`${entry.name} cannot be unpacked: ${(error as Error).message}.`);
  }
}

/** Bytes in memory as a source. */
export function memorySource(bytes: Uint8Array): ByteSource {
  return {
    size: bytes.length,
    read(offset, length) {
      if (offset + length > bytes.length) throw new NpyError('The file ends too early.');
      return bytes.subarray(offset, offset + length);
    },
  };
}

/** A C-ordered float64 array as a `.npy` file, format version 1. */
export function writeNpy(values: Float64Array, shape: readonly number[]): Uint8Array {
  const text = `{'descr': '<f8', 'fortran_order': False, 'shape': (${shape.map((n) => `${n},`).join(' ')}), }`;
  // The data begin at a multiple of 64 bytes; the header ends with a line break.
  const length = Math.ceil((10 + text.length + 1) / 64) * 64;
  const file = Buffer.alloc(length + values.length * 8, 0x20);
  file.write(magic, 0, 'latin1');
  file.set([1, 0], 6);
  file.writeUInt16LE(length - 10, 8);
  file.write(text, 10, 'latin1');
  file[length - 1] = 0x0a;
  values.forEach((value, i) => {
    file.writeDoubleLE(value, length + i * 8);
  });
  return file;
}
