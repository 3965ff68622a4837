import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { inTurns } from '../../src/http/pieces.ts';

function* rows(count: number, ask: () => void = () => {}): Generator<string> {
  for (let i = 0; i < count; i++) {
    ask();
    yield `${i},`;
  }
}

describe('a text in pieces', () => {
  it('is one text when it is short', () => {
    expect(inTurns('as it is')).toBe('as it is');
    expect(inTurns(rows(3))).toBe('0,1,2,');
  });

  it('is all there when it is long, and the event loop turns in between', async () => {
    let asked = 0;
    const stream = inTurns(rows(100_000, () => asked++));
    expect(stream).toBeInstanceOf(Readable);
    expect(asked).toBeLessThan(20_000);
    const turns: number[] = [];
    const look = () => {
      turns.push(asked);
      if (asked < 100_000) setImmediate(look);
    };
    setImmediate(look);
    expect(await text(stream as Readable)).toBe([...rows(100_000)].join(''));
    expect(new Set(turns).size).toBeGreaterThan(5);
  });

  it('is not written on for a reader that has gone', async () => {
    let asked = 0;
    const stream = inTurns(rows(1_000_000, () => asked++)) as Readable;
    for await (const _ of stream) break;
    expect(stream.destroyed).toBe(true);
    expect(asked).toBeLessThan(100_000);
  });
});
