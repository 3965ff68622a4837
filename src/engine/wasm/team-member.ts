/** A thread that helps another one with the steps of its network. */

import { instantiate } from './modules.ts';
import { phasesOf } from './phases.ts';
import {
  changeState,
  declareLost,
  leaderCell,
  memberCell,
  raiseSignal,
  type TeamWork,
  waitForSignal,
} from './team-cells.ts';

/** Carries out what the leader gives to the member at this place, until it is recalled or the team is disbanded. */
export function serveTeam(work: TeamWork, member: number): void {
  const { cells } = work;
  const cell = (name: Parameters<typeof memberCell>[1]) => memberCell(member, name);
  const [signal, given, done, task] = [cell('signal'), cell('given'), cell('done'), cell('arguments')];
  const phases = phasesOf(instantiate(work).exports);
  Atomics.store(cells, done, Atomics.load(cells, given));
  changeState(cells, member, 'absent', 'ready');
  raiseSignal(cells, leaderCell('signal'));
  for (;;) {
    const seen = Atomics.load(cells, signal);
    const number = Atomics.load(cells, given);
    if (number !== Atomics.load(cells, done)) {
      phases[Atomics.load(cells, cell('phase'))].run(cells[task], cells[task + 1], cells[task + 2]);
      Atomics.store(cells, done, number);
      raiseSignal(cells, leaderCell('signal'));
    } else if (Atomics.load(cells, leaderCell('disbanded')) !== 0) {
      // Busy without work: the leader has died, or it must not wait for us.
      if (!changeState(cells, member, 'ready', 'absent')) declareLost(cells, member);
      return;
    } else if (Atomics.load(cells, cell('leave')) !== 0 && changeState(cells, member, 'ready', 'absent')) return;
    else waitForSignal(cells, signal, seen);
  }
}
