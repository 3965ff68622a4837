/** The output layer's end: an activation and a loss joined, so that the loss is taken from the pre-activations where that is safer. */
import type { Activation, ActivationOptions, ElementwiseActivation, RowwiseActivation } from './activations.ts';
import type { Arithmetic } from './arithmetic.ts';
import { encloses, reachesBelow } from './interval.ts';
import type { Loss } from './losses.ts';
import { type Likelihood, likelihoodTerm, logisticLoss, logisticSlope } from './math/likelihood.ts';
import type { Resolved } from './options.ts';
import { type OutputLoss, target } from './output-row.ts';
import { softmaxLikelihood } from './softmax-likelihood.ts';

export type { OutputLoss, OutputRow } from './output-row.ts';

/**
 * Why the loss cannot be taken of this activation's outputs, as a sentence, or null when it can: the loss must be
 * defined for every output that the activation can take. Log-probabilities stand for their probabilities in the
 * categorical losses, as PyTorch's NLLLoss and KLDivLoss take them.
 */
export function undefinedPair(activation: Resolved<Activation>, loss: Resolved<Loss>): string | null {
  if (takesLogProbabilities(activation.entry, loss.entry)) return null;
  const { range } = activation.entry;
  const domain = loss.entry.output_domain;
  if (encloses(domain, range)) return null;
  const end = reachesBelow(domain, range)
    ? `${range.minimum < domain.minimum ? 'reaches below' : 'reaches'} ${domain.minimum}`
    : `${range.maximum > domain.maximum ? 'reaches above' : 'reaches'} ${domain.maximum}`;
  return `${loss.name} ${loss.entry.domain_reason}, and ${activation.name} ${end}`;
}

function takesLogProbabilities(activation: Activation, loss: Loss): boolean {
  const given = activation.kind === 'rowwise' && activation.outputs === 'log_probabilities';
  return given && loss.categorical && loss.likelihood !== null;
}

/**
 * Joins an output activation and a loss: z, a, y of one sample in, its loss and dLoss/dz out.
 * @throws {RangeError} when the pair is not defined.
 */
export function outputLoss(activation: Resolved<Activation>, loss: Resolved<Loss>): OutputLoss {
  const reason = undefinedPair(activation, loss);
  if (reason !== null) throw new RangeError(reason);
  const { likelihood, target_domain } = loss.entry;
  const labels = target_domain.kind === 'label';
  const { entry } = activation;
  if (likelihood === null) return fromOutputs(activation, loss);
  if (entry.kind === 'elementwise') {
    return likelihood.complement ? logistic(labels) : fromLogarithm(entry, activation.options, likelihood, labels);
  }
  return entry.outputs === 'probabilities'
    ? softmaxLikelihood(likelihood, labels)
    : fromLogProbabilities(entry, likelihood, labels);
}

/** What the loss adds up per output, and its derivative with respect to that output's pre-activation. */
interface Term {
  value<T, M>(o: Arithmetic<T, M>, z: T, a: T, y: T): T;
  derivative<T, M>(o: Arithmetic<T, M>, z: T, a: T, y: T): T;
}

/** A row of terms that do not see each other. */
function sumOfTerms(term: Term, labels: boolean): OutputLoss {
  return {
    value(o, row) {
      let sum = o.constant(0);
      for (let k = row.start, j = 0; j < row.units; k++, j++) {
        sum = o.add(sum, term.value(o, row.z[k], row.a[k], target(o, row, j, labels)));
      }
      return sum;
    },
    gradient(o, row) {
      for (let k = row.start, j = 0; j < row.units; k++, j++) {
        row.gradient[k] = term.derivative(o, row.z[k], row.a[k], target(o, row, j, labels));
      }
    },
  };
}

/** The plain chain rule: dLoss/da, then through the activation. */
function fromOutputs(activation: Resolved<Activation>, loss: Resolved<Loss>): OutputLoss {
  const { entry, options } = activation;
  const labels = loss.entry.target_domain.kind === 'label';
  const value: Term['value'] = (o, _z, a, y) => loss.entry.value(o, a, y, loss.options);
  if (entry.kind === 'elementwise') {
    const slope: Term['derivative'] = (o, z, a, y) =>
      o.mul(loss.entry.derivative(o, a, y, loss.options), entry.derivative(o, z, a, options));
    return sumOfTerms({ value, derivative: slope }, labels);
  }
  return throughRow(
    entry,
    { value, derivative: (o, _z, a, y) => loss.entry.derivative(o, a, y, loss.options) },
    labels,
  );
}

/** Terms whose `derivative` is with respect to the output, on an activation over the whole row. */
function throughRow(entry: RowwiseActivation, term: Term, labels: boolean): OutputLoss {
  const terms = sumOfTerms(term, labels);
  return {
    value: terms.value,
    gradient(o, row) {
      terms.gradient(o, row);
      entry.backward(o, row.a, row.gradient, row.start, row.units);
    },
  };
}

/** Binary cross-entropy on sigmoid: the only activation whose outputs all lie between 0 and 1, unit by unit. */
function logistic(labels: boolean): OutputLoss {
  const term: Term = {
    value: (o, z, _a, y) => logisticLoss(o, z, y),
    derivative: (o, z, _a, y) => logisticSlope(o, z, y),
  };
  return sumOfTerms(term, labels);
}

/** Positive outputs whose logarithm is known from z. */
function fromLogarithm(
  entry: ElementwiseActivation,
  options: ActivationOptions,
  likelihood: Likelihood,
  labels: boolean,
): OutputLoss {
  const { logarithm } = entry;
  if (logarithm === undefined) throw new RangeError('an activation with positive outputs must give their logarithm');
  const term: Term = {
    value(o, z, a, y) {
      const minusLog = o.neg(logarithm.value(o, z));
      return likelihoodTerm(o, likelihood, a, y, minusLog, minusLog);
    },
    derivative(o, z, a, y) {
      const pull = o.mul(y, logarithm.derivative(o, z));
      return likelihood.linear === 1 ? o.sub(entry.derivative(o, z, a, options), pull) : o.neg(pull);
    },
  };
  return sumOfTerms(term, labels);
}

/** The outputs are the logarithms. */
function fromLogProbabilities(entry: RowwiseActivation, likelihood: Likelihood, labels: boolean): OutputLoss {
  const term: Term = {
    value: (o, _z, a, y) => likelihoodTerm(o, likelihood, a, y, o.neg(a), a),
    derivative: (o, _z, _a, y) => o.neg(y),
  };
  return throughRow(entry, term, labels);
}
