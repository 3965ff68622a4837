import { setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { expect, it } from 'vitest';
import { collectGarbage } from '../../src/training/collect-garbage.ts';
import { prepareMachine } from '../../src/training/revectorize.ts';

const abandoned = () => new WeakRef(new ArrayBuffer(1024));

it('what nothing refers to is gone once the machine is prepared; before that nothing happens', async () => {
  setFlagsFromString('--no-expose-gc');
  expect(collectGarbage).not.toThrow();
  prepareMachine();
  const left = abandoned();
  // What a weak reference was made for stays until the end of the turn.
  await nextTurn();
  collectGarbage();
  expect(left.deref()).toBeUndefined();
});
