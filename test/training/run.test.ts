import { describe, expect, test } from 'vitest';
import type { Backend, BlockResult, TrainingBlock } from '../../src/engine/backend.ts';
import { createBackend } from '../../src/engine/backends.ts';
import { optimizers } from '../../src/engine/optimizers.ts';
import { createReferenceBackend } from '../../src/engine/reference/backend.ts';
import { decodeCheckpoint, encodeCheckpoint, modelOf } from '../../src/training/checkpoint.ts';
import { epochPoints } from '../../src/training/epoch-points.ts';
import type { DivergedError, EpochPoint, RunNote, RunRequest } from '../../src/training/request.ts';
import { type CreateBackend, Run } from '../../src/training/run.ts';
import { namesOf } from '../../src/training/states.ts';
import { smallRequest, xorRows } from './fixtures/requests.ts';

interface History {
  readonly losses: number[];
  readonly rates: number[];
  readonly epochs: EpochPoint[];
  readonly notes: RunNote[];
}

/** Trains until the run ends or `until` steps are done; `budgets` are the sizes of the blocks, over and over. */
function train(run: Run, budgets: readonly number[] = [1000], until = Number.POSITIVE_INFINITY): History {
  const history: History = { losses: [], rates: [], epochs: [], notes: [] };
  for (let i = 0; run.end === null && run.cursor.step < until; i++) {
    const { steps, epochs, notes } = run.advance(Math.min(budgets[i % budgets.length], until - run.cursor.step));
    history.losses.push(...steps.losses);
    history.rates.push(
      ...Array.from(steps.losses, (_, j) => steps.learning_rates.at(j) ?? (steps.learning_rates[0] as number)),
    );
    history.epochs.push(...epochPoints(epochs));
    history.notes.push(...notes);
  }
  return history;
}

function joinHistories(a: History, b: History): History {
  return {
    losses: [...a.losses, ...b.losses],
    rates: [...a.rates, ...b.rates],
    epochs: [...a.epochs, ...b.epochs],
    notes: [...a.notes, ...b.notes],
  };
}

const onReference: CreateBackend = (plan, setup, data, initial) => ({
  backend: createReferenceBackend(plan, setup, data, initial),
  reason: 'the test asks for it',
});

const bytesOf = (run: Run) => Buffer.from(encodeCheckpoint(run.checkpoint()));

function trained(request: RunRequest, budgets?: readonly number[], create?: CreateBackend) {
  const run = new Run(request, null, create);
  const history = train(run, budgets);
  return { run, history, bytes: bytesOf(run) };
}

/** Everything that a run remembers, in one request. */
const watchful: Partial<RunRequest> = {
  validation: { fraction: 0.2 },
  metrics: ['accuracy'],
  early_stopping: { monitor: 'validation_loss', patience: 50, min_delta: 0, restore_best: true },
  learning_rate_schedule: [
    { name: 'cosine', t_max: 9 },
    { name: 'reduce_on_plateau', patience: 0, threshold: 0.5, factor: 0.5, unit: 'epoch' },
  ],
};

/** Wraps the back end, so that a test can see or change what the run asks of it. */
function spyOnTrain(train: (block: TrainingBlock, backend: Backend) => BlockResult): CreateBackend {
  return (plan, setup, data, initial) => {
    const backend = createReferenceBackend(plan, setup, data, initial);
    return { backend: { ...bound(backend), train: (block) => train(block, backend) }, reason: 'the test watches it' };
  };
}

function bound(backend: Backend): Backend {
  const { name, fused, plan, threads } = backend;
  return {
    name,
    fused,
    plan,
    threads,
    train: (block) => backend.train(block),
    predict: (inputs, rows) => backend.predict(inputs, rows),
    evaluate: (data) => backend.evaluate(data),
    state: () => backend.state(),
    peek: () => backend.peek(),
    restore: (state) => backend.restore(state),
  };
}

