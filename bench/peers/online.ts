/** brain.js and synaptic learn sample by sample, all layers sigmoid: a step is as many samples as a batch has. */
import { createRequire } from 'node:module';
import { type Steps, serve } from '../peer.ts';
import { dataOf, LEARNING_RATE, type Workload } from '../workloads.ts';

const require = createRequire(new URL('../package.json', import.meta.url));

/** Weights beyond which these libraries take seconds per step. */
const MAX_WEIGHTS = 200_000;

function samplesOf(workload: Workload) {
  const { rows, width, units, inputs, targets } = dataOf(workload);
  return Array.from({ length: rows }, (_, row) => ({
    input: inputs.slice(row * width, (row + 1) * width),
    output: targets.slice(row * units, (row + 1) * units),
  }));
}

function brain({ sizes }: Workload): (sample: { input: Float32Array; output: Float32Array }) => void {
  const { NeuralNetwork } = require('brain.js');
  const net = new NeuralNetwork({
    hiddenLayers: sizes.slice(1, -1),
    activation: 'sigmoid',
    learningRate: LEARNING_RATE,
  });
  net.sizes = [...sizes];
  net.initialize();
  net.trainOpts = { ...net.trainOpts, learningRate: LEARNING_RATE, momentum: 0 };
  return ({ input, output }) => net.trainPattern({ input, output });
}

function synaptic({ sizes }: Workload): (sample: { input: Float32Array; output: Float32Array }) => void {
  const { Architect } = require('synaptic');
  const net = new Architect.Perceptron(...sizes);
  return ({ input, output }) => {
    net.activate(input);
    net.propagate(LEARNING_RATE, output);
  };
}

function prepare(workload: Workload): Steps | null {
  if (workload.task === 'predict') return null;
  const weights = workload.sizes.slice(1).reduce((sum, units, i) => sum + units * workload.sizes[i], 0);
  const which = process.argv[2] === 'synaptic' ? synaptic : brain;
  if (weights > (which === synaptic ? MAX_WEIGHTS / 20 : MAX_WEIGHTS)) return null;
  const samples = samplesOf(workload);
  const learn = which(workload);
  let at = 0;
  return (count) => {
    for (let i = 0; i < count * workload.batch; i++, at = (at + 1) % samples.length) learn(samples[at]);
  };
}

await serve(prepare, () => 'online');
