/** The leader of the threads that carry out the steps of one network together. */
import type { Plan } from '../backend.ts';
import { shapes } from './lane-shape.ts';
import type { NetworkLayout } from './layout.ts';
import { argumentsOf, type Phase, phasesOf, type Stage } from './phases.ts';
import {
  changeState,
  createTeamCells,
  disband,
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

/** Whether steps of the plan are large enough to be divided. */
export function isWorthATeam(plan: Plan, batch: number, { least_operations = LEAST_OPERATIONS }: TeamOptions): boolean {
  return operationsPerStep(plan, batch) >= least_operations;
}

/** 2mkn per matrix product: three per layer, less the first layer's input gradient. */
export function operationsPerStep({ layers }: Plan, batch: number): number {
  return layers.reduce((sum, { input_size, units }, i) => sum + (i === 0 ? 4 : 6) * batch * input_size * units, 0);
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
  readonly #phases: Readonly<Record<Stage, readonly { readonly number: number; readonly phase: Phase }[]>>;
  readonly #granule: number;
  /** Those who work on the phase under way. */
  readonly #busy: number[] = [];
  /** How many threads carried out the last phase. */
  #threads = 1;

  /** @param exports of an instance of the module on the memory */
  constructor(
    module: WebAssembly.Module,
    memory: WebAssembly.Memory,
    exports: Record<string, unknown>,
    layout: Pick<NetworkLayout, 'tile' | 'plan'>,
    options: TeamOptions,
  ) {
    this.#cells = createTeamCells(options.members);
    const numbered = phasesOf(exports).map((phase, number) => ({ number, phase }));
    const of = (stage: Stage) => numbered.filter(({ phase }) => phase.stage === stage);
    this.#phases = { step: of('step'), update: of('update') };
    // Tiles and groups of samples may reach past the last row, so they must not end within a part.
    this.#granule = leastCommonMultiple(layout.tile.rows, shapes[layout.plan.precision].lanes);
    options.offer({ module, memory, cells: this.#cells });
  }

  get threads(): number {
    return this.#threads;
  }

  /** Whether anybody is there to help at present. */
  get isReady(): boolean {
    for (let member = 0; member < placesIn(this.#cells); member++) {
      if (Atomics.load(this.#cells, memberCell(member, 'state')) === memberStates.ready) return true;
    }
    return false;
  }

  /**
   * Carries out the phases of a stage, each with those who are ready at its start.
   * @throws {MemberLost} when nobody works on the phase any more, but a part of it may be missing
   */
  carryOut(stage: Stage, rows: number): void {
    for (const { number, phase } of this.#phases[stage]) this.#carryOut(number, phase, rows);
  }

  #carryOut(number: number, { split, run }: Phase, rows: number): void {
    const busy = this.#recruit();
    const parts = busy.length + 1;
    const granule = this.#granule;
    for (let i = 0; i < busy.length; i++) {
      this.#give(busy[i], number, argumentsOf(split, { part: i + 1, parts, rows, granule }));
    }
    run(...argumentsOf(split, { part: 0, parts, rows, granule }));
    this.#threads = parts;
    if (!this.#join(busy)) throw new MemberLost();
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

  /** Sends the members away for good. */
  disband(): void {
    disband(this.#cells);
  }
}

function leastCommonMultiple(a: number, b: number): number {
  let multiple = a;
  while (multiple % b !== 0) multiple += a;
  return multiple;
}
