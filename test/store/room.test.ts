import { expect, test } from 'vitest';
import { keepRoom } from '../../src/store/room.ts';
import { type Store, StoreError } from '../../src/store/store.ts';

test('a look that began before the disk was full does not say that there is room', async () => {
  let slow: PromiseWithResolvers<number> | null = null;
  const blobs = {
    put: async () => (slow === null ? 1 : slow.promise),
    delete: async () => true,
    async *list() {},
  };
  const create = async () => {
    throw new StoreError('storage_full', 'the disk is full');
  };
  const { store, room } = await keepRoom({ blobs, networks: { create } } as unknown as Store);
  slow = Promise.withResolvers<number>();
  const looking = room.regain();
  await expect(store.networks.create({} as never)).rejects.toMatchObject({ code: 'storage_full' });
  slow.resolve(1);
  expect(await looking).toBe(false);
  expect(room.isFull).toBe(true);
  expect(await room.regain()).toBe(true);
  expect(room.isFull).toBe(false);
});
