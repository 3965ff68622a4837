/** Numbers of a job on their way into a record or an answer. */
import { toWire, type WireFloat } from '../schemas/common.ts';
import type { Best, DivergedError } from '../training/request.ts';

export type WireSeries = Readonly<Record<string, WireFloat>>;

export const wireSeries = (values: Readonly<Record<string, number>>): WireSeries =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, toWire(value)]));

export const wireBest = (best: Best | null) => best && { ...best, value: toWire(best.value) };

export const wireDivergence = (error: DivergedError) => ({ ...error, value: toWire(error.value) });
