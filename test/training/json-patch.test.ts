import { expect, test } from 'vitest';
import { applyPatch } from '../../src/training/json-patch.ts';

const document = { network: { layers: [{ units: 3 }, { units: 1, activation: 'relu' }] }, optimizer: 'sgd' };

test('adds, replaces and removes members, also within arrays, and leaves the given document alone', () => {
  const kept = structuredClone(document);
  const patched = applyPatch(document, [
    { op: 'add', path: '/network/layers/1/activation', value: 'linear' },
    { op: 'add', path: '/network/layers/0/dropout', value: 0.5 },
    { op: 'replace', path: '/optimizer', value: { name: 'adam' } },
    { op: 'remove', path: '/network/layers/0/units' },
  ]);
  expect(patched).toEqual({
    network: { layers: [{ dropout: 0.5 }, { units: 1, activation: 'linear' }] },
    optimizer: { name: 'adam' },
  });
  expect(document).toEqual(kept);
});

test('reads escaped tokens', () => {
  expect(applyPatch({}, [{ op: 'add', path: '/a~1b~0c', value: 1 }])).toEqual({ 'a/b~c': 1 });
});
