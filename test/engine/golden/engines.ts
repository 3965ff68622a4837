/** All that must reproduce the reference data: the plain reference, and the compiled engine in each of its strategies. */
import type { Backend, Data, Plan, TrainingSetup } from '../../../src/engine/backend.ts';
import { type ArithmeticMode, arithmetics } from '../../../src/engine/definition.ts';
import type { InitialParameters } from '../../../src/engine/plan.ts';
import { createReferenceBackend } from '../../../src/engine/reference/backend.ts';
import { createWasmBackend } from '../../../src/engine/wasm/backend.ts';

export type CreateEngine = (plan: Plan, setup: TrainingSetup, data: Data, initial: InitialParameters) => Backend;

function compiled(tiny_after_steps: number): CreateEngine {
  return (...of) => {
    const backend = createWasmBackend(...of, { tiny_after_steps });
    if ('unsupported' in backend) throw new Error(backend.unsupported);
    return backend;
  };
}

export const compiledEngines: readonly { readonly engine: string; readonly create: CreateEngine }[] = [
  { engine: 'tiles', create: compiled(Infinity) },
  { engine: 'unrolled where it is small enough', create: compiled(0) },
];

export const engines: typeof compiledEngines = [
  { engine: 'reference', create: createReferenceBackend },
  ...compiledEngines,
];

/** Every case in every engine, in each arithmetic that the engine knows. */
export function inEveryEngine<T extends { readonly id: string }>(cases: readonly T[]) {
  const known = (engine: string): readonly ArithmeticMode[] => (engine === 'reference' ? ['strict'] : arithmetics);
  return cases.flatMap((entry) =>
    engines.flatMap(({ engine, create }) =>
      known(engine).map((arithmetic) => ({ id: entry.id, entry, engine, create, arithmetic })),
    ),
  );
}
