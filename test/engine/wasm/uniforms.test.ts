import { expect, it, vi } from 'vitest';
import { initializers } from '../../../src/engine/initializers.ts';
import { uniforms } from '../../../src/engine/prng.ts';
import { compiledUniforms } from '../../../src/engine/wasm/uniforms.ts';
import { sha256 } from './compare.ts';

it.each([50_000, 50_001, 51_200, 100_003])('compiled, draws the same %d numbers', (count) => {
  const compile = vi.spyOn(WebAssembly, 'Instance');
  for (const [seed, a] of [
    [9, 2],
    [2 ** 53 - 1, 0],
    [2 ** 40 + 7, 2 ** 33 + 1],
  ]) {
    for (const stream of ['initialization', 'generate'] as const) {
      const numbers = compiledUniforms(count, seed, stream, a);
      expect(numbers).toHaveLength(count);
      expect(sha256(numbers)).toBe(sha256(uniforms(count, seed, stream, a)));
    }
  }
  expect(compile).toHaveBeenCalledTimes(6);
  compile.mockRestore();
});

it('compiles nothing for few numbers', () => {
  const compile = vi.spyOn(WebAssembly, 'Instance');
  expect(sha256(compiledUniforms(49_999, 3, 'initialization', 1))).toBe(
    sha256(uniforms(49_999, 3, 'initialization', 1)),
  );
  expect(compile).not.toHaveBeenCalled();
  compile.mockRestore();
});

it('gives a layer the same weights', () => {
  const weights = (draw: typeof uniforms) =>
    initializers.he_uniform.weights(300, 200, { seed: 5, layer: 2, uniforms: draw }, {});
  expect(sha256(weights(compiledUniforms))).toBe(sha256(weights(uniforms)));
});
