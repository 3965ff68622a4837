/**
 * Breaks runs of 200 steps off at every step, for every optimizer with and without dropout, shuffling and a short last
 * batch, in float32 and float64, resumes them from their checkpoints, and compares parameters, optimizer state and
 * history bit by bit with runs that were left alone. Exits with 1 when one differs.
 *
 *     node scripts/resume-proof.ts
 */
import { grid, nameOf, stepsOfRun, stepsThatDiffer } from './resume-grid.ts';

const started = performance.now();
let differing = 0;
for (const cell of grid) {
  const steps = stepsThatDiffer(cell);
  if (steps.length > 0) console.log(`${nameOf(cell)}: differs when resumed at ${steps.join(', ')}`);
  differing += steps.length;
}
const seconds = ((performance.now() - started) / 1000).toFixed(0);
const resumes = grid.length * (stepsOfRun + 1);
console.log(`${resumes} resumes of ${grid.length} runs of ${stepsOfRun} steps in ${seconds} s: ${differing} differ`);
if (differing > 0) process.exitCode = 1;
