/** The forms in which a history and a stream of events go over the wire. */
import type { LossHistory } from '../schemas/history.ts';
import { type StreamItem, wireEvent } from './event-stream.ts';
import { historyCsv, historyNdjson } from './history.ts';

export const historyTexts = {
  'application/json': (history: LossHistory) => JSON.stringify(history),
  'text/csv': historyCsv,
  'application/x-ndjson': historyNdjson,
} as const;

/** Null is a heartbeat. */
export async function* sentEvents(items: AsyncIterable<StreamItem>) {
  for await (const item of items) yield sentEvent(item);
}

function sentEvent(item: StreamItem) {
  switch (item.type) {
    case 'heartbeat':
      return null;
    case 'progress':
      return { event: 'progress', data: item.progress };
    case 'end':
      return { event: 'end', data: { state: item.job.state, stop_reason: item.job.stop_reason } };
    case 'event': {
      const { id, type, at, data } = wireEvent(item.event);
      return { id, event: type, data: { ...data, at } };
    }
  }
}
