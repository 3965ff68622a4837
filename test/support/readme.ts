/** Reads the README as a newcomer does: its shell blocks are commands, the block right after one is what it printed. */
import { readFileSync } from 'node:fs';

export interface Command {
  /** The block's line in the file, for messages. */
  readonly line: number;
  readonly script: string;
  /** The text of the block that follows directly, if one does: what the README says the commands print. */
  readonly printed: { readonly language: string; readonly text: string } | null;
}

export interface Readme {
  readonly text: string;
  readonly commands: readonly Command[];
}

export function readReadme(file: string): Readme {
  const text = readFileSync(file, 'utf8');
  const blocks = [...text.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map((match) => ({
    start: match.index,
    end: match.index + match[0].length,
    line: text.slice(0, match.index).split('\n').length,
    language: match[1]!,
    text: match[2]!,
  }));
  const commands = blocks.flatMap((block, index) => {
    if (block.language !== 'sh') return [];
    const next = blocks[index + 1];
    const follows = next !== undefined && next.language !== 'sh' && text.slice(block.end, next.start).trim() === '';
    return [{ line: block.line, script: block.text, printed: follows ? next : null }];
  });
  return { text, commands };
}

/** Cells of the Markdown table whose first header cell is `header`: one array per row, backticks taken off. */
export function tableOf(text: string, header: string): string[][] {
  const lines = text.split('\n');
  const start = lines.findIndex((line) => line.startsWith('|') && line.split('|')[1]?.trim() === header);
  if (start < 0) throw new Error(`no table whose first column is ${header}`);
  const rows: string[][] = [];
  for (let line = start + 2; lines[line]?.startsWith('|'); line++) {
    const cells = lines[line]!.split(/(?<!\\)\|/).slice(1, -1);
    rows.push(cells.map((cell) => cell.trim().replaceAll('`', '')));
  }
  return rows;
}

/**
 * Where `actual` is not what the documentation shows, as pointers; empty when it is. The documentation may leave out
 * fields, end an array or a string with `…`, and shows ids, times and hashes of its own run.
 */
export function differences(shown: unknown, actual: unknown, pointer = ''): string[] {
  if (typeof shown === 'string') return sameText(shown, actual) ? [] : [`${pointer}: ${JSON.stringify(actual)}`];
  if (typeof shown === 'number') return sameNumber(shown, actual) ? [] : [`${pointer}: ${JSON.stringify(actual)}`];
  if (Array.isArray(shown)) {
    if (!Array.isArray(actual)) return [`${pointer}: not an array`];
    const open = shown.at(-1) === '…';
    const entries = open ? shown.slice(0, -1) : shown;
    const wrongLength = open ? actual.length < entries.length : actual.length !== entries.length;
    if (wrongLength) return [`${pointer}: ${actual.length} entries`];
    return entries.flatMap((entry, index) => differences(entry, actual[index], `${pointer}/${index}`));
  }
  if (typeof shown === 'object' && shown !== null) {
    if (typeof actual !== 'object' || actual === null) return [`${pointer}: not an object`];
    const fields = actual as Record<string, unknown>;
    return Object.entries(shown).flatMap(([key, value]) => differences(value, fields[key], `${pointer}/${key}`));
  }
  return shown === actual ? [] : [`${pointer}: ${JSON.stringify(actual)}`];
}

const itsOwn = [/^(net|job|ds)_[0-9a-z-]+$/, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/, /^[0-9a-f]{64}$/];

function sameText(shown: string, actual: unknown): boolean {
  if (typeof actual !== 'string') return false;
  if (itsOwn.some((pattern) => pattern.test(shown) && pattern.test(actual))) return true;
  if (shown.endsWith('…')) return actual.startsWith(shown.slice(0, -1));
  const plain = (text: string) => text.replaceAll(/(net|job|ds)_[0-9a-z-]+/g, '$1_');
  return plain(shown) === plain(actual);
}

/** A CPU without fused multiply-add rounds float32 training differently, by parts in a million; 1e-3 tells a wrong number from that. */
function sameNumber(shown: number, actual: unknown): boolean {
  return typeof actual === 'number' && Math.abs(shown - actual) <= 1e-3 * Math.abs(shown) + 1e-9;
}