describe('a run', () => {
  test('trains every epoch, reports every step, and the loss falls', () => {
    const { run, history } = trained(smallRequest({ epochs: 60 }));
    expect(run.end).toEqual({ stop_reason: 'completed' });
    expect(run.cursor).toMatchObject({ epoch: 60, epochs: 60, step: 180, steps: 180 });
    expect(history.losses).toHaveLength(180);
    expect(history.epochs.map(({ epoch }) => epoch)).toEqual(Array.from({ length: 60 }, (_, i) => i + 1));
    expect(history.epochs[59].values.loss).toBeLessThan(history.epochs[0].values.loss);
  });

  test('the loss of an epoch is the mean over its samples of the batch losses, a short batch weighing less', () => {
    const { history } = trained(smallRequest({ epochs: 1 }));
    const [a, b, c] = history.losses;
    expect(history.epochs[0].values.loss).toBe((a * 4 + b * 4 + c * 2) / 10);
  });

  test('counts samples through short batches', () => {
    const run = new Run(smallRequest(), null);
    expect([0, 1, 2, 3, 4].map((step) => run.samplesAt(step))).toEqual([0, 4, 8, 10, 14]);
  });

  test('with shuffle every epoch visits every row once, in its own order; without, the order of the data', () => {
    const visited = (shuffle: boolean) => {
      const orders: number[][] = [];
      const spy = spyOnTrain((block, backend) => {
        orders.push([...block.order]);
        return backend.train(block);
      });
      train(new Run(smallRequest({ shuffle }), null, spy), [3]);
      return orders;
    };
    const inOrder = Array.from({ length: 10 }, (_, row) => row);
    const shuffled = visited(true);
    for (const order of shuffled) expect(order.toSorted((a, b) => a - b)).toEqual(inOrder);
    expect(new Set(shuffled.map(String)).size).toBe(4);
    expect(visited(false)).toEqual([inOrder, inOrder, inOrder, inOrder]);
  });

  test('several epochs go to the back end at once only when nothing is decided between them', () => {
    const blocksOf = (changes: Partial<RunRequest>) => {
      const blocks: number[] = [];
      const spy = spyOnTrain((block, backend) => {
        blocks.push(block.order.length);
        return backend.train(block);
      });
      train(new Run(smallRequest(changes), null, spy));
      return blocks;
    };
    expect(blocksOf({})).toEqual([40]);
    expect(blocksOf({ checkpoint: { every_epochs: 3 } })).toEqual([30, 10]);
    for (const changes of [
      { validation: { data: xorRows(4) } },
      { metrics: ['accuracy'] },
      { target: { monitor: 'loss', value: 0 } },
      { learning_rate_schedule: ['reduce_on_plateau'] },
      { early_stopping: { monitor: 'loss', patience: 9, min_delta: 0, restore_best: false } },
    ] satisfies Partial<RunRequest>[]) {
      expect(blocksOf(changes), JSON.stringify(changes)).toEqual([10, 10, 10, 10]);
    }
  });

  test('a step that the back end takes back is trained the next time: the same bytes and the same history', () => {
    const request = smallRequest({ ...watchful, epochs: 3 });
    let calls = 0;
    const hesitant = spyOnTrain((block, backend) => {
      calls += 1;
      const nothing = { steps_done: 0, losses: new Float64Array(0), divergence: null };
      return calls % 3 === 0 ? backend.train(block) : nothing;
    });
    const { history, bytes } = trained(request, [2], hesitant);
    const straight = trained(request, [2], onReference);
    expect(history).toEqual(straight.history);
    expect(bytes.equals(straight.bytes)).toBe(true);
  });

  test('the control array ends a block before a step that has to be looked at, which is looked at later', () => {
    const request = smallRequest({ statistics: true, epochs: 20 });
    const framesOf = (control: Int32Array | undefined) => {
      const run = new Run(request, null);
      const [frames, losses]: [unknown[], number[]] = [[], []];
      let broken = 0;
      while (run.end === null) {
        if (control !== undefined) control[0] = 1 - control[0];
        const before = run.cursor.step;
        const advance = run.advance(1000, control);
        if (run.cursor.step === before) broken += 1;
        frames.push(...advance.frames);
        losses.push(...advance.steps.losses);
      }
      return { frames, losses, broken, bytes: bytesOf(run) };
    };
    const [undisturbed, disturbed] = [framesOf(undefined), framesOf(new Int32Array(1))];
    expect(undisturbed.broken).toBe(0);
    expect(disturbed.broken).toBeGreaterThan(1);
    expect({ ...disturbed, broken: 0 }).toEqual(undisturbed);
    expect(undisturbed.frames.length).toBeGreaterThan(2);
  });

  test('the control array ends a block after the step under way', () => {
    const control = new Int32Array([1]);
    const run = new Run(smallRequest(), null);
    expect(run.advance(1000, control).steps.losses).toHaveLength(1);
    expect(run.cursor.step).toBe(1);
    control[0] = 0;
    train(run);
    expect(bytesOf(run).equals(trained(smallRequest()).bytes)).toBe(true);
  });
});

