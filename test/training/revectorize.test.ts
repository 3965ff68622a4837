import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { prepareMachine } from '../../src/training/revectorize.ts';
import { expectSame } from '../engine/wasm/compare.ts';

describe('the machine', () => {
  const machine = prepareMachine();

  it('gives the same bits with wide and with narrow tiles', () => {
    expect(machine.same_bits).toBe(true);
    expect(machine.speedup).toBeGreaterThan(0);
  });

  it('trains with the bits of the reference when the revectorizer and the optimizing compiler are set', () => {
    const definition = {
      input_size: 37,
      layers: [{ units: 65, activation: 'relu' as const }, { units: 33, activation: 'relu' as const }, { units: 10 }],
      loss: 'mean_squared_error' as const,
    };
    for (const revectorized of [true, false]) {
      expectSame({ definition, setup: { optimizer: 'adam' }, options: { revectorized } });
    }
  });
});

describe.each(['fused', 'strict'])('V8 fuses the pairs of vectors in %s arithmetic', (arithmetic) => {
  const script = new URL('fixtures/traced-training.ts', import.meta.url).pathname;
  const trace = execFileSync(process.execPath, [script, arithmetic], { encoding: 'utf8', maxBuffer: 2 ** 26 });
  // It fails without a sign where the code does not suit it: only its own trace tells.
  const functions = trace.split('Finished revec function').slice(0, -1);
  const decided = functions.filter((text) => /Decide to vectorize, [1-9]\d* revectorizable nodes/.test(text));

  it('in all five products of a step of two layers, wherever it has a revectorizer', () => {
    // Forward twice, the deltas of the first layer, the gradients of both.
    const products = decided.filter((text) => /F32x4(Qfma|Mul)/.test(text));
    expect(products).toHaveLength(functions.length > 0 ? 5 : 0);
  });
});
