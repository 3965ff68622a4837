/**
 * Holds the gradient audit to random networks and prints how often it is right: `node scripts/audit-proof.ts [seconds]`.
 *
 * Per network every single bug is put in at full precision, in float32 and rounded to four digits; right gradients come
 * from four computations (joined and textbook formulas, rows in order and in reverse); one pair and two unknown mistakes.
 * Then it times the audit of the seed question's network.
 */

import { answerAudit } from '../src/engine/audit/answer.ts';
import { type Audit, audit } from '../src/engine/audit/audit.ts';
import {
  type Exercise,
  type Hypothesis,
  literalPass,
  pairsOf,
  passUnder,
  singleBugs,
  singlePrecision,
} from '../src/engine/audit/hypotheses.ts';
import type { FloatArray } from '../src/engine/backend.ts';
import { fromWire } from '../src/engine/parameters.ts';
import { plan } from '../src/engine/plan.ts';
import { gradientAuditInput, gradientExamples } from '../src/schemas/gradients.ts';
import { definitionOf } from '../src/schemas/network.ts';
import { precisions, randomExercise, sentGradients } from '../test/engine/audit/random-exercises.ts';

const seconds = Number(process.argv[2] ?? 60);
const namesOf = (hypothesis: Hypothesis) => hypothesis.map(({ bug }) => bug).join('+');

interface Score {
  bugs: number;
  named_first: number;
  listed: number;
  right: number;
  accused: number;
  unknown: number;
  unknown_named: number;
  pairs: number;
  pairs_named: number;
  pairs_listed: number;
  pairs_like_simpler: number;
  pairs_missed: number;
}

/** The rows in reverse: the same gradients, summed in another order. */
function reversed(exercise: Exercise): Exercise {
  const { rows, inputs, targets } = exercise.data;
  const turn = (values: FloatArray) => {
    const columns = values.length / rows;
    return Float64Array.from(values, (_, i) => values[(rows - 1 - Math.floor(i / columns)) * columns + (i % columns)]);
  };
  return { ...exercise, data: { rows, inputs: turn(inputs), targets: turn(targets) } };
}

/** Mistakes that are on no list: a wrong factor, and the gradient of a layer that was left out of the chain. */
function unknownMistakes(exercise: Exercise): FloatArray[] {
  const { gradients, plan } = passUnder(exercise, []);
  const scaled = gradients.map((g) => 1.3 * g);
  const [{ weights }] = plan.layers;
  const dropped = gradients.slice();
  dropped.fill(0, weights.offset, weights.offset + weights.length);
  return plan.layers.length > 1 ? [scaled, dropped] : [scaled];
}

const listed = ({ candidates, not_revealed }: Audit, hypothesis: Hypothesis) =>
  [...candidates, ...not_revealed]
    .map(({ hypothesis }) => hypothesis)
    .some((other) => namesOf(other) === namesOf(hypothesis));

function prove(seed: number, precision: keyof typeof precisions, score: Score): void {
  const exercise = randomExercise(seed);
  const computing = precision === 'float32' ? singlePrecision(exercise) : exercise;
  const judge = (gradients: FloatArray) => {
    if (!gradients.every(Number.isFinite)) return undefined;
    return audit(exercise, sentGradients(exercise, gradients, precisions[precision])).result;
  };
  const singles = singleBugs(exercise);
  for (const hypothesis of singles) {
    const result = judge(passUnder(computing, hypothesis).gradients);
    if (result === undefined) continue;
    score.bugs++;
    const [best] = result.candidates;
    if (best !== undefined && namesOf(best.hypothesis) === namesOf(hypothesis)) score.named_first++;
    else if (listed(result, hypothesis)) score.listed++;
    else console.log('missed', { seed, precision, bug: namesOf(hypothesis), verdict: result.verdict });
  }
  for (const right of [computing, reversed(computing)]) {
    for (const pass of [passUnder(right, []), literalPass(right)]) {
      const result = pass === null ? undefined : judge(pass.gradients);
      if (result === undefined) continue;
      score.right++;
      if (result.verdict === 'correct') continue;
      score.accused++;
      console.log('accused', { seed, precision, difference: result.first_difference });
    }
  }
  for (const mistake of unknownMistakes(computing)) {
    const unknown = judge(mistake);
    if (unknown === undefined || unknown.verdict === 'correct') continue;
    score.unknown++;
    if (unknown.verdict !== 'no_match') score.unknown_named++;
  }
  const pairs = pairsOf(singles);
  if (pairs.length === 0) return;
  const pair = pairs[(seed * 7919) % pairs.length];
  const result = judge(passUnder(computing, pair).gradients);
  if (result === undefined) return;
  score.pairs++;
  score[pairOutcome(result, pair)]++;
}

/** Strict: both names first, or the pair listed; or it gives the numbers of right code or of one bug, and that was said. */
function pairOutcome(
  result: Audit,
  pair: Hypothesis,
): 'pairs_named' | 'pairs_listed' | 'pairs_like_simpler' | 'pairs_missed' {
  const [best] = result.candidates;
  if (best !== undefined && namesOf(best.hypothesis) === namesOf(pair)) return 'pairs_named';
  const together = result.not_revealed.map(({ hypothesis }) => [...(best?.hypothesis ?? []), ...hypothesis]);
  const known = [...result.candidates.map(({ hypothesis }) => hypothesis), ...together];
  const sorted = (hypothesis: Hypothesis) => namesOf(hypothesis.toSorted((a, b) => (a.bug < b.bug ? -1 : 1)));
  if (known.some((other) => sorted(other) === sorted(pair))) return 'pairs_listed';
  // A match is proof of equal numbers: nobody could tell the pair from what is simpler.
  if (result.verdict === 'correct' || best?.hypothesis.length === 1) return 'pairs_like_simpler';
  return 'pairs_missed';
}

const scores = Object.fromEntries(
  Object.keys(precisions).map((name): [string, Score] => [
    name,
    {
      bugs: 0,
      named_first: 0,
      listed: 0,
      right: 0,
      accused: 0,
      unknown: 0,
      unknown_named: 0,
      pairs: 0,
      pairs_named: 0,
      pairs_listed: 0,
      pairs_like_simpler: 0,
      pairs_missed: 0,
    },
  ]),
);
const end = performance.now() + 1000 * seconds;
let networks = 0;
while (performance.now() < end) {
  networks++;
  for (const name of Object.keys(precisions) as (keyof typeof precisions)[]) prove(networks, name, scores[name]);
}
console.log(`${networks} networks`);
console.table(scores);

/** The audit of the example in the documentation: ten rounds, because the first is cold. */
const { network, parameters, data, yours } = gradientAuditInput.parse(gradientExamples.audit.seed);
const definition = { ...definitionOf(network), precision: 'float64' } as const;
const request = {
  definition,
  values: fromWire(plan(definition), parameters as never),
  data: { rows: data.inputs.rows, inputs: data.inputs.values, targets: data.targets.values },
  kind: 'gradients' as const,
  learning_rate: null,
  layers: yours.gradients?.layers ?? [],
};
const times = Array.from({ length: 10 }, () => {
  const started = performance.now();
  answerAudit(request);
  return performance.now() - started;
});
console.log(`seed network: ${times.map((time) => time.toFixed(1)).join(', ')} ms (limit 50)`);
