import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { NetworkDefinition } from '../../../src/engine/definition.ts';
import { optimizers } from '../../../src/engine/optimizers.ts';
import { partOf } from '../../../src/engine/wasm/phases.ts';
import {
  disband,
  leaderCell,
  memberCell,
  memberStates,
  type TeamWork,
  waitForSignal,
} from '../../../src/engine/wasm/team-cells.ts';
import { anyCase, largeCase } from './any-case.ts';
import { type Case, fingerprint, prepare } from './compare.ts';
import type { Service } from './team-thread.ts';

const MEMBERS = 2;
let threads: Worker[] = [];

const start = () => new Worker(new URL('./team-thread.ts', import.meta.url), { execArgv: [] });

beforeAll(async () => {
  threads = Array.from({ length: MEMBERS }, start);
  await Promise.all(threads.map((thread) => once(thread, 'message')));
});
afterAll(async () => {
  await Promise.all(threads.map((thread) => thread.terminate()));
});

/** Waits until so many threads are ready to help. */
function waitForMembers({ cells }: TeamWork, members: number): void {
  for (;;) {
    const seen = Atomics.load(cells, leaderCell('signal'));
    const states = Array.from({ length: members }, (_, member) => Atomics.load(cells, memberCell(member, 'state')));
    if (states.every((state) => state === memberStates.ready)) return;
    waitForSignal(cells, leaderCell('signal'), seen);
  }
}

interface Together {
  readonly members: number;
  readonly service?: Partial<Service>;
  readonly piece_operations?: number;
}

/** A back end with threads that help it, and how to send them away. */
function lead(of: Case, { members, service, piece_operations }: Together) {
  let offered: TeamWork | undefined;
  const team = {
    members: Math.max(1, members),
    least_operations: 0,
    offer: (work: TeamWork) => {
      offered = work;
    },
  };
  const options = { ...of.options, tiny_after_steps: Infinity, team, piece_operations };
  const backend = prepare({ ...of, options }).compiled();
  const work = offered as unknown as TeamWork;
  const helpers = threads.slice(0, members);
  const left = helpers.map((thread) => once(thread, 'message'));
  for (const [member, thread] of helpers.entries()) thread.postMessage({ work, member, ...service } satisfies Service);
  waitForMembers(work, members);
  const dismiss = async () => {
    disband(work.cells);
    await Promise.all(left);
  };
  // Also where an expectation fails: the next test waits for the same threads.
  onTestFinished(dismiss);
  /** How many pieces of work each of them was given. */
  const given = () => helpers.map((_, member) => Atomics.load(work.cells, memberCell(member, 'given')));
  return { backend, given, dismiss };
}

/** What the run shows when threads help from the first step to the last. */
async function trainTogether(of: Case, together: Together) {
  const { block, data } = prepare(of);
  const { backend, dismiss } = lead(of, together);
  const result = backend.train(block);
  await dismiss();
  return { threads: backend.threads, shown: fingerprint(backend, result, data) };
}

/** What the run shows when one thread carries out each step as a whole. */
function trainAlone(of: Case) {
  const options = { ...of.options, tiny_after_steps: Infinity };
  const { compiled, block, data } = prepare({ ...of, options });
  const alone = compiled();
  return fingerprint(alone, alone.train(block), data);
}

/** The same bits by 1, 2 and 3 threads, and piece by piece. */
async function expectSameTogether(of: Case): Promise<void> {
  const shown = trainAlone(of);
  for (const together of [
    { members: 0 },
    { members: 1 },
    { members: MEMBERS },
    { members: 1, piece_operations: 7e4 },
  ]) {
    // Where a step leaves the finite numbers, one thread may go back and carry out the last good one.
    const threads = shown.divergence === null ? together.members + 1 : expect.any(Number);
    expect(await trainTogether(of, together), JSON.stringify(together)).toEqual({ threads, shown });
  }
}

function network(
  sizes: readonly number[],
  more: Partial<NetworkDefinition['layers'][number]> = {},
  precision: 'float32' | 'float64' = 'float32',
): NetworkDefinition {
  const [input_size, ...units] = sizes;
  const layers = units.map((count, i) =>
    i === units.length - 1
      ? { units: count, activation: 'linear' as const }
      : { units: count, activation: 'relu' as const, ...more },
  );
  return { input_size, layers, loss: 'mean_squared_error', precision };
}

