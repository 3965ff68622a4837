import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { OptionTable } from '../../src/engine/options.ts';
import { check } from '../../src/schemas/issues.ts';
import { specSchema } from '../../src/schemas/options.ts';

const table = {
  plain: { formula: 'x', description: 'Without options.', options: {} },
  tuned: {
    description: 'With options.',
    options: {
      rate: { type: 'number', default: 0.5, exclusive_minimum: 0, maximum: 1, description: 'A rate.' },
      count: { type: 'number', integer: true, minimum: 1, description: 'A count that must be given.' },
      strict: { type: 'boolean', default: false, description: 'A switch.' },
    },
  },
} as const satisfies Record<string, { description: string; formula?: string; options: OptionTable }>;

const schema = specSchema(table, {
  id: 'TestSpec',
  description: 'A test.',
  extra: { unit: z.enum(['step', 'epoch']).optional() },
});
const problems = (value: unknown) => check(schema, value).problems?.map(({ pointer, code }) => [pointer, code]);

describe('the schema of a table', () => {
  it.each([
    'plain',
    { name: 'plain' },
    { name: 'plain', unit: 'epoch' },
    { name: 'tuned', count: 3 },
    { name: 'tuned', count: 1, rate: 1, strict: true },
  ])('accepts %j and leaves it as it is', (value) => expect(check(schema, value)).toEqual({ data: value }));

  it.each([
    ['plian', [['', 'unknown_name']]],
    [{ name: 'plian' }, [['/name', 'unknown_name']]],
    [{}, [['/name', 'required']]],
    [7, [['', 'wrong_type']]],
    [{ name: 'plain', rate: 0.5 }, [['/rate', 'unknown_field']]],
    [{ name: 'tuned' }, [['/count', 'required']]],
    [
      { name: 'tuned', count: 0, rate: 0 },
      [
        ['/rate', 'out_of_range'],
        ['/count', 'out_of_range'],
      ],
    ],
    [
      { name: 'tuned', count: 1.5, strict: 1 },
      [
        ['/count', 'wrong_type'],
        ['/strict', 'wrong_type'],
      ],
    ],
    [
      { name: 'tuned', count: 1, rate: 1.01, unit: 'day' },
      [
        ['/rate', 'out_of_range'],
        ['/unit', 'unknown_name'],
      ],
    ],
  ])('refuses %j with the pointer of each fault', (value, expected) => expect(problems(value)).toEqual(expected));

  it('a bare name whose entry needs an option says which', () => {
    expect(check(schema, 'tuned').problems).toEqual([
      { pointer: '', code: 'required', detail: 'tuned needs count: write {"name": "tuned", …}.' },
    ]);
  });

  it('carries ranges, defaults, descriptions and formulas into the documentation', () => {
    const json = JSON.stringify(z.toJSONSchema(schema, { io: 'input' }));
    expect(json).toContain(
      '"rate":{"description":"A rate.","default":0.5,"type":"number","exclusiveMinimum":0,"maximum":1}',
    );
    expect(json).toContain('"description":"Without options. `x`"');
    expect(json).toContain('"required":["name","count"]');
  });
});
