/** Entry of a thread that trains: takes one run after the other. */
import { parentPort, receiveMessageOnPort, type Transferable, workerData } from 'node:worker_threads';
import { createBackend } from '../engine/backends.ts';
import type { WasmOptions } from '../engine/wasm/backend.ts';
import { keepMemories } from '../engine/wasm/data-memory.ts';
import { disband, placesIn, type TeamCells, type TeamWork } from '../engine/wasm/team-cells.ts';
import { serveTeam } from '../engine/wasm/team-member.ts';
import { codedError } from './coded-error.ts';
import { collectGarbage } from './collect-garbage.ts';
import { isLarge, sizeOf } from './memory.ts';
import { open, seal } from './parcel.ts';
import { lowerPriority } from './priority.ts';
import type { FromWorker, RunEnd, ToWorker, WorkerOptions } from './protocol.ts';
import type { CreateBackend } from './run.ts';
import { Session } from './session.ts';

const port = parentPort!;
const { niceness } = workerData as WorkerOptions;
let compiler: WasmOptions = {};

function send(message: FromWorker, transfer: readonly Transferable[] = []): void {
  port.postMessage(message, transfer);
}

function carryOut({ request, memories, ...message }: ToWorker & { readonly type: 'run' }): RunEnd {
  const { checkpoint, control, settings, helpers } = message;
  keepMemories(memories);
  const teams: TeamCells[] = [];
  const offer = (work: TeamWork) => {
    const { cells } = work;
    teams.push(cells);
    const parcels = Array.from({ length: placesIn(cells) }, () => seal(work));
    send({ type: 'help_wanted', cells, work: parcels }, parcels);
  };
  const team = helpers === 0 ? undefined : { members: helpers, offer };
  try {
    const create: CreateBackend = (...given) => createBackend(...given, { ...compiler, team });
    const receive = (): ToWorker | undefined => receiveMessageOnPort(port)?.message;
    const now = performance.now.bind(performance);
    return new Session(request, checkpoint, settings, { control, send, receive, now }, create).carryOut();
  } catch (thrown) {
    const error = codedError(thrown);
    return { kind: 'error', stop_reason: error.code === 'out_of_memory' ? 'out_of_memory' : 'worker_crashed', error };
  } finally {
    teams.forEach(disband);
  }
}

function help({ work: parcel, member }: ToWorker & { readonly type: 'help' }): void {
  try {
    const work = open(parcel);
    serveTeam(work, member);
    const next = seal(work);
    send({ type: 'helped', work: next }, [next]);
    // Shared memory is freed when the last thread has let go of it.
    if (isLarge(work.memory.buffer.byteLength)) setImmediate(collectGarbage);
  } catch {
    // Whatever it was, the run does without this thread: its leader carries out the step again.
    send({ type: 'helped', work: null });
    setImmediate(collectGarbage);
  }
}

port.on('message', (message: ToWorker) => {
  if (message.type === 'compiler') compiler = message.compiler;
  if (message.type === 'run') {
    send({ type: 'ended', end: carryOut(message) });
    // When nothing here refers to the run any more, not even the message.
    if (isLarge(sizeOf(message.request))) setImmediate(collectGarbage);
  }
  if (message.type === 'help') help(message);
});

lowerPriority(niceness);
send({ type: 'online' });
// What starting has left, when whoever has waited for the thread has been served.
setTimeout(collectGarbage, 500).unref();
