import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type LineModel, LinePredictor } from '../../src/datasets/line-predictions.ts';
import { Run } from '../../src/training/run.ts';
import { smallRequest } from '../training/fixtures/requests.ts';

const request = smallRequest({ epochs: 2 });
const run = new Run(request, null);
while (run.end === null) run.advance(100);

const features = {
  columns: [
    { name: 'size', categories: null },
    { name: 'colour', categories: ['grün', 'rot'] },
  ],
  classes: null,
};
const model: LineModel = { network: request.network, model: run.result(), features, mark: {} };
const predictor = () => new LinePredictor(model, { revectorized: false });
const encode = (text: string) => new TextEncoder().encode(text);

/** Everything that is answered to a body that comes in pieces of these sizes. */
function answer(body: Uint8Array, sizes: readonly number[]) {
  const lines = predictor();
  let text = '';
  for (let at = 0, i = 0; ; i += 1) {
    const end = Math.min(at + sizes[i % sizes.length], body.length);
    const { bytes, problems } = lines.take(body.subarray(at, end), end === body.length);
    text += new TextDecoder().decode(bytes);
    if (problems !== null || end === body.length) return { text, problems };
    at = end;
  }
}

describe('lines of predictions', () => {
  it('do not depend on where the body is cut, also within a character', () => {
    const row = fc.oneof(
      fc.record({ size: fc.integer({ min: -9, max: 9 }), colour: fc.constantFrom('grün', 'rot') }),
      fc.tuple(fc.double({ noNaN: true, min: -9, max: 9 }), fc.constantFrom('grün', 'rot')),
    );
    fc.assert(
      fc.property(
        fc.array(row, { minLength: 1, maxLength: 30 }),
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 5 }),
        fc.constantFrom('\n', '\r\n', '\n\n'),
        (rows, sizes, lineBreak) => {
          const body = encode(rows.map((one) => JSON.stringify(one)).join(lineBreak));
          const whole = answer(body, [body.length]);
          expect(whole.problems).toBeNull();
          expect(whole.text.split('\n')).toHaveLength(rows.length + 1);
          expect(answer(body, sizes)).toEqual(whole);
        },
      ),
      { numRuns: 50 },
    );
  });

  it('are the same for rows that differ only in what came before them', () => {
    const body = encode(`${'[1,"rot"]\n'.repeat(1025)}[1,"grün"]\n[1,"rot"]\n`);
    const lines = answer(body, [body.length]).text.split('\n');
    expect(new Set(lines.slice(0, 1025)).size).toBe(1);
    expect(lines[1026]).toBe(lines[0]);
    expect(lines[1025]).not.toBe(lines[0]);
  });

  it('end at a row that is longer than 16 MiB, before all of it has come', () => {
    const lines = predictor();
    const piece = new Uint8Array(2 ** 22).fill(0x20);
    let taken = 0;
    for (; taken < 12; taken += 1) if (lines.take(piece, false).problems !== null) break;
    expect(taken).toBe(4);
  });
});
