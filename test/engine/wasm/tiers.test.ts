import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';

const script = new URL('./tiers-training.ts', import.meta.url).pathname;
const trainedBy = (...flags: string[]) => execFileSync(process.execPath, [...flags, script], { encoding: 'utf8' });

it("gives the same bits by V8's baseline compiler alone, by its optimizing compiler alone, and with vectors joined", () => {
  const optimized = trainedBy('--no-liftoff');
  expect(optimized).toMatch(/^[0-9a-f]{64}\n$/);
  expect(trainedBy('--liftoff-only')).toBe(optimized);
  expect(trainedBy('--no-liftoff', '--experimental-wasm-revectorize')).toBe(optimized);
});
