const rows = 10;
const columns = 72;
const blocks = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/** Draws losses against epochs for a terminal: bars of eighths, `!` where a loss is not finite. */
export function lossChart(epochs: readonly number[], losses: readonly number[]): string {
  const width = Math.min(columns, losses.length);
  const picked = Array.from({ length: width }, (_, column) =>
    Math.round((column * (losses.length - 1)) / Math.max(1, width - 1)),
  );
  const finite = losses.filter(Number.isFinite);
  if (finite.length === 0) return '  (no finite loss)';
  const highest = finite.reduce((a, b) => Math.max(a, b));
  const lowest = finite.reduce((a, b) => Math.min(a, b));
  const span = highest - lowest || 1;
  const lines = Array.from({ length: rows }, (_, line) => {
    const bars = picked.map((index) => bar(losses[index]!, lowest, span, rows - 1 - line)).join('');
    const label = line === 0 ? highest : line === rows - 1 ? lowest : null;
    return `${(label === null ? '' : label.toPrecision(5)).padStart(10)} │${bars}`;
  });
  lines.push(`${' '.repeat(10)} └${'─'.repeat(width)}`);
  lines.push(
    `${' '.repeat(12)}epoch ${epochs[0]}${`${epochs.at(-1)}`.padStart(Math.max(1, width - `epoch ${epochs[0]}`.length))}`,
  );
  return lines.join('\n');
}

/** The character of one column at one height: full below the value, eighths at it, blank above. */
function bar(loss: number, lowest: number, span: number, height: number): string {
  if (!Number.isFinite(loss)) return '!';
  const eighths = Math.round(((loss - lowest) / span) * rows * 8) - height * 8;
  if (eighths <= 0) return height === 0 ? blocks[1]! : ' ';
  return blocks[Math.min(8, eighths)]!;
}
