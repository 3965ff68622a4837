import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createTeamCells, type TeamWork } from '../../src/engine/wasm/team-cells.ts';
import { type Lendable, Lending } from '../../src/training/lending.ts';
import { type Parcel, seal } from '../../src/training/parcel.ts';
import type { ToWorker } from '../../src/training/protocol.ts';

/** A thread that only remembers what it was told. */
type Place = { -readonly [K in keyof Lendable]: Lendable[K] } & { told: ToWorker[] };

const run = {};
let places: Place[];
let free: number;
let lending: Lending;

beforeEach(() => {
  free = 6;
  places = Array.from({ length: 6 }, () => {
    const told: ToWorker[] = [];
    const thread = { post: (message: ToWorker) => void told.push(message) };
    return { thread, online: true, run: null, crew: null, membership: null, told };
  });
  lending = new Lending(places, () => free);
});
afterEach(() => lending.close());

const work: TeamWork = {
  module: new WebAssembly.Module(new Uint8Array([0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00])),
  memory: new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }),
  data: {},
  cells: createTeamCells(0),
};

/** The run of a place says that its steps are large. Returns what it has for those who help. */
function wantHelp(place: Place, members = 5): Parcel[] {
  const parcels = Array.from({ length: members }, () => seal(work));
  place.run = run;
  lending.receive(place, { type: 'help_wanted', cells: createTeamCells(members), work: parcels });
  return parcels;
}

const leave = (place: Place, left: Parcel | null = seal(work)) =>
  lending.receive(place, { type: 'helped', work: left });
const helps = (place: Place) => place.membership?.leaves === false;
const helping = () => places.filter(helps).length;
/** Those that were called back leave. */
const settle = () => {
  for (const place of places) if (place.membership?.leaves) leave(place);
};

describe('idle threads', () => {
  test('help the run that wants help, each at a place of its own', () => {
    wantHelp(places[0]);
    const members = places.slice(1).map(({ told }) => told.map((message) => message.type === 'help' && message.member));
    expect(members).toEqual([[0], [1], [2], [3], [4]]);
  });

  test('help no more than the run has room for', () => {
    wantHelp(places[0], 2);
    expect(helping()).toBe(2);
  });

  test('are divided evenly between two runs, the later one getting its share', () => {
    places[5].run = run;
    wantHelp(places[0]);
    expect(places[0].crew?.members).toBe(4);
    wantHelp(places[5]);
    for (let i = 0; i < 4; i++) settle();
    expect([places[0].crew?.members, places[5].crew?.members]).toEqual([2, 2]);
    expect(helping()).toBe(4);
  });

  test('that have died or failed are not waited for, and their place is given to nobody', () => {
    wantHelp(places[0], 2);
    leave(places[1], null);
    lending.threadEnded(places[2]);
    lending.update();
    expect(helping()).toBe(0);
  });

  test('go when the run has ended, and are there for the next one', () => {
    wantHelp(places[0]);
    places[0].run = null;
    lending.receive(places[0], { type: 'ended', end: { kind: 'cancelled' } });
    for (const place of places.slice(1)) leave(place);
    wantHelp(places[3]);
    expect(helping()).toBe(5);
  });

  test('are given what the run has for them, and after them the next ones what they have left behind', () => {
    const [first] = wantHelp(places[0], 1);
    const given = () => places.flatMap(({ told }) => told.map((message) => message.type === 'help' && message.work));
    expect(given()).toEqual([first]);
    const next = seal(work);
    places[1].membership?.recall();
    leave(places[1], next);
    expect(given()).toEqual([first, next]);
  });

  test('leave nothing behind of a run that has ended, and nothing stays that nobody has fetched', async () => {
    places[5].online = false;
    const [unused, left] = [wantHelp(places[0])[4], seal(work)];
    const closed = [unused, left].map((parcel) => once(parcel, 'close'));
    lending.receive(places[0], { type: 'ended', end: { kind: 'cancelled' } });
    leave(places[1], left);
    expect(await Promise.all(closed)).toHaveLength(2);
  });

  test('that are not up yet are not asked', () => {
    for (const place of places.slice(2)) place.online = false;
    wantHelp(places[0]);
    expect(helping()).toBe(1);
  });
});

describe('cores', () => {
  test.each([
    [6, 5],
    [3, 2],
    [2.8, 2],
    [2.7, 1],
    [1.5, 0],
    [0, 0],
  ])('%d that are idle leave room for %d helpers', (cores, helpers) => {
    free = cores;
    wantHelp(places[0]);
    expect(helping()).toBe(helpers);
  });

  test('that others begin to use are left to them, and taken again when they are idle', () => {
    wantHelp(places[0]);
    free = 3.3;
    lending.update();
    expect(helping()).toBe(3);
    settle();
    free = 2.1;
    lending.update();
    settle();
    expect(helping()).toBe(1);
    free = 6;
    lending.update();
    expect(helping()).toBe(5);
  });

  test('count for runs first: a thread that is given a run helps nobody', () => {
    free = 3;
    wantHelp(places[0]);
    expect(helping()).toBe(2);
    places[5].run = run;
    lending.update();
    expect(helping()).toBe(1);
  });
});

test('after closing nobody is lent', () => {
  lending.close();
  wantHelp(places[0]);
  expect(helping()).toBe(0);
});
