/**
 * The shared memory by which several threads carry out one step: who takes part, what each is to do, who waits.
 *
 * One thread leads: it owns the network and does everything outside the phases of a step. The others are members. A member
 * is `ready` when the leader may give it work; the leader makes it `busy` for one phase. Only a `ready` member can leave,
 * so between two phases members come and go, and no bit of the result depends on how many there are.
 */
import type { WorkingCode } from './modules.ts';

/** Records of the cells, a cache line each: first the leader's, then one per member. */
const RECORD = 16;

/** Cells of every record. Whoever waits, waits for `signal` to change. */
const common = { signal: 0, asleep: 1 } as const;
const leaderCells = { ...common, disbanded: 2 } as const;
const memberCells = {
  ...common,
  state: 2,
  leave: 3,
  /** Number of the work given last, and of the work done last. */
  given: 4,
  done: 5,
  /** The work: a phase and the arguments of its function. */
  phase: 6,
  arguments: 7,
} as const;

export const memberStates = {
  /** No thread has this place, or not yet. */
  absent: 0,
  ready: 1,
  busy: 2,
  /** Its thread died. The place stays empty, because the leader may still wait for the member. */
  lost: 3,
} as const;

export type MemberState = keyof typeof memberStates;
export type TeamCells = Int32Array<SharedArrayBuffer>;

/** What a thread needs to take part in the steps of a compiled network. */
export interface TeamWork extends WorkingCode {
  readonly cells: TeamCells;
}

export function createTeamCells(members: number): TeamCells {
  return new Int32Array(new SharedArrayBuffer((1 + members) * RECORD * Int32Array.BYTES_PER_ELEMENT));
}

export const placesIn = (cells: TeamCells): number => cells.length / RECORD - 1;
export const leaderCell = (name: keyof typeof leaderCells): number => leaderCells[name];
export const memberCell = (member: number, name: keyof typeof memberCells): number =>
  (1 + member) * RECORD + memberCells[name];

/**
 * Loads before a thread goes to sleep, about 0.1 ms: longer than waking one takes. With less, who wakes late lets the
 * others fall asleep in turn. With more, much time is lost where the threads have to share a core with somebody.
 */
const SPINS = 16_000;

/** Waits until the signal is not `seen` any more: briefly awake, then asleep. */
export function waitForSignal(cells: TeamCells, signal: number, seen: number): void {
  for (let spin = 0; spin < SPINS; spin++) if (Atomics.load(cells, signal) !== seen) return;
  const asleep = signal + common.asleep - common.signal;
  // Whoever signals first changes the signal, then looks whether we sleep; so either we see the change or it sees us.
  Atomics.store(cells, asleep, 1);
  Atomics.wait(cells, signal, seen);
  Atomics.store(cells, asleep, 0);
}

export function raiseSignal(cells: TeamCells, signal: number): void {
  Atomics.add(cells, signal, 1);
  if (Atomics.load(cells, signal + common.asleep - common.signal) !== 0) Atomics.notify(cells, signal);
}

/** Whether the state was `from` and is now `to`. */
export function changeState(cells: TeamCells, member: number, from: MemberState, to: MemberState): boolean {
  const cell = memberCell(member, 'state');
  return Atomics.compareExchange(cells, cell, memberStates[from], memberStates[to]) === memberStates[from];
}

/** Asks a member to leave: it does so between two phases, or as soon as it starts. */
export function recall(cells: TeamCells, member: number): void {
  Atomics.store(cells, memberCell(member, 'leave'), 1);
  raiseSignal(cells, memberCell(member, 'signal'));
}

/** Tells the leader that the member's thread is gone. */
export function declareLost(cells: TeamCells, member: number): void {
  Atomics.store(cells, memberCell(member, 'state'), memberStates.lost);
  raiseSignal(cells, leaderCell('signal'));
}

/** Sends everybody away, whatever the leader does: it has ended, or its thread is gone. */
export function disband(cells: TeamCells): void {
  Atomics.store(cells, leaderCell('disbanded'), 1);
  for (let member = 0; member < placesIn(cells); member++) raiseSignal(cells, memberCell(member, 'signal'));
}

/** Makes a place that was left ready for the next thread. */
export function clearPlace(cells: TeamCells, member: number): void {
  Atomics.store(cells, memberCell(member, 'leave'), 0);
}