describe('determinism', () => {
  test.each([
    ['plain', {}],
    ['watchful', watchful],
  ] as const)('a %s run gives the same bytes however its steps are cut into blocks', (_name, changes) => {
    const whole = trained(smallRequest(changes));
    for (const budgets of [[1], [2], [3], [4], [7], [5, 1, 2]]) {
      const cut = trained(smallRequest(changes), budgets);
      expect(cut.history).toEqual(whole.history);
      expect(cut.bytes.equals(whole.bytes)).toBe(true);
    }
  });

  test('another seed gives other bytes', () => {
    expect(trained(smallRequest({ seed: 8 })).bytes.equals(trained(smallRequest()).bytes)).toBe(false);
  });
});

/**
 * Resumes at every step, each time in a new run from the file's bytes, and compares the rest with an undisturbed run;
 * on the back end that is chosen for the request and on the reference, whose bytes are the same in strict arithmetic.
 */
function expectResumable(request: RunRequest): void {
  const chosen = expectResumableOn(request, createBackend);
  const reference = expectResumableOn(request, onReference);
  if (request.arithmetic === 'strict') expect(chosen.equals(reference)).toBe(true);
}

function expectResumableOn(request: RunRequest, create: CreateBackend): Buffer {
  const whole = trained(request, [1000], create);
  for (let step = 0; step <= whole.run.cursor.step; step++) {
    const first = new Run(request, null, create);
    const before = train(first, [2], step);
    const second = new Run(request, decodeCheckpoint(bytesOf(first)), create);
    const history = joinHistories(before, train(second, [5]));
    expect(history, `history after a resume at step ${step}`).toEqual(whole.history);
    expect(second.end).toEqual(whole.run.end);
    expect(bytesOf(second).equals(whole.bytes), `bytes after a resume at step ${step}`).toBe(true);
  }
  return whole.bytes;
}

describe('a run resumed from its checkpoint at any step is bit-identical, history included', () => {
  const dropout: RunRequest['network'] = {
    input_size: 3,
    layers: [
      { units: 4, activation: 'relu', dropout: 0.4, batch_norm: true },
      { units: 1, activation: 'linear', l2: 0.01 },
    ],
    loss: 'mean_squared_error',
  };
  test.each(namesOf(optimizers))('%s, with and without dropout and shuffle, in both precisions', (optimizer) => {
    for (const shuffle of [false, true]) {
      expectResumable(smallRequest({ optimizer, shuffle }));
      expectResumable(smallRequest({ optimizer, shuffle, network: { ...dropout, precision: 'float32' } }));
      const plain = { ...smallRequest().network, precision: 'float32' as const };
      expectResumable(smallRequest({ optimizer, shuffle, network: plain, arithmetic: 'fused' }));
    }
  });

  test('with momentum, amsgrad, centered means and clipping', () => {
    expectResumable(smallRequest({ optimizer: { name: 'sgd', momentum: 0.9, nesterov: true } }));
    expectResumable(smallRequest({ optimizer: { name: 'adam', amsgrad: true }, clip_gradients: { max_norm: 0.01 } }));
    expectResumable(smallRequest({ optimizer: { name: 'rmsprop', centered: true, momentum: 0.5 } }));
  });

  test('with validation, metrics, early stopping, restored best, schedules and a plateau', () => {
    expectResumable(smallRequest(watchful));
  });

  test('when it ends early', () => {
    expectResumable(smallRequest({ target: { monitor: 'loss', value: 10 } }));
    const early_stopping = { monitor: 'loss', patience: 1, min_delta: 100, restore_best: true };
    expectResumable(smallRequest({ early_stopping }));
  });

  test('with a learning rate that was changed under way', () => {
    const changed = (until: number) => {
      const run = new Run(smallRequest(), null);
      train(run, [3], 5);
      run.changeLearningRate(0.3);
      return { run, history: train(run, [3], until) };
    };
    const whole = changed(12).run;
    const resumed = new Run(smallRequest(), decodeCheckpoint(bytesOf(changed(8).run)));
    expect(train(resumed).rates).toEqual([0.3, 0.3, 0.3, 0.3]);
    expect(bytesOf(resumed).equals(bytesOf(whole))).toBe(true);
  });

  test('with a change that is still to come, which a newer one does not overtake', () => {
    const run = new Run(smallRequest({ learning_rate_changes: [{ first_step: 5, learning_rate: 0.2 }] }), null);
    const early = train(run, [1], 2);
    expect(run.changeLearningRate(0.3)).toMatchObject({ step: 5, learning_rate: 0.3 });
    expect([...early.rates, ...train(run).rates].slice(3, 5)).toEqual([early.rates[0], 0.3]);
  });

  test('with scaled inputs and changes of the learning rate', () => {
    const learning_rate_changes = [{ first_step: 5, learning_rate: 0.2 }];
    expectResumable(smallRequest({ learning_rate_changes, scaling: { inputs: 'standardize' } }));
  });
});

