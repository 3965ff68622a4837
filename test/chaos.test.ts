import { expect, it } from 'vitest';
import { proveDurability } from '../scripts/chaos/proof.ts';

it('a server that is killed again and again loses no job, doubles none, and changes no bit of any', async () => {
  const report = await proveDurability({ kills: 2, jobs: 5, seed: 2, scale: 0.25, clients: 5 });
  expect(report).toMatchObject({ kills: 2, lost: 0, duplicated: 0, differences: [] });
  expect(report.acknowledged).toBe(5 * report.rounds);
}, 60_000);
