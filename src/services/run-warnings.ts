/** What a run is warned of, on its way into the record of its job. */
import type { JobWarning } from '../schemas/job-warnings.ts';
import type { Json } from '../store/store.ts';
import type { RunNote } from '../training/request.ts';
import { wireSeries } from './wire-values.ts';

type WarningNote = Extract<RunNote, { type: 'warning' }>;

/** A note as JSON can hold it: its numbers may be infinite. */
export const wireWarning = (note: WarningNote) => ({ ...note, evidence: wireSeries(note.evidence) });

/** The warnings of a job, and those among the notes behind them. */
export function withWarnings(known: Json, notes: readonly RunNote[]): Json {
  const found = notes
    .filter((note) => note.type === 'warning')
    .map((note) => {
      const { type: _, ...warning } = wireWarning(note);
      return warning;
    });
  return found.length === 0 ? known : [...((known ?? []) as readonly JobWarning[]), ...found];
}

/** What a job that goes back to a step has been warned of by then. */
export const warningsUpTo = (known: Json, step: number): Json =>
  ((known ?? []) as readonly JobWarning[]).filter((warning) => warning.step === undefined || warning.step <= step);
