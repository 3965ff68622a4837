import { expect, test } from 'vitest';
import { FreeCores, readUsage } from '../../src/training/free-cores.ts';

/** Four cores, read at times given by the test. */
function fourCores() {
  const usage = { now: 0, busy: 5000, own: 300 };
  const cores = new FreeCores(4, () => ({ ...usage }));
  const pass = (now: number, busy: number, own: number) => {
    usage.now += now;
    usage.busy += busy;
    usage.own += own;
    return cores.free;
  };
  return { cores, pass };
}

test('all cores are free until something was measured', () => {
  expect(fourCores().cores.free).toBe(4);
});

test('what this process uses itself is free, what others use is not', () => {
  const { pass } = fourCores();
  expect(pass(1000, 3000, 3000)).toBe(4);
  expect(pass(1000, 3000, 1000)).toBe(2);
  expect(pass(1000, 4000, 0)).toBe(0);
});

test('a moment is too short to tell', () => {
  const { pass } = fourCores();
  expect(pass(100, 400, 0)).toBe(4);
  expect(pass(900, 600, 0)).toBe(3);
});

test('ticks that run ahead or behind never make more cores than there are, nor fewer than none', () => {
  const { pass } = fourCores();
  expect(pass(1000, 900, 1000)).toBe(4);
  expect(pass(1000, 5000, 0)).toBe(0);
});

test('the usage of the machine only ever grows', () => {
  const before = readUsage();
  const after = readUsage();
  expect(after.now).toBeGreaterThanOrEqual(before.now);
  expect(after.busy).toBeGreaterThanOrEqual(before.busy);
  expect(after.own).toBeGreaterThanOrEqual(before.own);
});
