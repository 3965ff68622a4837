/** Gradients: explained, held against central differences, and audited. All in float64 and without state. */
import type { Limits } from '../../config.ts';
import { type AuditAnswer, type AuditRequest, answerAudit } from '../../engine/audit/answer.ts';
import { passCost } from '../../engine/audit/audit.ts';
import type { Exercise } from '../../engine/audit/hypotheses.ts';
import { checkGradients, checkPasses, checkThreshold } from '../../engine/gradient-check.ts';
import { bugNames } from '../../engine/reference/bugs.ts';
import { definedPairs, selfTestRow } from '../../engine/self-test.ts';
import { toWire } from '../../schemas/common.ts';
import type {
  GradientAuditInput,
  GradientAuditView,
  GradientCheckInput,
  GradientCheckView,
  GradientsInput,
  GradientsView,
  SelfTestView,
} from '../../schemas/gradients.ts';
import { readAudit } from '../../training/post-mortem/audit-gradients.ts';
import { createPostMortems } from '../../training/post-mortem/thread.ts';
import { workedDerivation } from '../../training/worked-derivation.ts';
import { auditView, observedOf } from './audit-view.ts';
import { admit } from './exercise.ts';
import { explain, runPass } from './explain.ts';

export interface Gradients {
  explain(input: GradientsInput): GradientsView;
  /** The same as a worked derivation in Markdown. */
  derive(input: GradientsInput): string;
  check(input: GradientCheckInput): GradientCheckView;
  audit(input: GradientAuditInput): Promise<GradientAuditView>;
  selfTest(): Promise<SelfTestView>;
  close(): Promise<void>;
}

/** Truth and single bugs, each once in float64 and twice in float32 at most, and a few for telling bugs apart. */
const auditPasses = 12 * bugNames.length;

/** Nanoseconds that the main thread may spend on an audit: longer ones go to a thread. */
const quickWork = 2e7;
/** Measured: what a pass over a tiny network takes, and each multiply-add. */
const passOverhead = 4e4;
const multiplyAdd = 1.2;

export function createGradients(limits: Limits): Gradients {
  // A thread of its own, started by the first long audit: none waits behind the replay of a long run.
  const thread = createPostMortems();

  async function audited(request: AuditRequest, exercise: Exercise): Promise<AuditAnswer> {
    const work = auditPasses * (passOverhead + multiplyAdd * passCost(exercise));
    if (work <= quickWork) {
      const answer = answerAudit(request, { pairs: false });
      if (answer.result?.verdict !== 'no_match') return answer;
    }
    return readAudit(await thread.ask('audit_gradients', request));
  }

  return {
    explain(input) {
      const { exercise, notes } = admit(input, limits, () => 1);
      return explain(exercise, input.include, notes);
    },
    derive(input) {
      const { exercise, notes } = admit(input, limits, () => 1);
      return workedDerivation({ title: 'Backpropagation, step by step', gradients: runPass(exercise), notes });
    },
    check(input) {
      const { exercise, notes } = admit(input, limits, checkPasses);
      const { loss, passed, tensors } = checkGradients(exercise.plan, exercise.values, exercise.data);
      return {
        passed,
        threshold: checkThreshold,
        loss: toWire(loss),
        tensors: tensors.map((tensor) => ({
          ...tensor,
          index: [...tensor.index],
          relative_error: toWire(tensor.relative_error),
          backprop: toWire(tensor.backprop),
          difference: toWire(tensor.difference),
        })),
        notes: [...notes],
      };
    },
    async audit(input) {
      const { layers, ...asked } = observedOf(input);
      const admitted = admit(input, limits, () => auditPasses, asked);
      const { exercise, definition } = admitted;
      const { values, data } = exercise;
      return auditView(await audited({ definition, values, data, layers, ...asked }, exercise), admitted);
    },
    async selfTest() {
      const results: SelfTestView['results'] = [];
      for (const pair of definedPairs) {
        const row = selfTestRow(pair);
        results.push({ ...row, relative_error: toWire(row.relative_error) });
        // Four milliseconds each: let other requests in between.
        await new Promise((resolve) => setImmediate(resolve));
      }
      return { passed: results.every(({ passed }) => passed), threshold: checkThreshold, results };
    },
    close: () => thread.close(),
  };
}
