/**
 * The initializers of a layer's weights. Biases and beta start at 0, gamma at 1.
 *
 * Weights are drawn in float64 from (seed, initialization, layer, index) and rounded once to the network's precision,
 * so float32 and float64 networks start from the same weights. fan_in inputs and fan_out units per layer.
 */
import type { AnyOptions, OptionTable, OptionValues, Spec } from './options.ts';
import { normal, type Uniforms, uniforms } from './prng.ts';

/** Where a layer's random numbers come from. */
export interface DrawKey {
  readonly seed: number;
  /** 1-based number of the layer. */
  readonly layer: number;
  /** How they are drawn; the numbers are the same. Absent: `uniforms`. */
  readonly uniforms?: Uniforms;
}

export interface Initializer<Options = AnyOptions> {
  readonly formula: string;
  readonly description: string;
  readonly options: OptionTable;
  /** fan_out × fan_in weights, row-major, in float64. */
  weights(fanIn: number, fanOut: number, key: DrawKey, options: Options): Float64Array;
}

const none = {} as const satisfies OptionTable;
const uniformOptions = {
  low: { type: 'number', default: -0.05, description: 'Smallest weight, included.' },
  high: { type: 'number', default: 0.05, description: 'Upper bound, excluded.' },
} as const satisfies OptionTable;
const normalOptions = {
  mean: { type: 'number', default: 0, description: 'Mean of the weights.' },
  std: { type: 'number', default: 0.05, minimum: 0, description: 'Standard deviation of the weights.' },
} as const satisfies OptionTable;
const orthogonalOptions = {
  gain: { type: 'number', default: 1, description: 'Factor on the orthonormal rows or columns.' },
} as const satisfies OptionTable;

/** Ties the entry's function to its own options. */
const initializer = <O extends OptionTable>(
  entry: Omit<Initializer<OptionValues<O>>, 'options'> & { readonly options: O },
) => entry;

function uniformWeights(length: number, key: DrawKey, low: number, high: number): Float64Array {
  const weights = (key.uniforms ?? uniforms)(length, key.seed, 'initialization', key.layer);
  for (let i = 0; i < length; i++) weights[i] = low + (high - low) * weights[i];
  return weights;
}

function normalWeights(length: number, { seed, layer }: DrawKey, mean: number, std: number): Float64Array {
  const weights = new Float64Array(length);
  for (let i = 0; i < length; i++) weights[i] = mean + std * normal(seed, 'initialization', layer, i);
  return weights;
}

/** U(−a, a) has the variance a²/3. */
const uniformOfVariance = (variance: (fanIn: number, fanOut: number) => number, formula: string, description: string) =>
  initializer({
    formula,
    description,
    options: none,
    weights: (fanIn, fanOut, key) => {
      const bound = Math.sqrt(3 * variance(fanIn, fanOut));
      return uniformWeights(fanIn * fanOut, key, -bound, bound);
    },
  });

const normalOfVariance = (variance: (fanIn: number, fanOut: number) => number, formula: string, description: string) =>
  initializer({
    formula,
    description,
    options: none,
    weights: (fanIn, fanOut, key) => normalWeights(fanIn * fanOut, key, 0, Math.sqrt(variance(fanIn, fanOut))),
  });

const glorot = (fanIn: number, fanOut: number) => 2 / (fanIn + fanOut);
const he = (fanIn: number) => 2 / fanIn;
const lecun = (fanIn: number) => 1 / fanIn;

/**
 * Orthonormal rows (or columns, where there are more rows than columns) by modified Gram–Schmidt on normal draws,
 * run twice per vector, which keeps them orthogonal to rounding ("twice is enough", Giraud et al. 2005).
 */
function orthonormalize(vectors: Float64Array, count: number, size: number): void {
  for (let v = 0; v < count; v++) {
    for (let pass = 0; pass < 2; pass++) {
      for (let u = 0; u < v; u++) {
        let dot = 0;
        for (let i = 0; i < size; i++) dot += vectors[v * size + i] * vectors[u * size + i];
        for (let i = 0; i < size; i++) vectors[v * size + i] -= dot * vectors[u * size + i];
      }
    }
    let squares = 0;
    for (let i = 0; i < size; i++) squares += vectors[v * size + i] * vectors[v * size + i];
    const norm = Math.sqrt(squares);
    for (let i = 0; i < size; i++) vectors[v * size + i] /= norm;
  }
}

export const initializers = {
  glorot_uniform: uniformOfVariance(
    glorot,
    'U(−a, a), a = √(6/(fan_in + fan_out))',
    'Glorot, Bengio 2010; the default for layers outside the relu family.',
  ),
  glorot_normal: normalOfVariance(
    glorot,
    'N(0, 2/(fan_in + fan_out))',
    'Glorot, Bengio 2010. Not truncated, as in PyTorch.',
  ),
  he_uniform: uniformOfVariance(he, 'U(−a, a), a = √(6/fan_in)', 'He et al. 2015; the default for the relu family.'),
  he_normal: normalOfVariance(he, 'N(0, 2/fan_in)', 'He et al. 2015. Not truncated, as in PyTorch.'),
  lecun_normal: normalOfVariance(lecun, 'N(0, 1/fan_in)', 'LeCun et al. 1998; goes with selu. Not truncated.'),
  lecun_uniform: uniformOfVariance(lecun, 'U(−a, a), a = √(3/fan_in)', 'LeCun et al. 1998.'),
  zeros: initializer({
    formula: '0',
    description: 'All weights 0. A hidden layer that starts like this never breaks its symmetry.',
    options: none,
    weights: (fanIn, fanOut) => new Float64Array(fanIn * fanOut),
  }),
  uniform: initializer({
    formula: 'U(low, high)',
    description: 'Uniform between two bounds.',
    options: uniformOptions,
    weights: (fanIn, fanOut, key, { low, high }) => uniformWeights(fanIn * fanOut, key, low, high),
  }),
  normal: initializer({
    formula: 'N(mean, std²)',
    description: 'Normal with the given mean and standard deviation.',
    options: normalOptions,
    weights: (fanIn, fanOut, key, { mean, std }) => normalWeights(fanIn * fanOut, key, mean, std),
  }),
  orthogonal: initializer({
    formula: 'W·Wᵀ = gain²·I, or Wᵀ·W = gain²·I where fan_out > fan_in',
    description: 'Saxe et al. 2013: keeps lengths. Gram–Schmidt on normal draws.',
    options: orthogonalOptions,
    weights: orthogonalWeights,
  }),
} as const satisfies Record<string, Initializer>;

function orthogonalWeights(fanIn: number, fanOut: number, key: DrawKey, { gain }: { readonly gain: number }) {
  const tall = fanOut > fanIn;
  const [count, size] = tall ? [fanIn, fanOut] : [fanOut, fanIn];
  const vectors = normalWeights(count * size, key, 0, 1);
  orthonormalize(vectors, count, size);
  const weights = new Float64Array(fanIn * fanOut);
  for (let unit = 0; unit < fanOut; unit++) {
    for (let input = 0; input < fanIn; input++) {
      weights[unit * fanIn + input] = gain * vectors[tall ? input * size + unit : unit * size + input];
    }
  }
  return weights;
}

export type InitializerName = keyof typeof initializers;
export type InitializerSpec = Spec<typeof initializers>;
