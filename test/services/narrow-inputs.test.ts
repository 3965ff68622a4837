import { describe, expect, it } from 'vitest';
import { memoriesOf, sharedFloats } from '../../src/engine/wasm/data-memory.ts';
import { narrowInputs } from '../../src/services/narrow-inputs.ts';
import type { RunRequest } from '../../src/training/request.ts';
import { Run } from '../../src/training/run.ts';
import { smallRequest } from '../training/fixtures/requests.ts';

const columns = 512;

/** Rows of numbers that float32 has to round. */
function requestOf(rows: number, changes: Partial<RunRequest> = {}): RunRequest {
  const inputs = sharedFloats('float64', rows * columns);
  inputs.set(inputs.map((_, i) => Math.sin(i * 12.9898) / 3));
  const targets = Float64Array.from({ length: rows }, (_, row) => Math.cos(row) / 3);
  const network = { ...smallRequest().network, input_size: columns, precision: 'float32' } as const;
  return smallRequest({ network, data: { rows, inputs, targets }, batch_size: 50, ...changes });
}

/** The rows of which the rounded numbers take 1 MiB. */
const enough = 2 ** 18 / columns;

describe('inputs in float64 for a network in float32', () => {
  it('are rounded once where they are large, and compiled code reads them where they lie', async () => {
    const request = requestOf(enough);
    const { data } = await narrowInputs(request);
    expect(data.inputs).toEqual(Float32Array.from(request.data.inputs));
    expect(memoriesOf(data)).toHaveLength(1);
    expect(data.targets).toBe(request.data.targets);
  });

  it('train to the same bits, losses and metrics as those that are rounded later', async () => {
    const request = requestOf(enough, {
      validation: { fraction: 0.25 },
      metrics: ['mae'],
      scaling: { targets: 'standardize' },
      statistics: true,
    });
    const shown = [request, await narrowInputs(request)].map((one) => {
      const run = new Run(one, null);
      const advances = [];
      while (run.end === null) advances.push(run.advance(7));
      return { advances, result: run.result(), backend: run.backend.name };
    });
    expect(shown[1]).toEqual(shown[0]);
    expect(shown[0].backend).toBe('wasm');
  });

  it.each([
    ['they are small', requestOf(enough - 1)],
    ['they are scaled first', requestOf(enough, { scaling: { inputs: 'min_max' } })],
    ['the network is in float64', requestOf(enough, { network: { ...requestOf(1).network, precision: 'float64' } })],
  ])('stay as they are where %s', async (_why, request) => {
    expect(await narrowInputs(request)).toBe(request);
  });
});
