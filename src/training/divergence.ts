/** A divergence in words: where it happened, on which rows, and what most likely caused it. */
import type { Divergence, Quantity } from '../engine/backend.ts';
import type { DivergedError, RunRequest } from './request.ts';

const names = {
  pre_activation: 'the pre-activation',
  activation: 'the activation',
  loss: 'the loss',
  gradient: 'the gradient',
  parameters: 'the updated parameter',
} as const satisfies Record<Quantity, string>;

/** Largest |x| that ordinary, scaled inputs stay below. */
const largeInput = 1e4;

/** Where the diverging step stands in the run. */
export interface DivergencePlace {
  /** 1-based. */
  readonly epoch: number;
  readonly batch: number;
  readonly learning_rate: number;
  readonly rows: Uint32Array;
}

export function describeDivergence(found: Divergence, place: DivergencePlace, request: RunRequest): DivergedError {
  const { epoch, batch, rows } = place;
  const cause = likelyCause(found, place, request);
  const spot = [
    found.layer === undefined ? '' : ` of layer ${found.layer}`,
    found.tensor === undefined ? '' : ` (${found.tensor})`,
  ];
  const message = `At step ${found.step} (epoch ${epoch}, batch ${batch}) ${names[found.quantity]}${spot.join('')} became ${found.value}. ${cause}`;
  return { code: 'diverged', message, ...found, epoch, batch, rows: [...rows], likely_cause: cause };
}

function likelyCause(found: Divergence, place: DivergencePlace, request: RunRequest): string {
  if (request.simulate_bug !== undefined)
    return `Most likely the bug that was put in on purpose: ${request.simulate_bug}.`;
  if (found.step === 1 && found.quantity !== 'parameters') {
    const largest = largestInput(place.rows, request);
    if (largest > largeInput) {
      return `Most likely the inputs are too large (up to ${largest.toPrecision(3)} in this batch): set "standardize": true.`;
    }
    return 'Nothing had been learned yet, so most likely the initial parameters or the targets are too large.';
  }
  const overshoot = overshootingInput(place, request);
  if (overshoot !== null) return overshoot;
  const clip = request.clip_gradients === undefined ? ', or set "clip_gradients": {"max_norm": 1}' : '';
  return `Most likely the learning rate ${place.learning_rate} is too high: try ${Number((place.learning_rate / 10).toPrecision(6))}${clip}.`;
}

/**
 * Gradient descent is stable below a rate of 2/λ, λ the largest curvature of the loss. For a unit with input x and a
 * squared error λ is at least x², so that unscaled inputs alone can put the rate above the bound.
 */
function overshootingInput({ rows, learning_rate }: DivergencePlace, request: RunRequest): string | null {
  const name = typeof request.optimizer === 'string' ? request.optimizer : request.optimizer.name;
  const largest = largestInput(rows, request);
  const bound = 2 / (largest * largest);
  // Inputs of the order of 1 are scaled already: then the rate itself is what is wrong.
  if (name !== 'sgd' || largest <= 10 || learning_rate <= bound) return null;
  return `Most likely the inputs are not scaled: they reach ${Number(largest.toPrecision(3))} in this batch, for which the learning rate ${learning_rate} is above the stable bound of about ${Number(bound.toPrecision(1))}. Set "standardize": true.`;
}

function largestInput(rows: Uint32Array, { data, network, scaling }: RunRequest): number {
  if (scaling?.inputs !== undefined) return 0;
  let largest = 0;
  for (const row of rows) {
    for (let i = row * network.input_size; i < (row + 1) * network.input_size; i++) {
      largest = Math.max(largest, Math.abs(data.inputs[i]));
    }
  }
  return largest;
}