describe('a step that several threads carry out gives the bits of one thread', () => {
  it('with any network', async () => {
    const cases = fc.oneof({ weight: 9, arbitrary: anyCase }, { weight: 1, arbitrary: largeCase });
    await fc.assert(
      fc.asyncProperty(cases, (of) => expectSameTogether(of)),
      { numRuns: 40 },
    );
  });

  it('with factors so large that they are packed', async () => {
    await expectSameTogether({
      definition: network([150, 100, 40, 2]),
      setup: { optimizer: 'sgd', arithmetic: 'fused', batch_size: 900 },
      rows: 1000,
      epochs: 1,
    });
  });

  it('with rows in a memory of their own', async () => {
    await expectSameTogether({
      definition: network([37, 65, 3], { dropout: 0.2 }),
      setup: { optimizer: 'adam', arithmetic: 'fused', batch_size: 90 },
      rows: 200,
      epochs: 2,
      weighted: true,
      apart: true,
    });
  });

  it('with four of them', async () => {
    const fourth = start();
    threads.push(fourth);
    onTestFinished(async () => {
      threads.pop();
      await fourth.terminate();
    });
    await once(fourth, 'message');
    for (const precision of ['float32', 'float64'] as const) {
      const of = {
        definition: network([7, 65, 33, 3], { batch_norm: true }, precision),
        setup: { optimizer: 'adam', batch_size: 63, clip_gradients: { max_norm: 0.1 } },
        rows: 127,
      } as const;
      expect(await trainTogether(of, { members: 3 })).toEqual({ threads: 4, shown: trainAlone(of) });
    }
  });

  it.each([1, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 127])(
    'with %d inputs, units, outputs or rows in a batch, the last batch short',
    async (n) => {
      for (const arithmetic of ['strict', 'fused'] as const) {
        const revectorized = n % 2 === 0;
        const setup = { optimizer: 'adam', arithmetic, batch_size: 40 } as const;
        const of = { rows: 93, epochs: 1, options: { revectorized } };
        await expectSameTogether({ ...of, definition: network([n, n, n]), setup });
        await expectSameTogether({ ...of, definition: network([9, n, 3], {}, 'float64'), setup });
        await expectSameTogether({ ...of, definition: network([6, 40, 2]), setup: { ...setup, batch_size: n } });
      }
    },
  );

  it.each(Object.keys(optimizers) as (keyof typeof optimizers)[])('with the optimizer %s', async (optimizer) => {
    await expectSameTogether({
      definition: network([5, 40, 33, 3]),
      setup: { optimizer, batch_size: 32, arithmetic: 'fused' },
      rows: 75,
    });
  });

  it.each([
    ['clipping by norm', { clip_gradients: { max_norm: 0.05 } }, {}],
    ['clipping by value', { clip_gradients: { max_value: 0.01 } }, {}],
    ['dropout', {}, { dropout: 0.4 }],
    ['l1 and l2', {}, { l1: 0.01, l2: 0.02 }],
    ['no biases', {}, { use_bias: false }],
    ['an activation over the row', {}, { activation: 'softmax' as const }],
    ['batch normalization', {}, { batch_norm: true }],
    ['layer normalization', {}, { layer_norm: true }],
    ['all of it, over batches', { clip_gradients: { max_norm: 0.5 } }, { dropout: 0.2, l1: 0.01, batch_norm: true }],
    ['all of it, over layers', { clip_gradients: { max_norm: 0.5 } }, { dropout: 0.2, l2: 0.01, layer_norm: true }],
  ] as const)('with %s', async (_name, setup, more) => {
    for (const precision of ['float32', 'float64'] as const) {
      await expectSameTogether({
        definition: network([7, 37, 70, 3], more, precision),
        setup: { optimizer: 'adam', batch_size: 45, ...setup },
        rows: 97,
        weighted: true,
      });
    }
  });
});

const clipped: Case = {
  definition: network([5, 40, 33, 3], { dropout: 0.1 }),
  setup: { optimizer: 'adam', batch_size: 32, clip_gradients: { max_norm: 0.1 } },
  rows: 75,
};

describe('a thread that is lost within a step', () => {
  it.each([1, 2, 3, 4, 5, 8])('costs the block its help, not a bit: at its %d. piece', async (lost_in) => {
    const shown = trainAlone(clipped);
    for (const members of [1, 2]) {
      expect(await trainTogether(clipped, { members, service: { lost_in } })).toEqual({ threads: 1, shown });
    }
  });
});

describe('a long step', () => {
  it.each([1, 2, 3, 5, 7, 8])('is taken back when a stop is asked for at its %d. piece', async (stop_in) => {
    const { block, data } = prepare(clipped);
    const control = new Int32Array(new SharedArrayBuffer(4));
    const together = { members: 1, service: { stop_in, control }, piece_operations: 1e5 };
    const { backend, dismiss } = lead(clipped, together);
    const before = backend.state();
    expect(backend.train({ ...block, control })).toEqual({
      steps_done: 0,
      losses: new Float32Array(0),
      divergence: null,
    });
    expect(backend.state()).toEqual(before);
    await dismiss();
    expect(fingerprint(backend, backend.train(block), data)).toEqual(trainAlone(clipped));
  });

  it('is not begun when a stop has been asked for', () => {
    const { compiled, block } = prepare({ ...clipped, options: { tiny_after_steps: Infinity, piece_operations: 1e5 } });
    expect(compiled().train({ ...block, control: new Int32Array([1]) }).steps_done).toBe(0);
  });

  it.each([1, MEMBERS])(
    'of one piece is not begun when a stop has been asked for, with %d to help',
    async (members) => {
      const { backend, dismiss } = lead(clipped, { members });
      const { block, data } = prepare(clipped);
      expect(backend.train({ ...block, control: new Int32Array([1]) }).steps_done).toBe(0);
      expect(fingerprint(backend, backend.train(block), data)).toEqual(trainAlone(clipped));
      await dismiss();
    },
  );
});

