import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { ArrivingFile } from '../../src/training/arriving-file.ts';
import { wholeFile } from './fixtures/whole-file.ts';

const piece = (value: number, is_last = false) => ({ bytes: Uint8Array.of(value), is_last });

describe('a file that arrives in pieces', () => {
  test('is read in order, whether the reader or the maker is the first', async () => {
    const file = new ArrivingFile();
    file.add(piece(1));
    const read = wholeFile(file);
    await nextTurn();
    expect(file.isStarved).toBe(true);
    file.add(piece(2));
    file.add(piece(3, true));
    expect(file.isStarved).toBe(false);
    expect(await read).toEqual(Uint8Array.of(1, 2, 3));
  });

  test('tells that a piece has been read when the next one is asked for', async () => {
    const file = new ArrivingFile();
    const read: number[] = [];
    for (const value of [1, 2, 3]) file.add(piece(value, value === 3), () => read.push(value));
    const before: number[] = [];
    for await (const _piece of file) before.push(read.length);
    expect(before).toEqual([0, 1, 2]);
    expect(read).toEqual([1, 2, 3]);
  });

  test('that is left takes what is there and what is still to come as read', async () => {
    const file = new ArrivingFile();
    const read: number[] = [];
    for (const value of [1, 2]) file.add(piece(value), () => read.push(value));
    for await (const _piece of file) break;
    file.leave();
    file.add(piece(3), () => read.push(3));
    expect(read).toEqual([1, 2, 3]);
  });

  test('that is broken off gives what it has, then fails; a whole one cannot be broken off', async () => {
    const file = new ArrivingFile();
    file.add(piece(1));
    const seen: number[] = [];
    const read = (async () => {
      for await (const [value] of file) seen.push(value);
    })();
    await nextTurn();
    file.breakOff();
    await expect(read).rejects.toThrow('broken off');
    expect(seen).toEqual([1]);
    expect(file.isBroken).toBe(true);
    const whole = new ArrivingFile();
    whole.add(piece(1, true));
    whole.breakOff();
    expect(whole.isBroken).toBe(false);
    expect(await wholeFile(whole)).toEqual(Uint8Array.of(1));
  });
});
