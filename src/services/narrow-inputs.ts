/** Inputs in float64 for a network in float32: it rounds every one of them before anything else. */
import { isApart, sharedFloats } from '../engine/wasm/data-memory.ts';
import type { RunRequest } from '../training/request.ts';
import { makeRoom } from './row-memory.ts';
import { inTurns } from './turns.ts';

/** Values that are rounded in one turn: a millisecond. */
const pieceValues = 2 ** 20;

/**
 * The same run on inputs that are rounded already, where they are large: they take half the memory, and compiled code
 * reads them where they lie. Scaled inputs are rounded when they have been scaled.
 */
export async function narrowInputs(request: RunRequest): Promise<RunRequest> {
  const { data, network, scaling } = request;
  const { inputs } = data;
  const isRounded = inputs instanceof Float32Array || network.precision === 'float64' || scaling?.inputs !== undefined;
  if (isRounded || !isApart('float32', inputs.length)) return request;
  const rounded = sharedFloats('float32', inputs.length);
  await inTurns(inputs.length, pieceValues, (from, to) => rounded.set(inputs.subarray(from, to), from));
  // When nobody here refers to the others any more.
  setImmediate(makeRoom, rounded.byteLength);
  return { ...request, data: { ...data, inputs: rounded } };
}
