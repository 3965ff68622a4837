/** Reads a Dockerfile and carries out its steps in a scratch directory, as far as no container engine is needed. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

export interface Instruction {
  readonly name: string;
  readonly text: string;
}

export interface Stage {
  readonly base: string;
  readonly name: string;
  readonly instructions: readonly Instruction[];
}

/** One entry per FROM, with the instructions that follow it; continuation lines joined, comments dropped. */
export function readStages(file: string): Stage[] {
  const stages: { base: string; name: string; instructions: Instruction[] }[] = [];
  const lines = readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .join('\n')
    .replaceAll(/\\\n\s*/g, ' ')
    .split('\n')
    .filter((line) => line.trim() !== '');
  for (const line of lines) {
    const [, name, text] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? [];
    if (name === undefined || text === undefined) throw new Error(`not an instruction: ${line}`);
    if (name === 'FROM') {
      const [base, , alias] = text.split(/\s+/);
      stages.push({ base: base!, name: alias ?? String(stages.length), instructions: [] });
    } else {
      stages.at(-1)!.instructions.push({ name, text });
    }
  }
  return stages;
}

/** The value of the last instruction of that name in exec form: `CMD ["node", "x"]` → ['node', 'x']. */
export function execForm(stage: Stage, name: string): string[] {
  const text = stage.instructions.findLast((instruction) => instruction.name === name)?.text ?? '';
  return JSON.parse(/\[.*\]/.exec(text)?.[0] ?? 'null') as string[];
}

/** The environment that the stage's ENV instructions set. */
export function environment(stage: Stage): Record<string, string> {
  const pairs = stage.instructions
    .filter((instruction) => instruction.name === 'ENV')
    .flatMap((instruction) => [...instruction.text.matchAll(/(\w+)=("[^"]*"|\S+)/g)]);
  return Object.fromEntries(pairs.map(([, key, value]) => [key!, value!.replaceAll('"', '')]));
}

/** Carries out COPY, WORKDIR and RUN of one stage below `root`; `context` is the build context. */
export function build(stage: Stage, roots: Readonly<Record<string, string>>, context: string, path: string): void {
  const root = roots[stage.name]!;
  const inside = (place: string, workdir: string) => join(root, place.startsWith('/') ? place : join(workdir, place));
  let workdir = '/';
  for (const { name, text } of stage.instructions) {
    if (name === 'WORKDIR') {
      workdir = text;
      mkdirSync(join(root, workdir), { recursive: true });
    } else if (name === 'COPY') {
      copy(text, (place) => inside(place, workdir), roots, context);
    } else if (name === 'RUN') {
      // Absolute paths of the image are paths below the scratch root here.
      const command = text.replaceAll(/(?<=\s)\/(?=\w)/g, `${root}/`);
      execFileSync('sh', ['-c', command], {
        cwd: join(root, workdir),
        // The host's own settings, so that npm finds the registry and the cache that this machine uses.
        env: { ...process.env, PATH: path },
        stdio: 'pipe',
      });
    }
  }
}

function copy(
  text: string,
  inside: (place: string) => string,
  roots: Readonly<Record<string, string>>,
  context: string,
): void {
  const words = text.split(/\s+/);
  const from = words[0]!.startsWith('--from=') ? roots[words.shift()!.slice('--from='.length)]! : context;
  const target = words.pop()!;
  for (const word of words) {
    const source = join(from, word);
    const isFolder = statSync(source).isDirectory();
    const place = isFolder || !target.endsWith('/') ? inside(target) : join(inside(target), basename(source));
    mkdirSync(dirname(place), { recursive: true });
    cpSync(source, isFolder || target !== './' ? place : join(inside('.'), basename(source)), { recursive: true });
  }
}
