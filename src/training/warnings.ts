/**
 * What a run is warned of while it trains: one table, from which the catalog and the tests derive. A warning has numbers
 * that show it, a sentence that helps and, where one change mends it, a JSON Patch for the job. All decisions depend on
 * numbers and never on time, so that a run that was interrupted warns of the same at the same steps.
 */
import type { Plan, PlannedLayer } from '../engine/backend.ts';
import { resolveOptimizer } from '../engine/optimizers.ts';
import { type Frame, type LayerFrame, rootMeanSquare } from './layer-statistics.ts';
import type { RunRequest, RunWarning, WarningPatch } from './request.ts';

/** A warning before it has its place: what the rule found. */
export type Finding = Pick<RunWarning, 'detail' | 'evidence'> & { readonly patch?: WarningPatch };

interface RuleBase {
  readonly description: string;
  readonly level: RunWarning['level'];
  /** Where the threshold comes from. */
  readonly source: string;
  readonly advice: string;
}

export interface LayerContext {
  readonly request: RunRequest;
  readonly plan: Plan;
  readonly layer: PlannedLayer;
  readonly frame: Frame;
  readonly now: LayerFrame;
  /** The root mean square of each layer's gradient in the first frame of the run. */
  readonly first_gradients: readonly number[];
}

/** Looks at one layer in one frame; a warning when it finds something in so many frames one after the other. */
export interface LayerRule extends RuleBase {
  readonly kind: 'layer';
  readonly frames: number;
  /** Frames of earlier steps do not count. */
  readonly from_step: number;
  find(context: LayerContext): Finding | null;
}

/** The losses of a run up to the end of an epoch. */
export interface LossContext {
  readonly request: RunRequest;
  readonly epoch: number;
  readonly loss: number;
  /** Mean of the first losses of the run, at most ten, all of the first epoch. */
  readonly initial_loss: number;
  /** The lowest loss of an epoch. */
  readonly lowest_loss: number;
  readonly validation_loss: number | null;
  readonly validation_rows: number;
  /** The epoch with the lowest validation loss. */
  readonly best_validation: { readonly epoch: number; readonly value: number; readonly loss: number } | null;
}

/** When the training loss is held against the start. Once: the lowest loss never rises, so what has decreased stays so. */
export const firstLook = { epoch: 20, step: 500 } as const;

/** Looks at the losses at the end of an epoch; a warning when it finds something so many epochs one after the other. */
export interface LossRule extends RuleBase {
  readonly kind: 'loss';
  /** `training`: asked at the first look. `validation`: asked whenever there is a validation loss. */
  readonly reads: 'training' | 'validation';
  readonly epochs: number;
  find(context: LossContext): Finding | null;
}

/** What is known of the training rows before the first step. */
export interface DataContext {
  /** 0-based columns with one value only. */
  readonly constant_columns: readonly number[];
  readonly input_size: number;
  /** Rows of each class; null where rows have no class. */
  readonly class_rows: readonly number[] | null;
  readonly is_weighted: boolean;
}

export interface DataRule extends RuleBase {
  readonly kind: 'data';
  find(context: DataContext): Finding | null;
}

const percent = (fraction: number): string => `${Number((100 * fraction).toPrecision(3))} %`;
const short = (value: number): string => String(Number(value.toPrecision(3)));
const gradientSize = ({ tensors }: LayerFrame): number => rootMeanSquare(tensors.gradients);

const isHidden = (layer: PlannedLayer, plan: Plan): boolean => layer.number < plan.layers.length;

const activationPatch = (layer: PlannedLayer, name: string): WarningPatch => [
  { op: 'add', path: `/network/layers/${layer.number - 1}/activation`, value: name },
];

/** The optimizer with its learning rate multiplied. */
function ratePatch({ optimizer }: RunRequest, factor: number): WarningPatch {
  const { learning_rate } = resolveOptimizer(optimizer).options as { readonly learning_rate: number };
  const given = typeof optimizer === 'string' ? { name: optimizer } : optimizer;
  const value = { ...given, learning_rate: Number((learning_rate * factor).toPrecision(6)) };
  return [{ op: 'add', path: '/optimizer', value }];
}

const clipPatch: WarningPatch = [{ op: 'add', path: '/clip_gradients', value: { max_norm: 1 } }];

/** Thresholds, all generous: healthy training, also of small networks at high rates, must not be warned of. */
export const thresholds = {
  dead_fraction: 0.6,
  saturated_fraction: 0.6,
  vanishing_ratio: 1e-6,
  exploding_growth: 1e3,
  highest_update_ratio: 0.5,
  lowest_update_ratio: 1e-7,
  least_decrease: 0.01,
  validation_rise: 0.25,
  validation_noise: 8,
  training_fall: 0.05,
  largest_class_share: 0.9,
} as const;

