import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { NetworkDefinition } from '../../../src/engine/definition.ts';
import { optimizers } from '../../../src/engine/optimizers.ts';
import { argumentsOf } from '../../../src/engine/wasm/phases.ts';
import {
  disband,
  leaderCell,
  memberCell,
  memberStates,
  type TeamWork,
  waitForSignal,
} from '../../../src/engine/wasm/team-cells.ts';
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

/** What the run shows when `members` threads help from the first step to the last. */
async function trainTogether(of: Case, members: number, lost_in?: number) {
  let offered: TeamWork | undefined;
  const team = {
    members: Math.max(1, members),
    least_operations: 0,
    offer: (work: TeamWork) => {
      offered = work;
    },
  };
  const { compiled, block, data } = prepare({ ...of, options: { ...of.options, tiny_after_steps: Infinity, team } });
  const backend = compiled();
  const work = offered as unknown as TeamWork;
  for (let member = 0; member < members; member++)
    threads[member].postMessage({ work, member, lost_in } satisfies Service);
  waitForMembers(work, members);
  const left = threads.slice(0, members).map((thread) => once(thread, 'message'));
  const result = backend.train(block);
  disband(work.cells);
  await Promise.all(left);
  return { threads: backend.threads, shown: fingerprint(backend, result, data) };
}

/** Trains alone on private memory, and with 0, 1 and 2 members; all must show the same bits. */
async function expectSameTogether(of: Case): Promise<void> {
  const { compiled, block, data } = prepare({ ...of, options: { ...of.options, tiny_after_steps: Infinity } });
  const alone = compiled();
  const want = fingerprint(alone, alone.train(block), data);
  for (let members = 0; members <= MEMBERS; members++) {
    expect(await trainTogether(of, members), `${members} members`).toEqual({ threads: members + 1, shown: want });
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

describe('a thread that is lost within a step', () => {
  it.each([1, 2, 3, 4, 5, 8])('costs the block its help, not a bit: at its %d. phase', async (lost_in) => {
    const of: Case = {
      definition: network([5, 40, 33, 3]),
      setup: { optimizer: 'adam', batch_size: 32, clip_gradients: { max_norm: 0.1 } },
      rows: 75,
    };
    const { compiled, block, data } = prepare({ ...of, options: { tiny_after_steps: Infinity } });
    const alone = compiled();
    const want = fingerprint(alone, alone.train(block), data);
    for (const members of [1, 2]) {
      expect(await trainTogether(of, members, lost_in)).toEqual({ threads: 1, shown: want });
    }
  });
});

describe('the rows and columns of a step', () => {
  it('are divided without gap or overlap, rows at whole tiles only', () => {
    for (const rows of [1, 5, 12, 13, 64, 127, 128, 1000]) {
      for (const parts of [1, 2, 3, 7]) {
        const shares = Array.from({ length: parts }, (_, part) =>
          argumentsOf('rows', { part, parts, rows, granule: 12 }),
        );
        expect(shares[0][0]).toBe(0);
        expect(shares[parts - 1][1]).toBe(rows);
        for (const [i, [first]] of shares.slice(1).entries()) {
          expect(first).toBe(shares[i][1]);
          expect(first === rows || first % 12 === 0).toBe(true);
        }
      }
    }
  });
});
