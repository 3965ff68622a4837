/**
 * What the statistics of the layers and the early warnings cost: trains the benchmarks' workloads with and without them
 * in turns and prints the ratio of the median times, and how many steps were looked at on how many rows.
 *
 *     node scripts/statistics-cost.ts [seconds of training per run] [rounds] [workload …]
 */
import { dataOf, LEARNING_RATE, type Workload, workloads } from '../bench/workloads.ts';
import { plan } from '../src/engine/plan.ts';
import type { RunRequest } from '../src/training/request.ts';
import { Run } from '../src/training/run.ts';
import { samplingSchedule } from '../src/training/sampled-steps.ts';

const [secondsGiven, roundsGiven, ...named] = process.argv.slice(2);
const seconds = Number(secondsGiven ?? 2);
const rounds = Number(roundsGiven ?? 5);
const measured = named.length > 0 ? named : ['W0', 'W2', 'W3', 'W5'];

/** As many steps as a session gives a quick network between two looks at the clock. */
const blockSteps = 20_000;

function requestOf(workload: Workload, epochs: number, statistics: boolean): RunRequest {
  const { sizes, hidden, output, loss, optimizer, batch } = workload;
  const { rows, inputs, targets } = dataOf(workload);
  const layers = sizes.slice(1).map((units, i) => ({ units, activation: i === sizes.length - 2 ? output : hidden }));
  return {
    network: { input_size: sizes[0], layers, loss },
    data: { rows, inputs, targets },
    epochs,
    batch_size: batch,
    shuffle: true,
    seed: 1,
    optimizer: { name: optimizer, learning_rate: LEARNING_RATE },
    learning_rate_schedule: [],
    metrics: [],
    arithmetic: 'fused',
    statistics,
  };
}

/** Seconds of processor time from the first step to the last: what others do on the machine does not count. */
function trainingTime(request: RunRequest): number {
  const run = new Run(request, null);
  const before = process.cpuUsage();
  while (run.end === null) run.advance(blockSteps);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

for (const workload of workloads.filter(({ name }) => measured.includes(name))) {
  const stepsPerEpoch = 10;
  let epochs = 10;
  while (trainingTime(requestOf(workload, epochs, false)) < seconds / 4) epochs *= 2;
  epochs *= 4;
  const times = { with: [] as number[], without: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? [false, true] : [true, false];
    for (const statistics of order) {
      times[statistics ? 'with' : 'without'].push(trainingTime(requestOf(workload, epochs, statistics)));
    }
  }
  const { network, optimizer, batch_size } = requestOf(workload, epochs, true);
  const steps = epochs * stepsPerEpoch;
  const schedule = samplingSchedule({ plan: plan(network), optimizer, batch_size, steps });
  const ratio = median(times.with) / median(times.without);
  const step = (1e6 * median(times.without)) / steps;
  console.log(
    `${workload.name}: ${steps} steps of ${step.toFixed(2)} us, ${schedule.steps.length} frames of ${schedule.rows} rows, with / without = ${ratio.toFixed(3)}`,
  );
}
