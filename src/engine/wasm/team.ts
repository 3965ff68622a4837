/** The leader of the threads that carry out the steps of one network together. */
import type { Plan } from '../backend.ts';
import type { WorkingCode } from './modules.ts';
import { argumentsOf, operationsPerStep, type Phase, partOf, type Span } from './phases.ts';
import {
  changeState,
  createTeamCells,
  leaderCell,
  memberCell,
  memberStates,
  placesIn,
  raiseSignal,
  type TeamCells,
  type TeamWork,
  waitForSignal,
} from './team-cells.ts';

export interface TeamOptions {
  /** How many threads may help at the same time. */
  readonly members: number;
  /** Steps of fewer floating-point operations are not worth two barriers. */
  readonly least_operations?: number;
  /** Called once, with what another thread needs to help. */
  readonly offer: (work: TeamWork) => void;
}

/** About 100 µs of one thread. */
const LEAST_OPERATIONS = 1e7;

/** Operations that are worth two barriers. */
export const leastOperations = ({ least_operations = LEAST_OPERATIONS }: TeamOptions): number => least_operations;

/** Whether steps of the plan are large enough to be divided. */
export function isWorthATeam(plan: Plan, batch: number, team: TeamOptions): boolean {
  return operationsPerStep(plan, batch) >= leastOperations(team);
}

/** A member's thread died within a phase: the state may be half updated. */
export class MemberLost extends Error {
  constructor() {
    super('a thread that took part in a step died');
    this.name = 'MemberLost';
  }
}

export class Team {
  readonly #cells: TeamCells;
  /** Those who work on the phase under way. */
  readonly #busy: number[] = [];

  constructor(code: WorkingCode, { members, offer }: TeamOptions) {
    this.#cells = createTeamCells(members);
    offer({ ...code, cells: this.#cells });
  }

  /** Whether anybody is there to help at present. */
  get isReady(): boolean {
    for (let member = 0; member < placesIn(this.#cells); member++) {
      if (Atomics.load(this.#cells, memberCell(member, 'state')) === memberStates.ready) return true;
    }
    return false;
  }

  /**
   * Carries out a span of a phase with those who are ready; returns how many threads that were.
   * @throws {MemberLost} when nobody works on it any more, but a part of it may be missing
   */
  carryOut({ number, split, run }: Phase, span: Span, rows: number, granule: number): number {
    const busy = this.#recruit();
    const parts = busy.length + 1;
    const part = (i: number) => argumentsOf(split, partOf(split, span, i, parts, granule), rows, i);
    for (let i = 0; i < busy.length; i++) this.#give(busy[i], number, part(i + 1));
    run(...part(0));
    if (!this.#join(busy)) throw new MemberLost();
    return parts;
  }

  #recruit(): readonly number[] {
    this.#busy.length = 0;
    for (let member = 0; member < placesIn(this.#cells); member++) {
      const leaves = Atomics.load(this.#cells, memberCell(member, 'leave')) !== 0;
      if (!leaves && changeState(this.#cells, member, 'ready', 'busy')) this.#busy.push(member);
    }
    return this.#busy;
  }

  #give(member: number, phase: number, values: readonly [number, number, number]): void {
    const cells = this.#cells;
    Atomics.store(cells, memberCell(member, 'phase'), phase);
    cells.set(values, memberCell(member, 'arguments'));
    Atomics.add(cells, memberCell(member, 'given'), 1);
    raiseSignal(cells, memberCell(member, 'signal'));
  }

  /** Waits for all of them; false when one is lost. */
  #join(busy: readonly number[]): boolean {
    const cells = this.#cells;
    let complete = true;
    for (const member of busy) {
      const given = Atomics.load(cells, memberCell(member, 'given'));
      for (;;) {
        const seen = Atomics.load(cells, leaderCell('signal'));
        if (Atomics.load(cells, memberCell(member, 'done')) === given) break;
        if (Atomics.load(cells, memberCell(member, 'state')) === memberStates.lost) break;
        waitForSignal(cells, leaderCell('signal'), seen);
      }
      if (Atomics.load(cells, memberCell(member, 'done')) !== given) complete = false;
      changeState(cells, member, 'busy', 'ready');
      // It may have wanted to leave while it was busy, and sleeps now.
      if (Atomics.load(cells, memberCell(member, 'leave')) !== 0) raiseSignal(cells, memberCell(member, 'signal'));
    }
    return complete;
  }
}
