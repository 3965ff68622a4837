import { describe, expect, test } from 'vitest';
import type { NetworkDefinition } from '../../src/engine/definition.ts';
import type { CompiledCode } from '../../src/engine/wasm/modules.ts';
import { Inference } from '../../src/training/inference.ts';
import { NearModels } from '../../src/training/near-models.ts';
import type { InferenceModel, PredictQuestion } from '../../src/training/protocol.ts';

const asked: PredictQuestion = { inputs: Float64Array.of(1, -2, 0.5, 3), rows: 2 };

/** A model of two inputs whose outputs are about `value`, and its code. */
function modelOf(value: number, units = 3): { about: InferenceModel; code: CompiledCode; outputs: unknown } {
  const network: NetworkDefinition = { input_size: 2, layers: [{ units }], loss: 'mean_squared_error' };
  const model = {
    parameters: Float32Array.from({ length: 3 * units }, (_, i) => value + i / 10),
    statistics: new Float32Array(0),
    preprocessing: { inputs: null, targets: null },
    target_kind: 'values' as const,
  };
  const thread = new Inference({});
  thread.learn(1, { network, model });
  const outputs = thread.answer(1, { name: 'predict', asked });
  return { about: { network, model }, code: thread.takeCode(1) as CompiledCode, outputs };
}

describe('small models near at hand', () => {
  test('answer as the thread does that compiled them', async () => {
    const near = new NearModels(() => ({}));
    const [one, two] = [modelOf(1), modelOf(2)];
    expect(near.predict(one.about, asked)).toBeNull();
    await near.learn(one.about, one.code);
    await near.learn(two.about, two.code);
    expect(near.predict(one.about, asked)).toEqual(one.outputs);
    expect(near.predict(two.about, asked)).toEqual(two.outputs);
    expect(one.outputs).not.toEqual(two.outputs);
  });

  test('leave large models, many rows and inputs that do not fit to the thread', async () => {
    const near = new NearModels(() => ({}));
    const [small, large] = [modelOf(1), modelOf(1, 30_000)];
    await near.learn(small.about, small.code);
    await near.learn(large.about, large.code);
    expect(near.predict(large.about, asked)).toBeNull();
    const rows = 100_000;
    expect(near.predict(small.about, { inputs: new Float64Array(2 * rows), rows })).toBeNull();
    expect(near.predict(small.about, { inputs: Float64Array.of(1, 2, 3), rows: 2 })).toBeNull();
    expect(near.predict(small.about, asked)).not.toBeNull();
  });

  test('are forgotten for newer ones, the one not asked for longest first', async () => {
    const near = new NearModels(() => ({}));
    const models = Array.from({ length: 17 }, (_, i) => modelOf(i));
    for (const [i, { about, code }] of models.entries()) {
      await near.learn(about, code);
      near.predict(models[0].about, asked);
      expect(near.predict(models[1].about, asked) === null, `after ${i + 1}`).toBe(i === 0);
    }
    expect(models.map(({ about }) => near.predict(about, asked) === null).indexOf(true)).toBe(2);
  });

  test('are left to the thread when they cannot be made ready', async () => {
    const near = new NearModels(() => ({}));
    const { about, code } = modelOf(1);
    await near.learn({ ...about, network: { ...about.network, loss: 'nonsense' as 'huber' } }, code);
    expect(near.predict(about, asked)).toBeNull();
  });
});

test('a thread gives the code of a model once', () => {
  const thread = new Inference({});
  expect(thread.takeCode(1)).toBeNull();
  thread.learn(1, modelOf(1).about);
  expect(thread.takeCode(1)).toBeNull();
  thread.answer(1, { name: 'predict', asked });
  expect(thread.takeCode(1)?.module).toBeInstanceOf(WebAssembly.Module);
  expect(thread.takeCode(1)).toBeNull();
  thread.forget(1);
});
