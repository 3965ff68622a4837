/** The threads that are lent to one run, and their places in its team. */
import { clearPlace, declareLost, disband, recall, type TeamCells } from '../engine/wasm/team-cells.ts';
import type { Parcel } from './parcel.ts';
import type { ToWorker } from './protocol.ts';

/** What a thread is to do to help. */
export type HelpMessage = ToWorker & { readonly type: 'help' };

/** A run that wants help. */
export class Crew {
  readonly cells: TeamCells;
  /** By place in the team: who has it, or what awaits the next one. The place of a thread that died stays empty. */
  readonly #places: (Membership | Parcel | null)[];
  #disbanded = false;

  constructor(cells: TeamCells, work: readonly Parcel[]) {
    this.cells = cells;
    this.#places = [...work];
  }

  /** Threads that help and are not about to leave. */
  get members(): number {
    return this.#places.filter((place) => place instanceof Membership && !place.leaves).length;
  }

  get hasRoom(): boolean {
    return !this.#disbanded && this.#places.some(isFree);
  }

  /** Takes a free place. @throws {Error} when there is none */
  join(): Membership {
    const place = this.#places.findIndex(isFree);
    if (place < 0) throw new Error('the team is full');
    clearPlace(this.cells, place);
    const membership = new Membership(this, place, this.#places[place] as Parcel);
    this.#places[place] = membership;
    return membership;
  }

  /** The run has ended, or its thread is gone: everybody leaves. */
  disband(): void {
    this.#disbanded = true;
    disband(this.cells);
    for (const place of this.#places) if (isFree(place)) place.close();
  }

  /** @param work what awaits the next one; null: there is to be none */
  vacate(place: number, work: Parcel | null): void {
    this.#places[place] = work;
    if (this.#disbanded) work?.close();
  }
}

const isFree = (place: Membership | Parcel | null): place is Parcel => place !== null && !(place instanceof Membership);

/** The place of one thread in a crew. */
export class Membership {
  readonly crew: Crew;
  /** For the thread; its work has to be transferred. */
  readonly message: HelpMessage;
  readonly #place: number;
  #leaves = false;

  constructor(crew: Crew, place: number, work: Parcel) {
    this.crew = crew;
    this.#place = place;
    this.message = { type: 'help', work, member: place };
  }

  get leaves(): boolean {
    return this.#leaves;
  }

  /** The thread is wanted for something else; it leaves between two phases of a step. */
  recall(): void {
    this.#leaves = true;
    recall(this.crew.cells, this.#place);
  }

  /** The thread has left, and the work behind for the next one. */
  left(work: Parcel): void {
    this.crew.vacate(this.#place, work);
  }

  /** The thread has died, or could not do its part: the run must not wait for it. */
  lost(): void {
    this.crew.vacate(this.#place, null);
    declareLost(this.crew.cells, this.#place);
  }
}