describe('a prediction or evaluation that several threads carry out', () => {
  const answersOf = (backend: ReturnType<typeof lead>['backend'], { data }: ReturnType<typeof prepare>) => ({
    outputs: backend.predict(data.inputs, data.rows),
    loss: backend.evaluate(data),
  });
  const aloneAt = (of: Case) => {
    const prepared = prepare({ ...of, options: { ...of.options, tiny_after_steps: Infinity } });
    return answersOf(prepared.compiled(), prepared);
  };
  const of = { ...clipped, rows: 1000 };

  it.each([1, MEMBERS])('gives the bits of one thread, with %d to help', async (members) => {
    const { backend, given, dismiss } = lead(of, { members });
    const alone = aloneAt(of);
    expect(answersOf(backend, prepare(of))).toEqual(alone);
    // All rows at once, first predicted, then evaluated.
    expect(given()).toEqual(Array.from({ length: members }, () => 2));
    await dismiss();
    expect(answersOf(backend, prepare(of))).toEqual(alone);
    expect(given()).toEqual(Array.from({ length: members }, () => 2));
  });

  it.each([
    ['more rows than a chunk holds', network([150, 20, 2]), 4000, 3],
    ['batch normalization', network([5, 33, 3], { batch_norm: true }), 700, 1],
    ['layer normalization', network([5, 33, 3], { layer_norm: true }), 700, 1],
    ['an activation over the row', network([5, 33, 3], { activation: 'softmax' }), 700, 1],
    ['numbers of 64 bits', network([7, 33, 5], {}, 'float64'), 700, 1],
    [
      'labels',
      {
        ...network([6, 20, 4]),
        layers: [{ units: 20 }, { units: 4, activation: 'softmax' }],
        loss: 'sparse_categorical_cross_entropy',
      } as const,
      700,
      1,
    ],
  ])('gives them with %s', async (_name, definition, rows, chunks) => {
    const of: Case = { definition, setup: { optimizer: 'sgd', arithmetic: 'fused' }, rows, weighted: true };
    const { backend, given, dismiss } = lead(of, { members: MEMBERS });
    expect(answersOf(backend, prepare(of))).toEqual(aloneAt(of));
    expect(given()).toEqual([2 * chunks, 2 * chunks]);
    await dismiss();
  });

  it('gives them with any number of rows, more than a piece in each thread or none', async () => {
    const of: Case = { definition: network([9, 10, 11]), setup: { optimizer: 'sgd', arithmetic: 'fused' }, rows: 600 };
    const { inputs } = prepare(of).data;
    const alone = prepare({ ...of, options: { tiny_after_steps: Infinity } }).compiled();
    const { backend, dismiss } = lead(of, { members: MEMBERS });
    for (const rows of [1, 2, 11, 12, 13, 23, 25, 63, 64, 65, 191, 192, 193, 215, 217, 383, 577, 600]) {
      const some = inputs.subarray(0, rows * 9);
      expect(backend.predict(some, rows), `${rows} rows`).toEqual(alone.predict(some, rows));
    }
    await dismiss();
  });

  it.each([0, 499, 999])('is that of the reference where row %d overflows, whoever has it', async (row) => {
    const { data, reference } = prepare(of);
    const inputs = data.inputs.slice();
    inputs.fill(3e38, row * 5, row * 5 + 5);
    const { backend, dismiss } = lead(of, { members: 1 });
    expect(backend.predict(inputs, 1000)).toEqual(reference().predict(inputs, 1000));
    // The next one is not taken for it.
    expect(answersOf(backend, prepare(of))).toEqual(aloneAt(of));
    await dismiss();
  });

  it.each([1, 2])('is computed again by one thread where another is lost: at its %d. piece', async (lost_in) => {
    const { backend, given, dismiss } = lead(of, { members: 1, service: { lost_in } });
    const [{ data }, alone] = [prepare(of), aloneAt(of)];
    // What it says to have done before, it has not.
    if (lost_in === 1) expect(backend.predict(data.inputs, 1000)).toEqual(alone.outputs);
    else backend.predict(data.inputs, 1000);
    expect(backend.evaluate(data)).toBe(alone.loss);
    expect(backend.predict(data.inputs, 1000)).toEqual(alone.outputs);
    expect(given()).toEqual([lost_in]);
    await dismiss();
  });
});

describe('the rows and columns of a step', () => {
  it('are divided without gap or overlap, rows at whole tiles only', () => {
    for (const [first, end] of [1, 5, 12, 13, 64, 127, 128, 1000].flatMap((rows) => [
      [0, rows],
      [24, 24 + rows],
    ])) {
      for (const parts of [1, 2, 3, 7]) {
        const spans = Array.from({ length: parts }, (_, part) => partOf('rows', { first, end }, part, parts, 12));
        expect(spans[0].first).toBe(first);
        expect(spans[parts - 1].end).toBe(end);
        for (const [i, span] of spans.slice(1).entries()) {
          expect(span.first).toBe(spans[i].end);
          expect(span.first === end || span.first % 12 === 0).toBe(true);
        }
      }
    }
  });
});
