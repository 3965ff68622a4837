/** A large step, carried out piece by piece: by several threads, and so that it can be abandoned between two pieces. */
import type { Plan } from '../backend.ts';
import type { NetworkLayout } from './layout.ts';
import { argumentsOf, operationsPerStep, type Phase, partOf, phasesOf, type Stage, wholeSpan } from './phases.ts';
import { MemberLost, type Team } from './team.ts';

/** A piece of a phase takes less than 10 ms of one thread. */
export const PIECE_OPERATIONS = 1.5e9;

/** Each piece reads the weights again, which costs steps of hardly more than one piece up to a tenth; so they stay whole. */
const WHOLE_PIECES = 2;

/** Into how many pieces each phase of a step is cut, given the floating-point operations of a step for one piece. */
export function piecesOf(plan: Plan, batch: number, operations: number): number {
  const pieces = Math.ceil(operationsPerStep(plan, batch) / operations);
  return pieces <= WHOLE_PIECES ? 1 : pieces;
}

export class Stages {
  readonly #phases: Readonly<Record<Stage, readonly Phase[]>>;
  readonly #team: Team | null;
  readonly #plan: Plan;
  readonly #granule: number;
  readonly #pieceOperations: number;
  /** How many threads carried out the last piece. */
  #threads = 1;

  /** @param exports of an instance of a module that has phases */
  constructor(
    exports: Record<string, unknown>,
    { plan, granule }: Pick<NetworkLayout, 'plan' | 'granule'>,
    team: Team | null,
    pieceOperations: number,
  ) {
    const phases = phasesOf(exports);
    const of = (stage: Stage) => phases.filter((phase) => phase.stage === stage);
    this.#phases = { step: of('step'), update: of('update'), infer: of('infer'), evaluate: of('evaluate') };
    this.#team = team;
    this.#plan = plan;
    this.#pieceOperations = pieceOperations;
    this.#granule = granule;
  }

  get threads(): number {
    return this.#threads;
  }

  /** Whether a step of so many rows had better be taken in phases: several threads would do it, or it takes long. */
  areWorthIt(rows: number): boolean {
    return this.#team?.isReady === true || this.#pieces(rows) > 1;
  }

  /**
   * Carries out a stage; false when it was abandoned because `control` was set, the state half updated.
   * @throws {MemberLost} likewise, because a thread that helped has died
   */
  carryOut(stage: Stage, rows: number, control: Int32Array | undefined): boolean {
    const pieces = this.#pieces(rows);
    for (const phase of this.#phases[stage]) {
      for (let piece = 0; piece < pieces; piece++) {
        if (control !== undefined && Atomics.load(control, 0) !== 0) return false;
        this.#carryOut(phase, piece, pieces, rows);
      }
    }
    return true;
  }

  /**
   * Whether a team has carried out a stage of inference. When one of them dies over it nothing is lost: nothing is read of
   * what they wrote, so all of it can be computed again.
   */
  infer(stage: 'infer' | 'evaluate', rows: number): boolean {
    if (this.#team?.isReady !== true) return false;
    try {
      for (const phase of this.#phases[stage]) this.#carryOut(phase, 0, 1, rows);
      return true;
    } catch (thrown) {
      if (thrown instanceof MemberLost) return false;
      throw thrown;
    }
  }

  #pieces(rows: number): number {
    return piecesOf(this.#plan, rows, this.#pieceOperations);
  }

  #carryOut(phase: Phase, piece: number, pieces: number, rows: number): void {
    const { split, run } = phase;
    const span = partOf(split, wholeSpan(split, rows), piece, pieces, this.#granule);
    this.#threads = this.#team?.carryOut(phase, span, rows, this.#granule) ?? 1;
    if (this.#team === null) run(...argumentsOf(split, span, rows, 0));
  }
}
