/** What happened to a job, in order. */
import { z } from 'zod';
import { limits } from '../config.ts';
import { listOf, queryInteger, timestamp } from './common.ts';

export const event = z
  .strictObject({
    id: z.int().meta({ description: '1, 2, 3, … within the job, without gaps.' }),
    type: z.string().meta({
      description:
        '`state`, `control`, `metadata_changed`, `checkpoint`, `backend_chosen`, `threads_used`, `learning_rate_changed`, `learning_rate_reduced`, `rounding_changed`, `rounding_refused`, `threshold_reached`, `warning` or `diverged`; more may come.',
    }),
    at: timestamp,
    data: z.record(z.string(), z.unknown()),
  })
  .meta({ id: 'Event', description: 'Something that happened to a job.' });

export type WireEvent = z.output<typeof event>;

export const eventList = listOf(event, 'EventList').meta({ description: 'A page, oldest first.' });

export const eventQuery = z.strictObject({
  limit: queryInteger(1, limits.max_page_size.default).default(100).meta({ description: 'The most events to return.' }),
  after: queryInteger(0, Number.MAX_SAFE_INTEGER).default(0).meta({
    description: 'Number of the last event already seen. In a stream the header `Last-Event-ID` counts instead.',
  }),
});

/** What `text/event-stream` looks like. */
export const eventStreamExample = [
  'id: 1\nevent: state\ndata: {"state":"queued","reason":null}\n\n',
  'id: 2\nevent: state\ndata: {"state":"running","reason":null}\n\n',
  'event: progress\ndata: {"epoch":3,"epochs":50,"step":30,"steps":500}\n\n',
  'id: 3\nevent: state\ndata: {"state":"succeeded","reason":"completed"}\n\n',
  'event: end\ndata: {"state":"succeeded","stop_reason":"completed"}\n\n',
].join('');
