/**
 * Kills a process 200 times while it saves checkpoints, and damages the newest checkpoint of 1,000 jobs: what is on the
 * disk must be whole and that of an undisturbed run, and a damaged one is passed over for the one before. Exits with 1
 * when anything else happens.
 *
 *     node scripts/checkpoint-proof.ts --kills 200 --damages 1000 --seed 1
 */
import { parseArgs } from 'node:util';
import { damageCheckpoints } from './checkpoints/damage.ts';
import { killWhileSaving } from './checkpoints/kills.ts';

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '200' },
    damages: { type: 'string', default: '1000' },
    seed: { type: 'string', default: '1' },
  },
});
const started = performance.now();
const seconds = () => ((performance.now() - started) / 1000).toFixed(0);

function complain(faults: readonly string[]): void {
  for (const fault of faults) console.log(`  ${fault}`);
  if (faults.length > 0) process.exitCode = 1;
}

const kills = await killWhileSaving(Number(values.kills), Number(values.seed));
console.log(
  `${kills.kills} kills while saving, ${kills.steps} checkpoints saved, ${kills.halves} writes torn: ` +
    `${kills.read} checkpoints read back, ${kills.faults.length} damaged, missing or wrong (${seconds()} s)`,
);
complain(kills.faults);
const damage = await damageCheckpoints(Number(values.damages), Number(values.seed));
console.log(
  `${damage.truncated} files cut off, ${damage.flipped} bits flipped: ${damage.faults.length} jobs did not go on from ` +
    `the checkpoint before and end as if nothing had happened (${seconds()} s)`,
);
complain(damage.faults);
