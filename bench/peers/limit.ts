/** The speed of multiply-adds on this machine: seconds for the operations of a step, with nothing else in it. */
import { PROBE_OPERATIONS, productProbe } from '../../src/engine/wasm/probe.ts';
import { tileFor } from '../../src/engine/wasm/product.ts';
import { prepareMachine } from '../../src/training/revectorize.ts';
import { serve } from '../peer.ts';
import { operationsPerStep } from '../workloads.ts';

const wide = process.argv[2] === '256';
const { revectorized } = prepareMachine();
const probe = productProbe(wide ? { rows: 6, vectors: 4 } : tileFor(1, true), 'fused');

await serve((workload) => {
  if (wide && !revectorized) return null;
  const calls = operationsPerStep(workload) / PROBE_OPERATIONS;
  let owed = 0;
  return (count) => {
    for (owed += calls * count; owed >= 1; owed--) probe.run();
  };
});
