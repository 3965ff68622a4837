/** Reads what `strace -f -yy` has written: system calls of all threads, each with when it began and when it had ended. */

export interface Call {
  readonly name: string;
  /** The arguments as strace prints them, as far as they are printed when the call begins. */
  readonly text: string;
  /** The path behind the file descriptor that is the first argument; empty when it is none. */
  readonly path: string;
  /** Lines of the trace: a call that ends in line 7 has ended before one that begins in line 8 begins. */
  readonly began: number;
  /** Infinity when the trace ends before the call does. */
  readonly ended: number;
  readonly failed: boolean;
}

const whole = /^(\d+) +(\w+)\((.*)\) += (-?\d+|\?).*$/s;
const unfinished = /^(\d+) +(\w+)\((.*) <unfinished \.\.\.>$/s;
const resumed = /^(\d+) +<\.\.\. (\w+) resumed>.* = (-?\d+|\?)/s;

type Open = Omit<Call, 'ended' | 'failed'>;

const begin = (name: string, text: string, line: number): Open => ({
  name,
  text,
  path: /^\d+<([^>]*)>/.exec(text)?.[1] ?? '',
  began: line,
});

export function parseTrace(trace: string): Call[] {
  const calls: Call[] = [];
  const open = new Map<string, Open>();
  for (const [line, entry] of trace.split('\n').entries()) {
    const complete = whole.exec(entry);
    if (complete !== null) {
      const [, , name, text, result] = complete;
      calls.push({ ...begin(name!, text!, line), ended: line, failed: Number(result) < 0 });
      continue;
    }
    const started = unfinished.exec(entry);
    if (started !== null) open.set(started[1]!, begin(started[2]!, started[3]!, line));
    const finished = resumed.exec(entry);
    const call = finished === null ? undefined : open.get(finished[1]!);
    if (call === undefined) continue;
    open.delete(finished![1]!);
    calls.push({ ...call, ended: line, failed: Number(finished![3]) < 0 });
  }
  for (const call of open.values()) calls.push({ ...call, ended: Number.POSITIVE_INFINITY, failed: false });
  return calls.sort((a, b) => a.began - b.began);
}
