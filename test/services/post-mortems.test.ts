import { beforeEach, describe, expect, it } from 'vitest';
import { defaultLimits } from '../../src/config.ts';
import { keptAnswer, type PostMortemContext, recordedLosses } from '../../src/services/post-mortems.ts';
import type { BlobStore } from '../../src/store/blobs.ts';
import type { PostMortems } from '../../src/training/post-mortem/thread.ts';

/** Blobs in memory, written one millisecond after the other. */
function memoryBlobs(): BlobStore & { readonly keys: () => string[] } {
  const blobs = new Map<string, Uint8Array<ArrayBuffer>>();
  return {
    keys: () => [...blobs.keys()],
    async put(key, content) {
      blobs.delete(key);
      blobs.set(key, Uint8Array.from(content as Uint8Array));
      return blobs.get(key)!.length;
    },
    get: async (key) => blobs.get(key),
    stream: async () => undefined,
    delete: async (key) => blobs.delete(key),
    deleteAll: async () => {},
    async *list(prefix) {
      let written_at = 0;
      for (const [key, { length: size }] of blobs)
        if (key.startsWith(prefix)) yield { key, size, written_at: written_at++ };
    },
  };
}

let asked: PromiseWithResolvers<string>[];
let blobs: ReturnType<typeof memoryBlobs>;
let context: PostMortemContext;

beforeEach(() => {
  asked = [];
  blobs = memoryBlobs();
  const postMortems: PostMortems = {
    ask() {
      const answer = Promise.withResolvers<string>();
      asked.push(answer);
      return answer.promise;
    },
    close: async () => {},
  };
  context = {
    store: { blobs },
    postMortems,
    limits: { ...defaultLimits, max_replays: 2 },
  } as unknown as PostMortemContext;
});

const ask = (name: string) => keptAnswer(context, 'job_a', name, 'diagnose', async () => ({}) as never);
/** Lets everything that waits for nothing but itself go on. */
const settled = async () => {
  for (let i = 0; i < 20; i++) await Promise.resolve();
};

describe('the recorded losses', () => {
  it('are read as they are stored: in float32, and once where they stayed the same', async () => {
    async function* chunks() {
      yield { resolution: 'step', first: 1, count: 4, series: { loss: Float32Array.of(4, 3, 2, 1) } };
      yield { resolution: 'step', first: 5, count: 3, series: { loss: Float64Array.of(0.5) } };
    }
    const store = { points: { chunks } } as unknown as PostMortemContext['store'];
    expect(await recordedLosses({ store }, 'job_a', 6, 3)).toEqual({
      first_step: 3,
      losses: Float64Array.of(2, 1, 0.5, 0.5),
    });
  });
});

describe('an answer by replay', () => {
  it('is computed once for all who ask at the same time, and then kept', async () => {
    const both = [ask('diagnosis'), ask('diagnosis')];
    await settled();
    expect(asked).toHaveLength(1);
    asked[0]!.resolve('{"a":1}');
    expect(await Promise.all(both)).toEqual(['{"a":1}', '{"a":1}']);
    expect(await ask('diagnosis')).toBe('{"a":1}');
    expect(asked).toHaveLength(1);
  });

  it('is refused when too many are under way, and possible again afterwards', async () => {
    const first = [ask('step-1'), ask('step-2')];
    await settled();
    await expect(ask('step-3')).rejects.toMatchObject({
      code: 'too_many_requests',
      members: { limit: { name: 'max_replays', value: 2 } },
    });
    for (const answer of asked) answer.resolve('{}');
    await Promise.all(first);
    const third = ask('step-3');
    await settled();
    asked[2]!.resolve('{"step":3}');
    expect(await third).toBe('{"step":3}');
  });

  it('is not kept when it fails, and says whether that is a fault of the service', async () => {
    const outcomes = [
      ['replay_differs', 'cannot_replay'],
      ['checkpoint_damaged', 'cannot_replay'],
      ['post_mortem_ended', 'unavailable'],
    ] as const;
    for (const [i, [code, expected]] of outcomes.entries()) {
      const answer = ask('diagnosis');
      const refused = expect(answer).rejects.toMatchObject({ code: expected });
      await settled();
      asked[i]!.reject(Object.assign(new Error('no'), { code }));
      await refused;
    }
    expect(blobs.keys()).toEqual([]);
  });

  it('is forgotten when many newer ones are kept', async () => {
    for (let step = 1; step <= 65; step++) {
      const answer = ask(`step-${step}`);
      await settled();
      asked[step - 1]!.resolve('{}');
      await answer;
    }
    expect(blobs.keys()).toHaveLength(64);
    expect(blobs.keys().some((key) => key.includes('step-1.'))).toBe(false);
  });
});
