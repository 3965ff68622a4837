import { describe, expect, it } from 'vitest';
import type { Backend, TrainingBlock } from '../../../src/engine/backend.ts';
import { Batches } from '../../../src/engine/wasm/batches.ts';
import { Lookback, MAX_BLOCKS } from '../../../src/engine/wasm/lookback.ts';
import type { Program, StepRange } from '../../../src/engine/wasm/program.ts';
import { fingerprint, prepare } from './compare.ts';

/** A program whose state is one number: a step multiplies it by the learning rate and adds the row. */
class Sum implements Program {
  readonly isLarge = false;
  readonly abandons: boolean;
  readonly stateNumbers = 1000;
  value = 1;
  saves = 0;
  #saved = Number.NaN;

  constructor(abandons: boolean) {
    this.abandons = abandons;
  }

  run({ block, batches, first, end }: StepRange): number {
    for (let i = first; i < end; i++) this.value = this.value * block.learning_rates[i] + batches.rowsOf(i)[0];
    return end - first;
  }

  save(): void {
    this.#saved = this.value;
    this.saves += 1;
  }

  rollBack(): void {
    this.value = this.#saved;
  }

  finite = () => true;
  state = () => ({}) as never;
  peek = () => ({}) as never;
  restore = () => {};
}

/** Trains blocks of two steps each, in arrays that are used again; returns the value before each. */
function train(program: Sum, lookback: Lookback, blocks: number, rows = 2): number[] {
  const block: TrainingBlock = {
    order: new Uint32Array(rows),
    epoch_rows: rows,
    first_step: 1,
    learning_rates: new Float64Array(rows),
    control: Int32Array.of(0),
  };
  return Array.from({ length: blocks }, (_, number) => {
    const before = program.value;
    block.order.set([number + 3, number + 7]);
    block.learning_rates.set([0.5, number / 8]);
    const range = { block, batches: new Batches(block, 1), first: 0, end: 2 };
    lookback.prepare(block);
    program.run(range);
    lookback.keep(range);
    return before;
  });
}

describe('the way back', () => {
  it('copies the state once in so many blocks', () => {
    const program = new Sum(false);
    train(program, new Lookback(program, 1), 2 * MAX_BLOCKS + 1);
    expect(program.saves).toBe(3);
  });

  it('leads to the state before the last block, though its rows and rates are gone', () => {
    const program = new Sum(false);
    const lookback = new Lookback(program, 1);
    train(program, lookback, 11);
    const good = program.value;
    const next: TrainingBlock = {
      order: Uint32Array.of(1),
      epoch_rows: 1,
      first_step: 23,
      learning_rates: Float64Array.of(9),
    };
    lookback.prepare(next);
    program.run({ block: next, batches: new Batches(next, 1), first: 0, end: 1 });
    expect(program.value).not.toBe(good);
    lookback.goBack();
    expect(program.value).toBe(good);
    expect(program.saves).toBe(1);
  });

  it.each([
    ['a step that can be abandoned', true, 2],
    ['blocks that take more room than the state', false, 500],
  ])('is one copy long for %s', (_name, abandons, rows) => {
    const program = new Sum(abandons);
    train(program, new Lookback(program, 1), 5, rows);
    expect(program.saves).toBe(5);
  });

  it('does them without other threads and without a look at who asks for a stop: nobody may lose them again', () => {
    const program = new Sum(false);
    const lookback = new Lookback(program, 1);
    train(program, lookback, 3);
    const ranges: StepRange[] = [];
    program.run = (range) => ranges.push(range);
    lookback.goBack();
    expect(ranges.map(({ alone, block }) => [alone, block.control])).toEqual(Array(3).fill([true, undefined]));
  });

  it('starts anew when the state was changed from outside', () => {
    const program = new Sum(false);
    const lookback = new Lookback(program, 1);
    train(program, lookback, 2);
    lookback.forget();
    train(program, lookback, 1);
    expect(program.saves).toBe(2);
  });
});

describe('a compiled network that diverges many blocks after its state was copied', () => {
  const learning_rate = 0.5;
  const rows = 8;
  const definition = {
    input_size: 6,
    layers: [{ units: 40, activation: 'linear' }, { units: 40, activation: 'linear' }, { units: 2 }],
    loss: 'mean_squared_error',
  } as const;

  /** Blocks of one step, up to the divergence. */
  function trainToTheEnd(backend: Backend, order: Uint32Array) {
    for (let step = 1; step < 100; step++) {
      const learning_rates = Float64Array.of(learning_rate * step);
      const result = backend.train({ order, epoch_rows: rows, first_step: step, learning_rates });
      if (result.divergence !== null) return { step, result };
    }
    throw new Error('it does not diverge');
  }

  it('ends at the step, the place and the bits that the reference ends with', () => {
    const { data, reference, compiled } = prepare({
      definition: { ...definition, layers: definition.layers.map((layer) => ({ activation: 'linear', ...layer })) },
      setup: { optimizer: { name: 'sgd', momentum: 0.9 } },
      rows,
    });
    const order = Uint32Array.from({ length: rows }, (_, i) => i);
    const [plain, fast] = [reference(), compiled()];
    const [want, got] = [trainToTheEnd(plain, order), trainToTheEnd(fast, order)];
    expect(want.step).toBeGreaterThan(3);
    expect(want.step % MAX_BLOCKS).not.toBe(1);
    expect(got.step).toBe(want.step);
    expect(got.result).toEqual(want.result);
    const parameters = fast.state().parameters;
    expect(parameters.every(Number.isFinite)).toBe(true);
    expect(fingerprint(fast, got.result, data)).toMatchObject({ losses: fingerprint(plain, want.result, data).losses });
  });
});
