import { describe, expect, test } from 'vitest';
import { JoinedPredictions } from '../../src/training/joined-predictions.ts';
import type { InferenceModel, PredictQuestion } from '../../src/training/protocol.ts';

/** Models are told apart by identity alone. */
const model = () => ({ model: {} }) as InferenceModel;

/** A thread that answers when it is told to: each row of one input with its double and its triple. */
function slowThread() {
  const asked: (PromiseWithResolvers<Float64Array> & PredictQuestion & { readonly about: InferenceModel })[] = [];
  const joined = new JoinedPredictions((about, question) => {
    const one = { ...question, about, ...Promise.withResolvers<Float64Array>() };
    asked.push(one);
    return one.promise;
  });
  const answer = (number: number) => {
    const { inputs, resolve } = asked[number];
    resolve(Float64Array.from([...inputs].flatMap((x) => [2 * x, 3 * x])));
  };
  const rows = (...inputs: readonly number[]) => ({ inputs: Float64Array.from(inputs), rows: inputs.length });
  return { asked, joined, answer, rows };
}

describe('small predictions of one model', () => {
  test('go at once when none is on its way, and together when some have waited, each getting its own rows', async () => {
    const { asked, joined, answer, rows } = slowThread();
    const about = model();
    const answers = [joined.ask(about, rows(1)), joined.ask(about, rows(2, 3)), joined.ask(about, rows(4))];
    expect(asked.map(({ inputs }) => [...inputs])).toEqual([[1]]);
    answer(0);
    expect([...(await answers[0])]).toEqual([2, 3]);
    await expect.poll(() => asked.length).toBe(2);
    expect([...asked[1].inputs]).toEqual([2, 3, 4]);
    expect(asked[1].rows).toBe(3);
    answer(1);
    expect([...(await answers[1])]).toEqual([4, 6, 6, 9]);
    expect([...(await answers[2])]).toEqual([8, 12]);
    const later = joined.ask(about, rows(5));
    await expect.poll(() => asked.length).toBe(3);
    answer(2);
    expect([...(await later)]).toEqual([10, 15]);
  });

  test('do not wait for those of another model', () => {
    const { asked, joined, rows } = slowThread();
    void joined.ask(model(), rows(1));
    void joined.ask(model(), rows(2));
    expect(asked).toHaveLength(2);
  });

  test('are joined up to a number of rows', async () => {
    const { asked, joined, answer, rows } = slowThread();
    const about = model();
    for (let i = 0; i < 4; i += 1) void joined.ask(about, rows(...new Array(500).fill(i)));
    answer(0);
    await expect.poll(() => asked.length).toBe(2);
    expect(asked[1].rows).toBe(1000);
    answer(1);
    await expect.poll(() => asked.length).toBe(3);
    expect(asked[2].rows).toBe(500);
  });

  test('all fail when their question does, and the next ones are asked', async () => {
    const { asked, joined, answer, rows } = slowThread();
    const about = model();
    const first = joined.ask(about, rows(1));
    const second = joined.ask(about, rows(2));
    asked[0].reject(new Error('the thread died'));
    await expect(first).rejects.toThrow('the thread died');
    await expect.poll(() => asked.length).toBe(2);
    answer(1);
    expect([...(await second)]).toEqual([4, 6]);
  });
});
