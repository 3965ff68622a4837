import { describe, expect, it } from 'vitest';
import { pruneSchemas } from '../../src/http/components.ts';

const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` });
const pruned = (used: readonly string[], schemas: Record<string, unknown>) => {
  const document = pruneSchemas({ paths: { '/a': used.map(ref) }, components: { schemas } });
  return { used: document.paths['/a'].map(({ $ref }) => $ref.split('/').at(-1)), schemas: document.components.schemas };
};

describe('component schemas', () => {
  it('that nothing reaches are left out, also in a chain', () => {
    const { schemas } = pruned(['A'], { A: { items: ref('B') }, B: {}, C: ref('D'), D: {} });
    expect(Object.keys(schemas)).toEqual(['A', 'B']);
  });

  it('whose output form is not used take the plain name', () => {
    expect(pruned(['AInput'], { A: { type: 'string' }, AInput: { type: 'number' } })).toEqual({
      used: ['A'],
      schemas: { A: { type: 'number' } },
    });
  });

  it('with equal forms become one', () => {
    const both = {
      A: { items: ref('B') },
      AInput: { items: ref('BInput') },
      B: { type: 'string' },
      BInput: { type: 'string' },
    };
    expect(pruned(['A', 'AInput'], both)).toEqual({
      used: ['A', 'A'],
      schemas: { A: { items: ref('B') }, B: { type: 'string' } },
    });
  });

  it('with different forms stay apart, and so do those that contain them', () => {
    const both = {
      A: { items: ref('B') },
      AInput: { items: ref('BInput') },
      B: { type: 'string' },
      BInput: { type: 'number' },
    };
    const result = pruned(['A', 'AInput'], both);
    expect(result.used).toEqual(['A', 'AInput']);
    expect(result.schemas).toEqual(both);
  });
});
