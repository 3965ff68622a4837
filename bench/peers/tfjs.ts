/** TensorFlow.js; `wasm` or `cpu` as the first argument. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { type Steps, serve } from '../peer.ts';
import { dataOf, LEARNING_RATE, type Workload } from '../workloads.ts';

// The packages are not part of the service's installation, so their types are not there either.
const require = createRequire(new URL('../package.json', import.meta.url));
const tf = require('@tensorflow/tfjs');
const backend = process.argv[2] ?? 'wasm';
if (backend === 'wasm') require('@tensorflow/tfjs-backend-wasm');
await tf.setBackend(backend);
await tf.ready();
const { version } = JSON.parse(readFileSync(require.resolve('@tensorflow/tfjs/package.json'), 'utf8'));

type Tensor = Record<string, (...args: unknown[]) => Tensor>;

function prepare(workload: Workload): Steps {
  const { sizes, hidden, output, loss, optimizer, batch } = workload;
  const { rows, width, units, inputs, targets } = dataOf(workload);
  const [x, y]: Tensor[] = [tf.tensor2d(inputs, [rows, width]), tf.tensor2d(targets, [rows, units])];
  const layers = sizes.slice(1).map((size, i) => ({
    weights: tf.variable(tf.randomUniform([sizes[i], size], -0.1, 0.1, 'float32', 1)),
    biases: tf.variable(tf.zeros([size])),
  }));
  const step = tf.train[optimizer](LEARNING_RATE);
  const logits = (batchInputs: Tensor) =>
    layers.reduce((a, { weights, biases }, i) => {
      const z = a.matMul(weights).add(biases);
      return i < layers.length - 1 ? z[hidden]() : z;
    }, batchInputs);
  const lossOf = (z: Tensor, target: Tensor): Tensor => {
    if (output === 'softmax') return tf.losses.softmaxCrossEntropy(target, z);
    return loss === 'binary_cross_entropy'
      ? tf.losses.sigmoidCrossEntropy(target, z)
      : tf.losses.meanSquaredError(target, z.sigmoid());
  };
  if (workload.task === 'predict') {
    const rowsOfBatch = tf.tensor2d(inputs.slice(0, batch * width), [batch, width]);
    return (count) => {
      for (let i = 0; i < count; i++) tf.tidy(() => tf.softmax(logits(rowsOfBatch)).dataSync());
    };
  }
  let at = 0;
  return async (count) => {
    let last: { dataSync(): Float32Array } | null = null;
    for (let i = 0; i < count; i++, at = (at + batch) % rows) {
      const order = tf.tensor1d(
        Int32Array.from({ length: batch }, (_, row) => at + row),
        'int32',
      );
      last = tf.tidy(() => step.minimize(() => lossOf(logits(x.gather(order)), y.gather(order)), true));
      if (i < count - 1) (last as unknown as { dispose(): void }).dispose();
      order.dispose();
    }
    last?.dataSync();
  };
}

await serve(prepare, () => `${version}`);
