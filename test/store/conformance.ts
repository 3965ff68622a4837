/** What every database must do for the store: run on SQLite in each test run, and on PostgreSQL. */
import { afterEach, beforeEach, describe } from 'vitest';
import type { Store } from '../../src/store/store.ts';
import { blobsConform } from './conformance/blobs.ts';
import { changesConform } from './conformance/changes.ts';
import { historiesConform } from './conformance/histories.ts';
import { jobsConform } from './conformance/jobs.ts';
import { queueConforms } from './conformance/queue.ts';
import { recordsConform } from './conformance/records.ts';
import { transactionsConform } from './conformance/transactions.ts';
import { webhooksConform } from './conformance/webhooks.ts';
import type { Place } from './places.ts';

/** The fresh place of the test that runs, and the store that is open on it. */
export interface Fixture {
  readonly store: Store;
  readonly place: Place;
  /** Closes the store until it is opened again. */
  close(): Promise<void>;
  /** Closes the store if it is open, and opens it again, as a restart does. */
  reopen(): Promise<Store>;
}

export function conformance(name: string, newPlace: () => Promise<Place>): void {
  describe(name, () => {
    let place: Place;
    let store: Store;
    let isOpen = false;

    async function close() {
      if (isOpen) await store.close();
      isOpen = false;
    }

    async function reopen() {
      await close();
      store = await place.open();
      isOpen = true;
      return store;
    }

    beforeEach(async () => {
      place = await newPlace();
      await reopen();
    });

    afterEach(async () => {
      await close();
      await place.remove();
    });

    const fixture: Fixture = {
      get store() {
        return store;
      },
      get place() {
        return place;
      },
      close,
      reopen,
    };

    describe('networks, data sets and idempotency keys', () => recordsConform(fixture));
    describe('jobs', () => jobsConform(fixture));
    describe('changes of a job', () => changesConform(fixture));
    describe('histories', () => historiesConform(fixture));
    describe('the queue', () => queueConforms(fixture));
    describe('webhooks', () => webhooksConform(fixture));
    describe('blobs', () => blobsConform(fixture));
    describe('transactions', () => transactionsConform(fixture));
  });
}
