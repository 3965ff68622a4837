/** The threads that are lent to one run, and their places in its team. */
import { clearPlace, declareLost, disband, placesIn, recall, type TeamWork } from '../engine/wasm/team-cells.ts';
import type { ToWorker } from './protocol.ts';

/** What a thread is to do to help. */
export type HelpMessage = ToWorker & { readonly type: 'help' };

/** A run that wants help. */
export class Crew {
  readonly work: TeamWork;
  /** By place in the team: who has it. The place of a thread that died stays taken. */
  readonly #places: (Membership | 'lost' | null)[];
  #disbanded = false;

  constructor(work: TeamWork) {
    this.work = work;
    this.#places = Array.from({ length: placesIn(work.cells) }, () => null);
  }

  /** Threads that help and are not about to leave. */
  get members(): number {
    return this.#places.filter((place) => place instanceof Membership && !place.leaves).length;
  }

  get hasRoom(): boolean {
    return !this.#disbanded && this.#places.includes(null);
  }

  /** Takes a free place. @throws {Error} when there is none */
  join(): Membership {
    const place = this.#places.indexOf(null);
    if (place < 0) throw new Error('the team is full');
    clearPlace(this.work.cells, place);
    const membership = new Membership(this, place);
    this.#places[place] = membership;
    return membership;
  }

  /** The run has ended, or its thread is gone: everybody leaves. */
  disband(): void {
    this.#disbanded = true;
    disband(this.work.cells);
  }

  vacate(place: number, lost: boolean): void {
    this.#places[place] = lost ? 'lost' : null;
  }
}

/** The place of one thread in a crew. */
export class Membership {
  readonly crew: Crew;
  readonly #place: number;
  #leaves = false;

  constructor(crew: Crew, place: number) {
    this.crew = crew;
    this.#place = place;
  }

  get message(): HelpMessage {
    return { type: 'help', work: this.crew.work, member: this.#place };
  }

  get leaves(): boolean {
    return this.#leaves;
  }

  /** The thread is wanted for something else; it leaves between two phases of a step. */
  recall(): void {
    this.#leaves = true;
    recall(this.crew.work.cells, this.#place);
  }

  /** The thread has left. */
  left(): void {
    this.crew.vacate(this.#place, false);
  }

  /** The thread has died, or could not do its part: the run must not wait for it. */
  lost(): void {
    this.crew.vacate(this.#place, true);
    declareLost(this.crew.work.cells, this.#place);
  }
}
