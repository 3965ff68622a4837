import { setFlagsFromString } from 'node:v8';
import type { WasmOptions } from '../engine/wasm/backend.ts';
import { probeRevectorizer, type RevectorizerProbe, roundsOnce } from '../engine/wasm/probe.ts';

export interface Machine extends RevectorizerProbe {
  /** Whether fused arithmetic is fused here; part of a run's fingerprint. */
  readonly fused: boolean;
}

/**
 * Sets V8 up for the compiled engine: the flags are process-wide and take effect for modules compiled after them.
 *
 * `--no-liftoff`: the baseline compiler's code is slow and never left by a loop that is already running.
 * `--experimental-wasm-revectorize`: joins pairs of 128-bit vectors into 256-bit ones (x64, V8 13.1 and later). It is
 * taken back where the probe does not see both the same bits and a clear gain.
 *
 * `--max-semi-space-size`: in MiB, of threads that are started from now on: neither training nor reading gains by more.
 *
 * `--expose-gc`: for `collectGarbage`.
 *
 * From now on V8 takes no code that was compiled with other flags: neither the modules that Node has compiled into itself
 * nor the files of the compile cache. A thread that has started before is there in half the time.
 */
export function prepareMachine(): Machine {
  setFlagsFromString('--no-liftoff');
  setFlagsFromString('--experimental-wasm-revectorize');
  setFlagsFromString('--max-semi-space-size=1');
  setFlagsFromString('--expose-gc');
  const probe = probeRevectorizer(() => performance.now());
  if (!probe.revectorized) setFlagsFromString('--no-experimental-wasm-revectorize');
  return { ...probe, fused: roundsOnce('fused') };
}

/** How networks are to be compiled here. */
export const compilerHere = (): WasmOptions => ({ revectorized: machine().revectorized });

let known: Machine | undefined;

/** What this process runs on; found once, before its threads compile anything, because the flags hold for all of them. */
export function machine(): Machine {
  known ??= prepareMachine();
  return known;
}
