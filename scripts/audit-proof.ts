/**
 * Holds the gradient audit to random networks and prints how often it is right: `node scripts/audit-proof.ts [seconds]`.
 *
 * Per network every single bug is put in at full precision, in float32 and rounded to four digits; right gradients come
 * from four computations (joined and textbook formulas, rows in order and in reverse); one pair and one unknown mistake.
 */
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

const listed = ({ candidates, not_revealed }: Audit, hypothesis: Hypothesis) =>
  [...candidates.map((candidate) => candidate.hypothesis), ...not_revealed].some(
    (other) => namesOf(other) === namesOf(hypothesis),
  );

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
  const unknown = judge(passUnder(computing, []).gradients.map((g) => 1.3 * g));
  if (unknown !== undefined) {
    score.unknown++;
    if (unknown.verdict !== 'no_match') score.unknown_named++;
  }
  const pairs = pairsOf(singles);
  if (pairs.length === 0) return;
  const pair = pairs[(seed * 7919) % pairs.length];
  const result = judge(passUnder(computing, pair).gradients);
  if (result === undefined) return;
  score.pairs++;
  // A pair of which one bug hides the other is rightly given the one name, or none.
  const simpler = result.verdict === 'correct' || result.candidates[0]?.hypothesis.length === 1;
  if (simpler || listed(result, pair)) score.pairs_named++;
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
