import type { ArithmeticMode, Precision } from '../../../src/engine/definition.ts';
import { ModuleBuilder } from '../../../src/engine/wasm/assembler.ts';
import type { Expression } from '../../../src/engine/wasm/expression.ts';
import { Lanes } from '../../../src/engine/wasm/lanes.ts';

/** Compiles a function of `arity` vectors and maps it over equally long arrays, as many numbers at a time as there are lanes. */
export function laneFunction(
  precision: Precision,
  mode: ArithmeticMode,
  arity: number,
  build: (o: Lanes, inputs: readonly Expression[]) => Expression,
): (...inputs: number[][]) => number[] {
  const module = new ModuleBuilder({ module: 'env', name: 'memory', minimum: 1 });
  module.function(
    ['i32'],
    [],
    (f) => {
      const [at] = [f.local('i32')];
      const o = new Lanes(f, precision, mode);
      f.whileBelow(at, { local: 0 }, 16, () => {
        const inputs = Array.from({ length: arity }, (_, i) => o.load(at, i * 8192));
        o.run([{ value: build(o, inputs), base: at, offset: arity * 8192 }]);
      });
    },
    'run',
  );
  const memory = new WebAssembly.Memory({ initial: 1 });
  const instance = new WebAssembly.Instance(new WebAssembly.Module(module.encode()), { env: { memory } });
  const run = instance.exports.run as (bytes: number) => void;
  const FloatArrayOf = precision === 'float32' ? Float32Array : Float64Array;
  const chunk = 8192 / FloatArrayOf.BYTES_PER_ELEMENT;
  const columns = Array.from({ length: arity + 1 }, (_, i) => new FloatArrayOf(memory.buffer, i * 8192, chunk));
  return (...inputs) => {
    const outputs: number[] = [];
    for (let start = 0; start < inputs[0].length; start += chunk) {
      const part = Math.min(chunk, inputs[0].length - start);
      for (let i = 0; i < arity; i++) columns[i].set(inputs[i].slice(start, start + part));
      run(8192);
      outputs.push(...columns[arity].subarray(0, part));
    }
    return outputs;
  };
}

/** How many results differ in their bits; NaN equals NaN whatever its payload. */
export function differences(got: readonly number[], want: readonly number[]): string[] {
  const faults: string[] = [];
  for (let i = 0; i < want.length; i++) {
    if (!Object.is(got[i], want[i])) faults.push(`[${i}] got ${got[i]}, want ${want[i]}`);
  }
  if (got.length !== want.length) faults.push(`length ${got.length}, want ${want.length}`);
  return faults;
}
