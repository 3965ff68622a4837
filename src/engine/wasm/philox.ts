/** The generator of prng.ts, one block at a time. */
import { philoxConstants } from '../prng.ts';
import type { FunctionBuilder, Index } from './assembler.ts';

/** The rounds of philox on four words in locals, the counter; two multiplications of 32 × 32 bits each. */
export function emitPhilox(f: FunctionBuilder, [c0, c1, c2, c3]: readonly Index[], key: readonly [Index, Index]): void {
  const { rounds, multipliers, weyl } = philoxConstants;
  const [product0, product1] = [f.local('i64'), f.local('i64')];
  const [k0, k1] = [f.local('i32'), f.local('i32')];
  f.get(key[0]).set(k0).get(key[1]).set(k1);
  const multiply = (word: Index, multiplier: number, product: Index) => {
    f.get(word)
      .op('i64.extend_i32_u')
      .i32(multiplier | 0)
      .op('i64.extend_i32_u')
      .op('i64.mul')
      .set(product);
  };
  const high = (product: Index) => {
    const bits = f.get(product).i32(32).op('i64.extend_i32_u').op('i64.shr_u');
    return bits.op('i32.wrap_i64');
  };
  for (let round = 0; round < rounds; round++) {
    multiply(c0, multipliers[0], product0);
    multiply(c2, multipliers[1], product1);
    high(product1).get(c1).op('i32.xor').get(k0).op('i32.xor').set(c0);
    high(product0).get(c3).op('i32.xor').get(k1).op('i32.xor').set(c2);
    f.get(product1).op('i32.wrap_i64').set(c1).get(product0).op('i32.wrap_i64').set(c3);
    f.increment(k0, weyl[0] | 0).increment(k1, weyl[1] | 0);
  }
}
