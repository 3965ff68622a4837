/** Reads 1-softmax-tables.json: softmax rows with extreme logits, their Jacobians, losses and gradients. */
import { readFileSync } from 'node:fs';
import type { GoldenNumber, Tolerance } from './scalar-tables.ts';

interface RowLoss {
  readonly loss: GoldenNumber;
  readonly grad: readonly GoldenNumber[] | null;
  readonly level?: 'finite_or_reported';
}

export interface SoftmaxRow {
  readonly name: string;
  readonly z: readonly number[];
  readonly softmax: readonly GoldenNumber[];
  readonly one_minus_softmax: readonly GoldenNumber[];
  readonly log_softmax: readonly GoldenNumber[];
  readonly logsumexp: GoldenNumber;
  readonly jacobian?: readonly (readonly GoldenNumber[])[];
  readonly jvp: { readonly v: readonly number[]; readonly Jv: readonly GoldenNumber[] };
  readonly ce: readonly (RowLoss & { readonly target: readonly number[] })[];
  readonly bce_elementwise: readonly (RowLoss & { readonly y: readonly number[] })[];
}

export const softmaxTables: { readonly tol_strict: Tolerance; readonly rows: readonly SoftmaxRow[] } = JSON.parse(
  readFileSync(new URL('./1-softmax-tables.json', import.meta.url), 'utf8'),
);
