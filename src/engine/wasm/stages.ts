/** A large step, carried out piece by piece: by several threads, and so that it can be abandoned between two pieces. */
import type { Plan } from '../backend.ts';
import { shapes } from './lane-shape.ts';
import type { NetworkLayout } from './layout.ts';
import { argumentsOf, operationsPerStep, type Phase, partOf, phasesOf, type Stage, wholeSpan } from './phases.ts';
import type { Team } from './team.ts';

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
    { plan, tile }: Pick<NetworkLayout, 'plan' | 'tile'>,
    team: Team | null,
    pieceOperations: number,
  ) {
    const phases = phasesOf(exports);
    const of = (stage: Stage) => phases.filter((phase) => phase.stage === stage);
    this.#phases = { step: of('step'), update: of('update'), infer: of('infer') };
    this.#team = team;
    this.#plan = plan;
    this.#pieceOperations = pieceOperations;
    // Tiles and groups of samples may reach past the last row, so they must not end within a part.
    this.#granule = leastCommonMultiple(tile.rows, shapes[plan.precision].lanes);
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

  #pieces(rows: number): number {
    return piecesOf(this.#plan, rows, this.#pieceOperations);
  }

  #carryOut(phase: Phase, piece: number, pieces: number, rows: number): void {
    const { split, run } = phase;
    const span = partOf(split, wholeSpan(split, rows), piece, pieces, this.#granule);
    this.#threads = this.#team?.carryOut(phase, span, rows, this.#granule) ?? 1;
    if (this.#team === null) run(...argumentsOf(split, span, rows));
  }
}

function leastCommonMultiple(a: number, b: number): number {
  let multiple = a;
  while (multiple % b !== 0) multiple += a;
  return multiple;
}
