/** A peer's side: answers each line of its input, a request to measure, with a line of its output. */
import { createInterface } from 'node:readline';
import { type Workload, workloads } from './workloads.ts';

export interface Request {
  readonly workload: string;
  readonly seconds: number;
}

/** `null`: the peer cannot do it. */
export interface Answer {
  readonly seconds_per_step: number | null;
  readonly note?: string;
}

/** Runs a number of steps. */
export type Steps = (count: number) => void | Promise<void>;

/** Least time per step within the time given, in spells long enough for the clock. */
export async function measure(steps: Steps, seconds: number): Promise<number> {
  const end = performance.now() + seconds * 1000;
  let [count, least] = [1, Infinity];
  for (;;) {
    const start = performance.now();
    await steps(count);
    const took = performance.now() - start;
    if (took >= 5) least = Math.min(least, took / count / 1000);
    if (performance.now() >= end && least < Infinity) return least;
    if (took < 10) count = Math.ceil(count * Math.min(10, 15 / Math.max(took, 0.5)));
  }
}

/** Answers until the input ends. `prepare` is called once per workload, its time not measured; `note` says how it was done. */
export async function serve(
  prepare: (workload: Workload) => Steps | null | Promise<Steps | null>,
  note?: () => string,
): Promise<void> {
  const prepared = new Map<string, Steps | null>();
  for await (const line of createInterface({ input: process.stdin })) {
    const { workload: name, seconds } = JSON.parse(line) as Request;
    const workload = workloads.find((entry) => entry.name === name);
    if (workload !== undefined && !prepared.has(name)) prepared.set(name, await prepare(workload));
    const steps = prepared.get(name) ?? null;
    const seconds_per_step = steps && (await measure(steps, seconds));
    const answer: Answer = { seconds_per_step, ...(note ? { note: note() } : {}) };
    console.log(JSON.stringify(answer));
  }
}