export const runWarnings = {
  dead_units: {
    kind: 'layer',
    level: 'warning',
    description: 'Most units of a relu layer are 0 on every sampled row: they learn nothing any more.',
    source: 'Lu, Shin, Su, Karniadakis 2020, “Dying ReLU and Initialization”; CS231n counts 40 % as too many.',
    advice: 'Scale the inputs ("standardize": true), lower the learning rate, or use leaky_relu.',
    frames: 3,
    from_step: 1,
    find({ layer, now, frame }) {
      const { dead_fraction } = now.figures;
      if (dead_fraction === null || dead_fraction < thresholds.dead_fraction) return null;
      const some = dead_fraction === 1 ? 'No unit' : `Only ${percent(1 - dead_fraction)} of the units`;
      const verb = dead_fraction === 1 ? 'is' : 'are';
      const detail = `${some} of layer ${layer.number} ${verb} ever active on the ${frame.rows} sampled rows.`;
      const evidence = { dead_fraction, units: layer.units, rows: frame.rows, threshold: thresholds.dead_fraction };
      return { detail, evidence, patch: activationPatch(layer, 'leaky_relu') };
    },
  },
  saturated_units: {
    kind: 'layer',
    level: 'warning',
    description: 'Most activations of a hidden layer are at an end of their range, where the derivative is nearly 0.',
    source:
      'Glorot, Bengio 2010, “Understanding the difficulty of training deep feedforward neural networks”, section 3.',
    advice: 'Scale the inputs ("standardize": true), lower the learning rate, or use smaller initial weights.',
    frames: 3,
    from_step: 1,
    find({ plan, layer, now }) {
      const { saturated_fraction } = now.figures;
      if (!isHidden(layer, plan) || saturated_fraction === null) return null;
      if (saturated_fraction < thresholds.saturated_fraction) return null;
      const detail = `${percent(saturated_fraction)} of the activations of layer ${layer.number} (${layer.activation.name}) are within 1 % of an end of their range.`;
      return { detail, evidence: { saturated_fraction, threshold: thresholds.saturated_fraction } };
    },
  },
  vanishing_gradients: {
    kind: 'layer',
    level: 'warning',
    description: 'The gradient of a layer is negligible beside that of another: the layer hardly learns.',
    source:
      'Hochreiter 1991; Glorot, Bengio 2010. Below 2^-20 of the largest a float32 sum of both keeps 4 bits of it.',
    advice:
      'Use relu or another activation whose derivative does not shrink, batch_norm or layer_norm, or fewer layers.',
    frames: 3,
    from_step: 1,
    find({ plan, layer, frame, now }) {
      const largest = Math.max(...frame.layers.map(gradientSize));
      const size = gradientSize(now);
      // A dead layer passes nothing on, which is said of that layer.
      const cut = frame.layers.some(({ figures }) => figures.dead_fraction === 1);
      if (cut || !isHidden(layer, plan) || !(size < thresholds.vanishing_ratio * largest)) return null;
      const detail = `The gradient of layer ${layer.number} is ${short(size)} (root mean square), and ${short(largest)} in the layer where it is largest.`;
      return { detail, evidence: { gradient: size, largest_gradient: largest, threshold: thresholds.vanishing_ratio } };
    },
  },
  exploding_gradients: {
    kind: 'layer',
    level: 'warning',
    description: 'The gradient of a layer has grown a thousandfold since the start.',
    source: 'Pascanu, Mikolov, Bengio 2013, “On the difficulty of training recurrent neural networks”.',
    advice: 'Clip the gradients or lower the learning rate.',
    frames: 2,
    from_step: 1,
    find({ request, layer, now, first_gradients }) {
      const gradient = gradientSize(now);
      const first = first_gradients[layer.number - 1];
      const growth = gradient / first;
      if (!(gradient > 1 && first > 0 && growth > thresholds.exploding_growth)) return null;
      const detail = `The gradient of layer ${layer.number} has grown from ${short(first)} to ${short(gradient)} (root mean square).`;
      const evidence = { gradient, first, growth, threshold: thresholds.exploding_growth };
      return { detail, evidence, ...(request.clip_gradients === undefined ? { patch: clipPatch } : {}) };
    },
  },
  update_ratio_high: {
    kind: 'layer',
    level: 'warning',
    description: 'The steps are as large as the weights: training forgets what it has learned.',
    source: 'CS231n, “Ratio of weights:updates”: about 0.001; a warning only at 500 times that.',
    advice: 'Lower the learning rate.',
    frames: 5,
    from_step: 10,
    find({ request, layer, now }) {
      const { update_ratio } = now.figures;
      if (update_ratio === null || !(update_ratio > thresholds.highest_update_ratio)) return null;
      const detail = `One step changes the weights of layer ${layer.number} by ${percent(update_ratio)} of their size.`;
      const evidence = { update_ratio, threshold: thresholds.highest_update_ratio };
      return { detail, evidence, patch: ratePatch(request, 0.1) };
    },
  },
  update_ratio_low: {
    kind: 'layer',
    level: 'warning',
    description: 'The steps are nothing beside the weights, from the start: training stands still.',
    source: 'CS231n, “Ratio of weights:updates”: about 0.001; 1e-7 is below the rounding of float32 weights (6e-8).',
    advice: 'Raise the learning rate.',
    frames: 4,
    from_step: 1,
    find({ request, layer, frame, now, first_gradients }) {
      const { update_ratio } = now.figures;
      const ratios = frame.layers.map(({ figures }) => figures.update_ratio ?? 0);
      // Where some layer moves, the rate is not the fault; where no gradient arrives, or none is left to follow, neither.
      const moves = ratios.some((ratio) => !(ratio < thresholds.lowest_update_ratio));
      const arrived = gradientSize(now) <= first_gradients[0] / thresholds.exploding_growth;
      if (update_ratio === null || moves || arrived || gradientSize(now) === 0 || layer.number > 1) return null;
      const detail = `One step changes the weights by ${short(Math.max(...ratios))} of their size at most, in every layer.`;
      const evidence = { update_ratio: Math.max(...ratios), threshold: thresholds.lowest_update_ratio };
      return { detail, evidence, patch: ratePatch(request, 10) };
    },
  },
  loss_not_decreasing: {
    kind: 'loss',
    level: 'warning',
    description: `After ${firstLook.epoch} epochs and ${firstLook.step} steps no epoch has been 1 % better than the start.`,
    source: 'A choice of ours: any healthy run has left its start by then.',
    advice: 'Try another learning rate, scale the inputs, and check that the targets belong to their rows.',
    reads: 'training',
    epochs: 1,
    find({ epoch, loss, initial_loss, lowest_loss }) {
      const decrease = (initial_loss - lowest_loss) / Math.abs(initial_loss);
      if (!(decrease < thresholds.least_decrease)) return null;
      const detail = `The loss was ${short(initial_loss)} at the start and is ${short(loss)} after ${epoch} epochs; ${short(lowest_loss)} was its lowest.`;
      return { detail, evidence: { initial_loss, loss, lowest_loss, threshold: thresholds.least_decrease } };
    },
  },
  overfitting: {
    kind: 'loss',
    level: 'warning',
    description: 'The validation loss rises while the training loss falls.',
    source:
      'Prechelt 1998, “Early stopping, but when?”: generalisation loss; a warning only above 25 % + 8/√rows, because the loss on few rows is known badly.',
    advice: 'Stop early, add dropout or l2, use fewer units, or find more data.',
    reads: 'validation',
    epochs: 5,
    find({ request, epoch, loss, validation_loss, validation_rows, best_validation: best }) {
      if (best === null || validation_loss === null || epoch - best.epoch < 10) return null;
      const rise = (validation_loss - best.value) / Math.abs(best.value);
      const fall = (best.loss - loss) / Math.abs(best.loss);
      const threshold = thresholds.validation_rise + thresholds.validation_noise / Math.sqrt(validation_rows);
      if (!(rise > threshold && fall > thresholds.training_fall)) return null;
      const detail = `The validation loss was lowest in epoch ${best.epoch} (${short(best.value)}) and is ${short(validation_loss)} now, while the training loss fell from ${short(best.loss)} to ${short(loss)}.`;
      const evidence = {
        best_epoch: best.epoch,
        validation_loss,
        best_validation_loss: best.value,
        loss,
        rise,
        threshold,
      };
      const stop = request.early_stopping === undefined;
      return { detail, evidence, ...(stop ? { patch: [{ op: 'add', path: '/early_stopping', value: {} }] } : {}) };
    },
  },
  constant_features: {
    kind: 'data',
    level: 'info',
    description: 'Some features have the same value in every training row: nothing can be learned from them.',
    source: 'By definition.',
    advice: 'Leave these columns out.',
    find({ constant_columns: constant, input_size }) {
      if (constant.length === 0) return null;
      const listed = `${constant.slice(0, 10).join(', ')}${constant.length > 10 ? ', …' : ''}`;
      const detail = `${constant.length} of ${input_size} features are constant (0-based: ${listed}).`;
      return { detail, evidence: { features: constant.length, first: constant[0], input_size } };
    },
  },
  class_imbalance: {
    kind: 'data',
    level: 'warning',
    description: 'One class has more than nine tenths of the training rows: always guessing it looks good.',
    source: 'A choice of ours: accuracy says nothing there.',
    advice: 'Weight the classes, and look at balanced_accuracy or f1 instead of accuracy.',
    find({ class_rows, is_weighted }) {
      const rows = class_rows?.reduce((sum, count) => sum + count, 0) ?? 0;
      if (class_rows === null || rows === 0 || is_weighted) return null;
      const largest = Math.max(...class_rows);
      const share = largest / rows;
      if (share <= thresholds.largest_class_share) return null;
      const label = class_rows.indexOf(largest);
      const detail = `Class ${label} has ${largest} of the ${rows} training rows (${percent(share)}).`;
      return { detail, evidence: { class: label, rows: largest, share, threshold: thresholds.largest_class_share } };
    },
  },
} as const satisfies Record<string, LayerRule | LossRule | DataRule>;

export type RunWarningCode = keyof typeof runWarnings;
