/**
 * Sends 40 jobs again and again to a server that is killed every 0.3 to 2 s, and compares what becomes of them with what
 * becomes of them undisturbed. Exits with 1 when a job is lost, exists twice or differs in a single bit.
 *
 *     npm run chaos -- --kills 20 --seed 1 --store postgres
 *
 * `--store postgres` keeps the state of the killed server in a PostgreSQL of its own, which is not killed.
 */
import { parseArgs } from 'node:util';
import { proveDurability } from './chaos/proof.ts';
import { databaseOf } from './own-postgres.ts';

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '20' },
    jobs: { type: 'string', default: '40' },
    seed: { type: 'string', default: '1' },
    store: { type: 'string', default: 'sqlite' },
  },
});
// The servers end with this process.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
const database = await databaseOf(values.store);
const report = await proveDurability({
  kills: Number(values.kills),
  jobs: Number(values.jobs),
  seed: Number(values.seed),
  log: console.log,
  ...(database && { database_url: await database.newUrl() }),
}).finally(() => database?.stop());
const { differences, seconds, ...counts } = report;
console.log(
  `${counts.kills} kills (${counts.whileStarting} of them while the server was starting) in ${seconds.toFixed(0)} s: ` +
    `${counts.acknowledged} jobs acknowledged in ${counts.rounds} rounds, ${counts.attempts} attempts, ${counts.retries} requests sent again`,
);
console.log(
  `lost ${counts.lost}, duplicated ${counts.duplicated}, ${differences.length} differences in ${counts.acknowledged} parameter hashes and ${counts.losses} loss values`,
);
for (const difference of differences) console.log(`  ${difference}`);
if (counts.lost + counts.duplicated + differences.length > 0) process.exitCode = 1;
