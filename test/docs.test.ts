import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { waitForReadyLine } from '../scripts/ready-line.ts';
import { limitNames, limits, limitVariable, settings } from '../src/config.ts';
import { errors } from '../src/errors.ts';
import { type Command, differences, readReadme, tableOf } from './support/readme.ts';

const root = resolve(import.meta.dirname, '..');
const readme = readReadme(join(root, 'README.md'));
const withCurl = readme.commands.filter(({ script }) => script.includes('curl '));
const printedBase = 'http://127.0.0.1:3000';

describe('the README', () => {
  it('lists exactly the errors of the registry, with their status', () => {
    const rows = tableOf(readme.text, 'Code').map(([code, status]) => [code, Number(status)]);
    expect(Object.fromEntries(rows)).toEqual(
      Object.fromEntries(Object.entries(errors).map(([code, { status }]) => [code, status])),
    );
  });

  it('lists exactly the settings and limits of the configuration', () => {
    const names = tableOf(readme.text, 'Variable').map(([name]) => name);
    expect(names).toEqual([...Object.keys(settings), ...limitNames.map(limitVariable)]);
    const defaults = Object.fromEntries(tableOf(readme.text, 'Variable').map(([name, value]) => [name, value]));
    for (const name of limitNames) expect(defaults[limitVariable(name)]).toBe(String(limits[name].default));
  });

  it('names only npm scripts that exist', () => {
    const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: object };
    const named = [...readme.text.matchAll(/npm (?:run )?(start|test|[a-z]+(?:[:-][a-z]+)*)/g)].map(
      (match) => match[1]!,
    );
    const missing = named.filter((name) => !['ci', 'install', 'view'].includes(name) && !Object.hasOwn(scripts, name));
    expect(named).toContain('start');
    expect(missing).toEqual([]);
  });

  it('names only files that exist', () => {
    const named = [...readme.text.matchAll(/\]\((?!https?:|#)([^)#]+)\)/g)].map((match) => match[1]!);
    expect(named.filter((file) => !existsSync(join(root, file)))).toEqual([]);
  });
});

describe("the README's curl commands, run in order against a fresh server", () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'trainyard-docs-'));
  const state = join(dataDir, 'shell-variables');
  let server: ChildProcess;
  let base = '';

  beforeAll(async () => {
    const env = { ...process.env, HOST: '127.0.0.1', PORT: '0', DATA_DIR: dataDir, LOG_LEVEL: 'info', API_KEYS: '' };
    server = spawn(process.execPath, ['src/server.ts'], { cwd: root, env, stdio: ['ignore', 'pipe', 'inherit'] });
    base = await waitForReadyLine(server);
  });

  afterAll(() => {
    server?.kill('SIGKILL');
    rmSync(dataDir, { recursive: true, force: true });
  });

  /** One block in a shell that knows the variables of the blocks before it, as the reader's terminal does. */
  async function run({ script }: Command): Promise<string> {
    const prelude = `set -eo pipefail; touch ${state}; . ${state}; trap 'declare -p | grep -E "declare -- [A-Z_]+=" | grep -vE "BASH|IFS|PS4" > ${state}' EXIT`;
    const text = `${prelude}\n${script.replaceAll(printedBase, base)}`;
    const { stdout } = await promisify(execFile)('bash', ['-c', text], { cwd: root, timeout: 60_000 });
    return stdout;
  }

  it.each(withCurl.map((command) => [command.line, command] as const))(
    'line %i prints what it says',
    async (_line, command) => {
      const stdout = await run(command);
      expect(stdout).not.toMatch(/"code":\s*"internal_error"/);
      if (command.printed === null) return;
      const { language, text } = command.printed;
      if (language === 'json') expect(differences(JSON.parse(text), JSON.parse(stdout))).toEqual([]);
      else expect(stdout.replaceAll(base, printedBase).trim()).toBe(text.trim());
    },
  );
});
