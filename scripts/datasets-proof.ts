/**
 * Trains on iris, wine, breast_cancer, digits and diabetes with ten seeds each and holds the means to the bars that
 * scikit-learn and PyTorch set; replays their exact runs; demands that none of these runs is warned of anything.
 * Exits with 1 when a bar is missed.
 *
 *     node scripts/datasets-proof.ts
 */
import { goldenDatasets, readGolden, runBar, runReplay } from './dataset-bars.ts';

const seeds = Array.from({ length: 10 }, (_, seed) => seed);
/** Largest relative deviation from the reference that an exact replay may have. */
const replayTolerance = 1e-8;
let failed = false;

const verdict = (passed: boolean): string => {
  failed ||= !passed;
  return passed ? 'ok' : 'MISSED';
};

for (const dataset of goldenDatasets) {
  const data = readGolden(dataset);
  for (const bar of dataset.bars) {
    const started = performance.now();
    const runs = seeds.map((seed) => runBar(dataset, bar, data, seed));
    const values = runs.map(({ value }) => value);
    const alarms = runs.flatMap(({ warnings }) => warnings).filter(({ level }) => level !== 'info');
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const worst = Math.min(...values);
    const { mean_of_10_seeds_at_least: meanBar, every_seed_at_least: worstBar } = bar.accept;
    const { hidden, act, opt } = bar.config;
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    console.log(
      `${dataset.name.padEnd(14)} ${`[${hidden}] ${act} ${opt}`.padEnd(18)} ${bar.metric} mean ${mean.toFixed(4)} (bar ${meanBar}) worst ${worst.toFixed(4)} (bar ${worstBar}) warnings ${alarms.length} ${seconds} s ${verdict(mean >= meanBar && worst >= worstBar && alarms.length === 0)}`,
    );
  }
  const { epoch_losses, logits } = runReplay(dataset, data);
  const expected = [...dataset.replay.epoch_loss_mean_over_batches, ...dataset.replay.test_logits_first_5.flat()];
  const deviation = Math.max(
    ...[...epoch_losses, ...logits].map((x, i) => Math.abs(x - expected[i]) / Math.abs(expected[i])),
  );
  console.log(
    `${dataset.name.padEnd(14)} exact replay: largest relative deviation ${deviation.toExponential(1)} ${verdict(deviation <= replayTolerance)}`,
  );
}
process.exitCode = failed ? 1 : 0;
