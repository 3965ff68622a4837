/** Lends idle threads to the runs with large steps, as long as cores are idle. */
import { Crew, type Membership } from './crew.ts';
import type { FromWorker } from './protocol.ts';
import type { Thread } from './thread.ts';

/** A thread of the pool, and whom it helps or who helps it. */
export interface Lendable {
  readonly thread: Pick<Thread, 'post'> | null;
  /** Whether the thread has come to life. */
  readonly online: boolean;
  readonly run: object | null;
  /** Those who help with its run. */
  crew: Crew | null;
  /** While it helps with the run of another thread. */
  membership: Membership | null;
}

/** How often the cores are counted while anybody could use them. */
const watchMs = 1_000;
/** An idle core is one of which others use less than a quarter; it is given up when they use three quarters. */
const [untouched, contested] = [0.25, 0.75];

export class Lending {
  readonly #places: readonly Lendable[];
  readonly #freeCores: () => number;
  #watch: NodeJS.Timeout | null = null;
  #closed = false;

  constructor(places: readonly Lendable[], freeCores: () => number) {
    this.#places = places;
    this.#freeCores = freeCores;
  }

  /** Takes notice of what a thread reports about help. */
  receive(place: Lendable, message: FromWorker): void {
    if (message.type === 'ended') {
      place.crew?.disband();
      place.crew = null;
    }
    if (message.type === 'help_wanted') place.crew = new Crew(message.cells, message.work);
    if (message.type === 'helped') {
      if (message.work === null) place.membership?.lost();
      else place.membership?.left(message.work);
      place.membership = null;
    }
    if (message.type !== 'progress' && message.type !== 'checkpoint') this.update();
  }

  /** The thread is gone: those it helped do not wait for it, those who helped it go. */
  threadEnded(place: Lendable): void {
    place.membership?.lost();
    place.crew?.disband();
    place.membership = null;
    place.crew = null;
  }

  /** To be called whenever a thread has become idle or busy: lends, evenly, or calls back. */
  update(): void {
    if (this.#closed) return;
    const crews = this.#places.flatMap(({ crew }) => crew ?? []);
    this.#keepWatch(crews.length > 0);
    if (crews.length === 0) return;
    const free = this.#freeCores();
    while (this.#atWork > Math.floor(free + contested) && this.#lent.length > 0) this.#lent[0].recall();
    while (this.#atWork < Math.floor(free + untouched) && this.#lendOne(crews));
    this.#evenOut(crews);
  }

  close(): void {
    this.#closed = true;
    this.#keepWatch(false);
  }

  get #lent(): Membership[] {
    return this.#places.flatMap(({ membership }) => (membership?.leaves === false ? [membership] : []));
  }

  get #atWork(): number {
    return this.#places.filter(({ run }) => run !== null).length + this.#lent.length;
  }

  /** Whether a thread was found for a run that wants one more. */
  #lendOne(crews: readonly Crew[]): boolean {
    const poorest = poorestOf(crews);
    const place = this.#places.find(({ online, run, membership }) => online && run === null && membership === null);
    if (poorest === undefined || place === undefined) return false;
    place.membership = poorest.join();
    const { message } = place.membership;
    place.thread?.post(message, [message.work]);
    return true;
  }

  /** A run that came later gets its share: from one that has two more, one moves over. */
  #evenOut(crews: readonly Crew[]): void {
    const poorest = poorestOf(crews);
    if (poorest !== undefined) this.#lent.find(({ crew }) => crew.members > poorest.members + 1)?.recall();
  }

  /** What other processes do is not reported by anybody. */
  #keepWatch(on: boolean): void {
    if (on && this.#watch === null) this.#watch = setInterval(() => this.update(), watchMs).unref();
    if (on || this.#watch === null) return;
    clearInterval(this.#watch);
    this.#watch = null;
  }
}

/** The run that has the fewest helpers and room for one more. */
function poorestOf(crews: readonly Crew[]): Crew | undefined {
  return crews.filter((crew) => crew.hasRoom).toSorted((a, b) => a.members - b.members)[0];
}