describe('a checkpoint', () => {
  test('of another network, optimizer or arithmetic is refused', () => {
    const checkpoint = new Run(smallRequest(), null).checkpoint();
    const wider = { ...smallRequest().network, layers: [{ units: 1 }] };
    for (const changes of [
      { network: wider },
      { optimizer: 'sgd' },
      { arithmetic: 'fused' },
    ] satisfies Partial<RunRequest>[]) {
      expect(() => new Run(smallRequest(changes), checkpoint), JSON.stringify(changes)).toThrow(
        expect.objectContaining({ code: 'checkpoint_mismatch' }),
      );
    }
  });
});

describe('early stopping', () => {
  const stopping = { monitor: 'loss', patience: 3, min_delta: 0, restore_best: false };
  /** A run whose batch losses are these, one step an epoch. */
  function withLosses(losses: number[], changes: Partial<RunRequest>) {
    const spy = spyOnTrain((block, backend) => ({
      ...backend.train(block),
      losses: Float64Array.of(losses[block.first_step - 1]),
    }));
    return new Run(smallRequest({ epochs: losses.length, batch_size: 10, ...changes }), null, spy);
  }

  test('ends the run after so many epochs without an improvement', () => {
    const run = withLosses([5, 4, 4, 4.5, 4, 1, 1, 1], { early_stopping: stopping });
    train(run);
    expect(run.end).toEqual({ stop_reason: 'early_stopping' });
    expect(run.cursor.epoch).toBe(5);
    expect(run.best).toEqual({ monitor: 'loss', value: 4, epoch: 2, step: 2 });
  });

  test('counts only improvements that exceed min_delta', () => {
    const run = withLosses([5, 4.9, 4.8, 4.7, 4.6, 4.5], { early_stopping: { ...stopping, min_delta: 0.25 } });
    train(run);
    // 5 → 4.7 is the first change above 0.25, and it comes while two epochs have been waited for.
    expect(run.best).toMatchObject({ value: 4.7, epoch: 4 });
  });

  test('follows a metric upwards', () => {
    const run = new Run(
      smallRequest({
        epochs: 30,
        optimizer: { name: 'adam', learning_rate: 0.1 },
        metrics: ['accuracy'],
        early_stopping: { ...stopping, monitor: 'accuracy', patience: 30 },
      }),
      null,
    );
    const { epochs } = train(run);
    const accuracies = epochs.map(({ values }) => values.accuracy);
    expect(run.best!.value).toBe(Math.max(...accuracies));
    expect(accuracies[run.best!.epoch - 1]).toBe(run.best!.value);
  });

  test('restores the model of the best epoch, to the bit', () => {
    const losses = [5, 4, 3, 4, 4, 4];
    const run = withLosses(losses, { early_stopping: { ...stopping, restore_best: true } });
    train(run);
    const atBest = withLosses(losses, {});
    train(atBest, [1], 3);
    expect(run.result()).toMatchObject({ step: 3, epoch: 3 });
    expect(run.result().parameters_sha256).toBe(atBest.result().parameters_sha256);
    expect(run.result().parameters_sha256).not.toBe(
      trained(smallRequest({ epochs: 6, batch_size: 10 })).run.result().parameters_sha256,
    );
  });

  test('waits for patience also when no value has ever been finite', () => {
    const run = withLosses([Number.NaN, Number.NaN, Number.NaN, Number.NaN], { early_stopping: stopping });
    train(run);
    expect(run.end).toEqual({ stop_reason: 'early_stopping' });
    expect(run.best).toBeNull();
    expect(run.cursor.epoch).toBe(3);
  });

  test('a target ends the run at the first epoch that reaches it', () => {
    const run = withLosses([5, 4, 3, 2, 1], { target: { monitor: 'loss', value: 3 } });
    train(run);
    expect(run.end).toEqual({ stop_reason: 'target_reached' });
    expect(run.cursor.epoch).toBe(3);
  });

  test('a schedule in epochs moves between the epochs of one block', () => {
    const run = new Run(
      smallRequest({
        optimizer: { name: 'sgd', learning_rate: 1 },
        learning_rate_schedule: [{ name: 'exponential', gamma: 0.5, unit: 'epoch' }],
        epochs: 3,
      }),
      null,
    );
    expect(train(run).rates).toEqual([1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25]);
  });

  test('a plateau halves the rate of the epochs after it', () => {
    const run = withLosses([5, 5, 5, 5, 5], {
      optimizer: { name: 'sgd', learning_rate: 1 },
      learning_rate_schedule: [{ name: 'reduce_on_plateau', patience: 1, factor: 0.5, monitor: 'loss', unit: 'epoch' }],
    });
    const { rates, notes } = train(run);
    expect(rates).toEqual([1, 1, 1, 0.5, 0.5]);
    expect(notes[0]).toEqual({ type: 'learning_rate_reduced', step: 3, epoch: 3, factor: 0.5 });
  });
});

