/** The speed of multiply-adds on this machine: seconds for the operations of a step, with nothing else in it. */
import { setFlagsFromString } from 'node:v8';
import { PROBE_OPERATIONS, productProbe } from '../../src/engine/wasm/probe.ts';
import { tileFor } from '../../src/engine/wasm/product.ts';
import { prepareMachine } from '../../src/training/revectorize.ts';
import { serve } from '../peer.ts';
import { operationsPerStep } from '../workloads.ts';

const wide = process.argv[2] === '256';
const { revectorized } = prepareMachine();
// Else V8 would join the vectors of this tile too.
if (!wide) setFlagsFromString('--no-experimental-wasm-revectorize');
const probe = productProbe(wide ? { rows: 6, vectors: 4 } : tileFor(2, true), 'fused');

await serve((workload) => {
  if (wide && !revectorized) return null;
  const calls = operationsPerStep(workload) / PROBE_OPERATIONS;
  let owed = 0;
  return (count) => {
    for (owed += calls * count; owed >= 1; owed--) probe.run();
  };
});
