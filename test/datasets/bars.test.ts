import { describe, expect, it } from 'vitest';
import { type GoldenDataset, goldenDatasets, readGolden, runBar, runReplay } from '../../scripts/dataset-bars.ts';
import { encodeCheckpoint } from '../../src/training/checkpoint.ts';
import { diagnose } from '../../src/training/post-mortem/diagnose.ts';

const each = goldenDatasets.map((dataset) => [dataset.name, dataset] as const);

function verdictOf({ request, checkpoint, warnings }: ReturnType<typeof runBar>): string {
  const codes = warnings.map(({ code }) => code);
  const text = diagnose({
    job_id: 'job_x',
    request,
    failure: null,
    end: encodeCheckpoint(checkpoint),
    replay: null,
    good: null,
    warnings: codes,
    suspicious: codes,
    trial_steps: 1,
    trial_work: 1,
  });
  return (JSON.parse(text) as { verdict: string }).verdict;
}

describe.each(each)('%s', (_name, dataset: GoldenDataset) => {
  const data = readGolden(dataset);

  it.each(dataset.bars.map((bar) => [`${bar.config.hidden} ${bar.config.act} ${bar.config.opt}`, bar] as const))(
    'is learned as well as by scikit-learn and PyTorch, without a false alarm: %s',
    (_config, bar) => {
      const runs = Array.from({ length: 10 }, (_, seed) => runBar(dataset, bar, data, seed));
      const values = runs.map(({ value }) => value);
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
      expect(mean).toBeGreaterThanOrEqual(bar.accept.mean_of_10_seeds_at_least);
      expect(Math.min(...values)).toBeGreaterThanOrEqual(bar.accept.every_seed_at_least);
      // Three columns of the digits are 0 in every training row; besides that there is nothing to warn of.
      const told = runs.flatMap(({ warnings }) => warnings.map(({ level, code }) => `${level} ${code}`));
      expect([...new Set(told)]).toEqual(dataset.name === 'digits' ? ['info constant_features'] : []);
      expect([...new Set(runs.map(verdictOf))]).toEqual(['healthy']);
    },
  );

  it('replays the exact run of the reference to 1e-8', () => {
    const { epoch_losses, logits, metric } = runReplay(dataset, data);
    const { epoch_loss_mean_over_batches, test_logits_first_5, test_metric } = dataset.replay;
    const expected = [...epoch_loss_mean_over_batches, ...test_logits_first_5.flat()];
    // The tolerance is the reference's own, relative: it covers another order of summation, not another formula.
    const deviations = [...epoch_losses, ...logits].map((x, i) => Math.abs(x - expected[i]) / Math.abs(expected[i]));
    expect(deviations.length).toBe(expected.length);
    expect(Math.max(...deviations)).toBeLessThanOrEqual(1e-8);
    const wanted = test_metric.accuracy ?? test_metric.r2 ?? Number.NaN;
    expect(Math.abs(metric - wanted)).toBeLessThanOrEqual(1e-8);
  });
});
