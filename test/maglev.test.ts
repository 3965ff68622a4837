import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import packageJson from '../package.json' with { type: 'json' };
import { maglevWarning } from '../src/maglev.ts';

test('whoever starts the service with the faulty compiler is told what to do instead', () => {
  const isAffected = process.versions.v8.startsWith('13.');
  const warning = expect.stringContaining('node --no-maglev src/server.ts');
  expect(maglevWarning([])).toEqual(isAffected ? warning : null);
  expect(maglevWarning(['--max-semi-space-size=4', '--no-maglev'])).toBe(null);
});

test('npm, the container and the tests start it without', () => {
  expect(process.execArgv).toContain('--no-maglev');
  expect(packageJson.scripts.start).toContain('node --no-maglev ');
  expect(packageJson.scripts.dev).toContain('node --no-maglev ');
  const dockerfile = readFileSync(new URL('../Dockerfile', import.meta.url), 'utf8');
  expect(JSON.parse(/^CMD (\[.*\])$/m.exec(dockerfile)![1])).toEqual(expect.arrayContaining(['node', '--no-maglev']));
});
