/**
 * Makes each of the mistakes of mutants/table.ts in a copy of the repository and runs the test that has to notice it.
 * Exits with 1 when a mistake goes unnoticed, or a test is red without one.
 *
 *     node scripts/mutants.ts
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { straceProblem } from './fsync/run.ts';
import { type Mutant, mutants } from './mutants/table.ts';

const root = resolve(import.meta.dirname, '..');
const copy = mkdtempSync(join(tmpdir(), 'trainyard-mutants-'));
const leftOut = new Set(['node_modules', '.git', 'data']);

interface TestReport {
  readonly testResults: readonly {
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[];
  }[];
}

/** `passed`, `failed`, or what happened instead. */
function outcomeOf({ run, test }: Pick<Mutant, 'run' | 'test'>): string {
  const report = join(copy, 'report.json');
  rmSync(report, { force: true });
  const name = test.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
  const vitest = join(root, 'node_modules/vitest/vitest.mjs');
  const args = [vitest, 'run', run, '-t', `${name}$`, '--reporter=json', `--outputFile=${report}`];
  const { stderr } = spawnSync(process.execPath, args, { cwd: copy, encoding: 'utf8' });
  try {
    const { testResults } = JSON.parse(readFileSync(report, 'utf8')) as TestReport;
    const found = testResults.flatMap(({ assertionResults }) => assertionResults);
    return found.find(({ fullName }) => fullName.endsWith(test))?.status ?? `no test ends with ${test}`;
  } catch {
    return `no report: ${stderr.slice(-500)}`;
  }
}

/** How the test ends with the mistake made. */
function outcomeWith(mutant: Mutant): string {
  const file = join(copy, mutant.file);
  const text = readFileSync(file, 'utf8');
  if (text.split(mutant.find).length !== 2) return `the text to change does not stand once in ${mutant.file}`;
  writeFileSync(
    file,
    text.replace(mutant.find, () => mutant.put),
  );
  try {
    return outcomeOf(mutant);
  } finally {
    writeFileSync(file, text);
  }
}

const traces = straceProblem();
if (traces !== null) console.log(traces);
let wrong = 0;
try {
  for (const name of readdirSync(root).filter((name) => !leftOut.has(name))) {
    cpSync(join(root, name), join(copy, name), { recursive: true, filter: (path) => !path.endsWith('node_modules') });
  }
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  const unchanged = new Map<string, string>();
  for (const mutant of mutants) {
    if (traces !== null && mutant.run === 'test/store/fsync-order.test.ts') continue;
    const key = `${mutant.run} ${mutant.test}`;
    const without = unchanged.get(key) ?? outcomeOf(mutant);
    unchanged.set(key, without);
    const noticed = without === 'passed' && outcomeWith(mutant) === 'failed';
    if (!noticed) wrong += 1;
    const verdict = without === 'passed' ? (noticed ? 'noticed  ' : 'UNNOTICED') : `RED WITHOUT IT (${without})`;
    console.log(`${verdict} ${mutant.mistake}: ${mutant.run}, ${mutant.test}`);
  }
} finally {
  rmSync(copy, { recursive: true, force: true });
}
console.log(`${mutants.length} mistakes, ${wrong} of them not noticed as they should be`);
if (wrong > 0) process.exitCode = 1;
