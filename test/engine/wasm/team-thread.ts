/** Entry of a thread that serves one team after the other. */
import { parentPort } from 'node:worker_threads';
import {
  changeState,
  declareLost,
  leaderCell,
  memberCell,
  raiseSignal,
  type TeamWork,
  waitForSignal,
} from '../../../src/engine/wasm/team-cells.ts';
import { serveTeam } from '../../../src/engine/wasm/team-member.ts';

/** How a member behaves: like any other, or it is lost in its n-th phase without having done anything in it. */
export interface Service {
  readonly work: TeamWork;
  readonly member: number;
  readonly lost_in?: number | undefined;
}

parentPort!.on('message', ({ work, member, lost_in }: Service) => {
  if (lost_in === undefined) serveTeam(work, member);
  else serveUntilLost(work, member, lost_in);
  parentPort!.postMessage('left');
});

/** Says that it has done its part until it is lost; so all but the phases of the last step may be wrong. */
function serveUntilLost({ cells }: TeamWork, member: number, phases: number): void {
  const [signal, given, done] = (['signal', 'given', 'done'] as const).map((name) => memberCell(member, name));
  changeState(cells, member, 'absent', 'ready');
  raiseSignal(cells, leaderCell('signal'));
  for (;;) {
    const seen = Atomics.load(cells, signal);
    const number = Atomics.load(cells, given);
    if (number === phases) {
      declareLost(cells, member);
      return;
    }
    if (number !== Atomics.load(cells, done)) {
      Atomics.store(cells, done, number);
      raiseSignal(cells, leaderCell('signal'));
    } else waitForSignal(cells, signal, seen);
  }
}
parentPort!.postMessage('up');
