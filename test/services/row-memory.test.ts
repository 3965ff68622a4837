import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { makeRoom } from '../../src/services/row-memory.ts';
import { prepareMachine } from '../../src/training/revectorize.ts';

/** Rows that nobody needs any more. */
function loadAndForget(bytes: number): WeakRef<SharedArrayBuffer> {
  makeRoom(bytes);
  return new WeakRef(new SharedArrayBuffer(bytes));
}

it('large rows that nobody needs any more are gone before the next ones are loaded', async () => {
  prepareMachine();
  const left = loadAndForget(2 ** 23);
  // What a weak reference was made for stays until the end of the turn.
  await nextTurn();
  makeRoom(1);
  expect(left.deref()).toBeUndefined();
});
