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
