/** A thread that helps the engine with its steps, one workload after the other. */
import { parentPort } from 'node:worker_threads';
import type { TeamWork } from '../../src/engine/wasm/team-cells.ts';
import { serveTeam } from '../../src/engine/wasm/team-member.ts';

parentPort?.on('message', ({ work, member }: { work: TeamWork; member: number }) => serveTeam(work, member));
