/** Chooses what computes a network: compiled code where it can, else the reference, and says which and why. */
import type { Backend, Data, Plan, TrainingSetup } from './backend.ts';
import type { InitialParameters } from './plan.ts';
import { createReferenceBackend } from './reference/backend.ts';
import { createWasmBackend, type WasmOptions } from './wasm/backend.ts';

export interface ChosenBackend {
  readonly backend: Backend;
  /** Why it is this one, as a sentence. */
  readonly reason: string;
}

/**
 * The fastest back end that carries out the plan and the setup; its `name` and the reason belong into the job.
 * @throws {RangeError} when the setup names an unknown optimizer or bug
 */
export function createBackend(
  plan: Plan,
  setup: TrainingSetup,
  data: Data,
  initial: InitialParameters,
  options: WasmOptions = {},
): ChosenBackend {
  const compiled = createWasmBackend(plan, setup, data, initial, options);
  if (!('unsupported' in compiled)) return { backend: compiled, reason: 'compiled to WebAssembly' };
  return { backend: createReferenceBackend(plan, setup, data, initial), reason: compiled.unsupported };
}
