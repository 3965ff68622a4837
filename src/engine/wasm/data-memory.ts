/**
 * Rows that threads share, in a WebAssembly memory of their own: compiled code imports it beside the memory of its network
 * and reads them where they lie, so that nobody needs a copy.
 *
 * An array does not tell which memory it is a view of, so each thread keeps that by the array's buffer. What is sent to
 * another thread comes with its memories (`memoriesOf`), which that thread has to take notice of (`keepMemories`).
 */
import type { Data, FloatArray } from '../backend.ts';
import type { Precision } from '../definition.ts';
import { floatArrays } from '../float-arrays.ts';

/** The arrays of a data set. */
export const dataParts = ['inputs', 'targets', 'weights'] as const satisfies readonly (keyof Data)[];
export type DataPart = (typeof dataParts)[number];

export const PAGE = 65536;
/** In pages: what a shared memory has to name, whatever it really takes. */
export const LARGEST_MEMORY = 65536;
/** Vectors may be read past the last number of the data. */
export const SLACK = 64;

/** Copying less costs less than a memory. */
const LEAST_BYTES = 2 ** 20;

const memories = new WeakMap<ArrayBufferLike, WebAssembly.Memory>();

/** Zeros on shared memory; from `leastBytes` on, and as long as they can be addressed, where compiled code can read them. */
export function sharedFloats(precision: Precision, length: number, leastBytes = LEAST_BYTES): FloatArray {
  const bytes = bytesOf(precision, length);
  const buffer = isApart(precision, length, leastBytes)
    ? newMemory(pagesFor(bytes)).buffer
    : new SharedArrayBuffer(bytes);
  return new floatArrays[precision](buffer, 0, length);
}

/** Whether `sharedFloats` puts so many numbers where compiled code can read them. */
export function isApart(precision: Precision, length: number, leastBytes = LEAST_BYTES): boolean {
  const bytes = bytesOf(precision, length);
  return bytes >= leastBytes && pagesFor(bytes) <= LARGEST_MEMORY;
}

const bytesOf = (precision: Precision, length: number) => length * (precision === 'float32' ? 4 : 8);
const pagesFor = (bytes: number) => Math.ceil((bytes + SLACK) / PAGE);

function newMemory(pages: number): WebAssembly.Memory {
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  memories.set(memory.buffer, memory);
  return memory;
}

/** The memories in which arrays of the data lie. */
export function memoriesOf(data: Data): WebAssembly.Memory[] {
  return dataParts.flatMap((part) => memoryOf(data[part]) ?? []);
}

/** To be called with the memories that have come with arrays from another thread. */
export function keepMemories(received: readonly WebAssembly.Memory[]): void {
  for (const memory of received) memories.set(memory.buffer, memory);
}

function memoryOf(array: FloatArray | undefined): WebAssembly.Memory | undefined {
  return array && memories.get(array.buffer);
}

/** By part, the memories of those that need not be copied for a network of this precision. */
export function memoriesApart(data: Data, precision: Precision): Partial<Record<DataPart, WebAssembly.Memory>> {
  const FloatArrayOf = precision === 'float32' ? Float32Array : Float64Array;
  const found = dataParts.flatMap((part) => {
    const memory = data[part] instanceof FloatArrayOf ? memoryOf(data[part]) : undefined;
    return memory === undefined ? [] : [[part, memory] as const];
  });
  return Object.fromEntries(found);
}
