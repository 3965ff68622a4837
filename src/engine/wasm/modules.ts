/** Compiled modules by what their code depends on: a second network of the same shape starts at once. */

/** A module and the description of its code, as a key: equal keys, equal bytes. Both can be sent to another thread. */
export interface CompiledCode {
  readonly key: string;
  readonly module: WebAssembly.Module;
}

/** The code of a network at work: its memory, and those of the data that lie apart, as the module names them. */
export interface WorkingCode {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly data: Readonly<Record<string, WebAssembly.Memory>>;
}

export function instantiate({ module, memory, data }: WorkingCode): WebAssembly.Instance {
  return new WebAssembly.Instance(module, { engine: { memory, ...data } });
}

/** Modules kept; the one not used for longest goes first. */
const CAPACITY = 32;
const modules = new Map<string, WebAssembly.Module>();

/** The module for a description of its code; `emit` is called when none is kept. Equal descriptions must mean equal bytes. */
export function compiledModule(description: object, emit: () => Uint8Array<ArrayBuffer>): WebAssembly.Module {
  return compiledCode(description, emit).module;
}

/** As `compiledModule`, with the key. */
export function compiledCode(description: object, emit: () => Uint8Array<ArrayBuffer>): CompiledCode {
  const key = JSON.stringify(description);
  const code = { key, module: modules.get(key) ?? new WebAssembly.Module(emit()) };
  keepCode(code);
  return code;
}

/** Whether the module for a description is kept. */
export function isCompiled(description: object): boolean {
  return modules.has(JSON.stringify(description));
}

/** Keeps what has been compiled, here or by another thread. */
export function keepCode({ key, module }: CompiledCode): void {
  modules.delete(key);
  modules.set(key, module);
  if (modules.size > CAPACITY) modules.delete(modules.keys().next().value as string);
}
