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

/** How a member behaves: like any other; or it does nothing, and at its n-th piece of work is lost, or asks for a stop. */
export interface Service {
  readonly work: TeamWork;
  readonly member: number;
  readonly lost_in?: number;
  readonly stop_in?: number;
  readonly control?: Int32Array;
}

parentPort!.on('message', (service: Service) => {
  if (service.lost_in === undefined && service.stop_in === undefined) serveTeam(service.work, service.member);
  else pretend(service);
  parentPort!.postMessage('left');
});

/** Says that it has done its work, which makes the step wrong: the leader must take it back. */
function pretend({ work: { cells }, member, lost_in, stop_in, control }: Service): void {
  const [signal, given, done] = (['signal', 'given', 'done'] as const).map((name) => memberCell(member, name));
  changeState(cells, member, 'absent', 'ready');
  raiseSignal(cells, leaderCell('signal'));
  for (;;) {
    const seen = Atomics.load(cells, signal);
    const number = Atomics.load(cells, given);
    if (number === lost_in) {
      declareLost(cells, member);
      return;
    }
    if (Atomics.load(cells, leaderCell('disbanded')) !== 0) {
      changeState(cells, member, 'ready', 'absent');
      return;
    }
    if (number === stop_in) Atomics.store(control!, 0, 1);
    if (number !== Atomics.load(cells, done)) {
      Atomics.store(cells, done, number);
      raiseSignal(cells, leaderCell('signal'));
    } else waitForSignal(cells, signal, seen);
  }
}

parentPort!.postMessage('up');
