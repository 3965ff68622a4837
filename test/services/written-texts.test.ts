import { expect, test } from 'vitest';
import { WrittenTexts } from '../../src/services/written-texts.ts';

/** A text of `count` letters, and how often it was begun. */
function letters(letter: string, count: number) {
  const source = {
    begun: 0,
    *pieces() {
      source.begun += 1;
      for (let i = 0; i < count; i += 10) yield letter.repeat(10);
    },
  };
  return source;
}

test('a text is written once for all who ask for it, also while it is being written', async () => {
  const [texts, a] = [new WrittenTexts(1e6), letters('a', 500_000)];
  const [first, second] = await Promise.all([texts.get('a', a.pieces), texts.get('a', a.pieces)]);
  expect(first).toBe('a'.repeat(500_000));
  expect(second).toBe(first);
  expect(await texts.get('a', a.pieces)).toBe(first);
  expect(a.begun).toBe(1);
});

test('the event loop turns while a long text is written', async () => {
  let turns = 0;
  const look = () => {
    turns += 1;
    if (turns < 100) setImmediate(look);
  };
  setImmediate(look);
  await new WrittenTexts(1).get('a', letters('a', 500_000).pieces);
  expect(turns).toBeGreaterThan(2);
});

test('what was asked for longest ago goes when there is no room', async () => {
  const texts = new WrittenTexts(250);
  const [a, b, c] = ['a', 'b', 'c'].map((letter) => letters(letter, 100));
  await texts.get('a', a!.pieces);
  await texts.get('b', b!.pieces);
  await texts.get('a', a!.pieces);
  await texts.get('c', c!.pieces);
  await texts.get('a', a!.pieces);
  await texts.get('b', b!.pieces);
  expect([a, b, c].map((source) => source!.begun)).toEqual([1, 2, 1]);
});

test('the newest text is kept however long it is', async () => {
  const [texts, long] = [new WrittenTexts(5), letters('a', 100)];
  await texts.get('a', long.pieces);
  await texts.get('a', long.pieces);
  expect(long.begun).toBe(1);
});

test('a text that could not be written is tried again', async () => {
  const texts = new WrittenTexts(100);
  const failing = function* (): Generator<string> {
    yield 'a';
    throw new Error('broken');
  };
  await expect(texts.get('a', failing)).rejects.toThrow('broken');
  expect(await texts.get('a', letters('b', 10).pieces)).toBe('b'.repeat(10));
});