describe('divergence', () => {
  const exploding = () =>
    smallRequest({
      network: { input_size: 3, layers: [{ units: 1, activation: 'linear' }], loss: 'mean_squared_error' },
      optimizer: { name: 'sgd', learning_rate: 1e12 },
      epochs: 20,
    });

  test('ends the run with where, which rows and what to do, and keeps the last good parameters', () => {
    const run = new Run(exploding(), null);
    const { losses, epochs, notes } = train(run, [2]);
    expect(run.end!.stop_reason).toBe('diverged');
    const { error } = run.end as { error: DivergedError };
    expect(error.step).toBe(run.cursor.step + 1);
    expect(error.epoch).toBe(Math.ceil(error.step / 3));
    expect(error.batch).toBe(((error.step - 1) % 3) + 1);
    expect(error.rows).toHaveLength(error.batch === 3 ? 2 : 4);
    expect(error.message).toMatch(
      /^At step \d+ \(epoch \d+, batch \d\) the .* became .*learning rate 1000000000000 is too high: try 100000000000/,
    );
    expect(epochs.at(-1)).toMatchObject({ epoch: error.epoch, step: error.step });
    expect(notes.at(-1)).toMatchObject({ type: 'diverged', message: error.message });
    expect(losses.length - run.cursor.step).toBe(error.quantity === 'loss' || error.quantity === 'gradient' ? 1 : 0);
    expect(run.result().parameters.every(Number.isFinite)).toBe(true);
  });

  test.each([
    ['compiled', createBackend, [1]],
    ['compiled, within a block', createBackend, [2, 50]],
    ['the reference', onReference, [2, 50]],
  ] as const)('leaves what a run that stopped at the last good step has: %s', (_name, create, budgets) => {
    const request = { ...exploding(), optimizer: { name: 'sgd', learning_rate: 1e12, momentum: 0.9 } } as const;
    const run = new Run(request, null, create);
    run.runtime_seconds = 5;
    train(run, budgets);
    expect(run.end!.stop_reason).toBe('diverged');
    expect(run.cursor.step).toBeGreaterThan(0);
    const upTo = new Run(request, null, create);
    upTo.runtime_seconds = 5;
    train(upTo, [1], run.cursor.step);
    expect(bytesOf(run).equals(bytesOf(upTo))).toBe(true);
  });

  test('is the same error after a resume from the step before it', () => {
    const run = new Run(exploding(), null);
    train(run);
    const again = new Run(exploding(), decodeCheckpoint(bytesOf(run)));
    train(again);
    expect(again.end).toEqual(run.end);
  });

  test('names unscaled inputs when the very first step overflows on them', () => {
    const { data } = exploding();
    const inputs = data.inputs.map(() => 1e200);
    const request = { ...exploding(), data: { ...data, inputs } };
    const run = new Run({ ...request, network: { ...request.network, precision: 'float64' } }, null);
    train(run);
    expect((run.end as { error: DivergedError }).error.likely_cause).toContain('"standardize": true');
  });

  test('names unscaled inputs when they put an ordinary rate of gradient descent above its stable bound', () => {
    const { data } = exploding();
    const inputs = data.inputs.map((_, index) => (index % 2 === 0 ? 3000 : -1500));
    const optimizer = { name: 'sgd', learning_rate: 0.5 } as const;
    const run = new Run({ ...exploding(), optimizer, data: { ...data, inputs } }, null);
    train(run);
    const { likely_cause } = (run.end as { error: DivergedError }).error;
    expect(likely_cause).toContain('reach 3000');
    expect(likely_cause).toContain('"standardize": true');
  });
});

test('the rows of a divergence and of validation are those of the request', () => {
  const run = new Run(smallRequest({ validation: { rows: [0, 5] }, batch_size: 2 }), null);
  expect(run.cursor.steps).toBe(4 * 4);
  expect(modelOf(run.checkpoint()).target_kind).toBe('indicators');
});
