/** Compiled modules by what their code depends on: a second network of the same shape starts at once. */

/** Modules kept; the one not used for longest goes first. */
const CAPACITY = 32;
const modules = new Map<string, WebAssembly.Module>();

/** The module for a description of its code; `emit` is called when none is kept. Equal descriptions must mean equal bytes. */
export function compiledModule(description: object, emit: () => Uint8Array<ArrayBuffer>): WebAssembly.Module {
  const key = JSON.stringify(description);
  const module = modules.get(key) ?? new WebAssembly.Module(emit());
  modules.delete(key);
  modules.set(key, module);
  if (modules.size > CAPACITY) modules.delete(modules.keys().next().value as string);
  return module;
}
