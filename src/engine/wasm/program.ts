/** What the back end needs of compiled code, whichever strategy it was compiled by. */
import type { BackendState, FloatArray, TrainingBlock } from '../backend.ts';
import type { Batches } from './batches.ts';

/** Consecutive steps of a block. */
export interface StepRange {
  readonly block: TrainingBlock;
  readonly batches: Batches;
  /** Indices into `batches`. */
  readonly first: number;
  readonly end: number;
  /** Without the help of other threads. */
  readonly alone?: boolean;
}

/** Compiled training code with the state it works on. */
export interface Program {
  /** Whether a step takes so long that none is begun once a stop has been asked for. */
  readonly isLarge: boolean;
  /** Whether a step takes so long, more than one piece, that it can be abandoned. */
  readonly abandons: boolean;
  /** Numbers that `save` copies. */
  readonly stateNumbers: number;
  /**
   * Runs steps and writes their losses to `losses[first … end)`. Ends early after the step at which `control` is set,
   * or after a step whose loss is not finite. Returns the number of steps run: 0 when the first of them takes long and
   * was abandoned because `control` was set; then the state has to be rolled back.
   */
  run(range: StepRange, losses: FloatArray): number;
  /** Whether all parameters and moments are finite. */
  finite(): boolean;
  /** Remembers the state, in place of what was remembered before. */
  save(): void;
  /** Goes back to the remembered state. */
  rollBack(): void;
  state(): BackendState;
  /** As `state`, perhaps in place of what was remembered: only until the next call, and `rollBack` needs a new `save`. */
  peek(): BackendState;
  restore(state: BackendState): void;
}
