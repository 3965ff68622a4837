import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { mutants } from '../scripts/mutants/table.ts';
import { coveringCells, nameOf } from '../scripts/resume-grid.ts';

const root = resolve(import.meta.dirname, '..');
const tests = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts') && name !== 'mutants.test.ts')
  .map((name) => readFileSync(join(root, 'test', name), 'utf8'))
  .concat(coveringCells.map(nameOf));

/** `node scripts/mutants.ts` makes the mistakes; here is only seen to it that it can. */
describe.each(mutants.map((mutant) => [`${mutant.mistake} (${mutant.run})`, mutant] as const))(
  '%s',
  (_name, mutant) => {
    it('can still be made', () => {
      expect(readFileSync(join(root, mutant.file), 'utf8').split(mutant.find)).toHaveLength(2);
    });

    it('has a test that has to notice it', () => {
      expect(tests.filter((text) => text.includes(mutant.test))).toHaveLength(1);
      expect(readdirSync(join(root, mutant.run, '..'))).toContain(mutant.run.split('/').at(-1));
    });
  },
);
