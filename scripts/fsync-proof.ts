/**
 * Traces a server's system calls while it answers a sample of requests, and checks that nothing is acknowledged before it
 * is on the disk, and that no record names a file that is not. Exits with 1 when it finds otherwise, with 2 when strace
 * cannot be used here.
 *
 *     node scripts/fsync-proof.ts
 */
import { straceProblem, traceServer } from './fsync/run.ts';

const problem = straceProblem();
if (problem !== null) {
  console.error(problem);
  process.exit(2);
}
const { answers, creations, blobs, directories, faults } = await traceServer();
console.log(
  `${answers} answers, of which ${creations} acknowledge a creation, ${blobs} blobs, ${directories} directories made: ` +
    `${faults.length} acknowledged or named before they were synced`,
);
for (const fault of faults) console.log(`  ${fault}`);
if (faults.length > 0) process.exitCode = 1;
