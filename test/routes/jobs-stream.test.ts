import { describe, expect, it } from 'vitest';
import { startApp, useApp } from '../support/app.ts';
import { endless, follow, job, type ReceivedEvent, submit, train, untilProgress, untilState } from '../support/jobs.ts';

const running = useApp();

/** The events of a stream until it ends. */
async function all(id: string, headers: Readonly<Record<string, string>> = {}): Promise<ReceivedEvent[]> {
  const events: ReceivedEvent[] = [];
  for await (const event of follow(running, id, headers)) events.push(event);
  return events;
}

const stored = (events: readonly ReceivedEvent[]) => events.filter(({ id }) => id !== undefined);

describe('the stream of events', () => {
  it('replays everything of a job that has ended, numbered without gaps, and ends', async () => {
    const { id } = await train(running, job);
    const events = await all(id);
    expect(stored(events).map(({ id: number }) => number)).toEqual(stored(events).map((_, i) => i + 1));
    expect(events.filter(({ event }) => event === 'state').map(({ data }) => data.state)).toEqual([
      'queued',
      'running',
      'succeeded',
    ]);
    expect(events.at(-1)).toMatchObject({ event: 'end', data: { state: 'succeeded', stop_reason: 'completed' } });
  });

  it('goes on behind Last-Event-ID', async () => {
    const { id } = await train(running, job);
    const events = await all(id);
    const rest = await all(id, { 'Last-Event-ID': '2' });
    expect(rest).toEqual(events.slice(2));
  });

  it('has no gap and no repetition for a client that keeps coming back while the job trains', async () => {
    const { id, urls } = await submit(running, { ...endless, checkpoint: { every_epochs: 2_000 } });
    const seen: ReceivedEvent[] = [];
    for (let connection = 0; connection < 4; connection++) {
      let received = 0;
      for await (const event of follow(running, id, { 'Last-Event-ID': String(seen.at(-1)?.id ?? 0) })) {
        if (event.id === undefined) continue;
        seen.push(event);
        if (++received === 3) break;
      }
    }
    await running.request.post(`${urls.self}/cancel`).expect(200);
    seen.push(...stored(await all(id, { 'Last-Event-ID': String(seen.at(-1)!.id) })));
    expect(seen.map(({ id: number }) => number)).toEqual(seen.map((_, i) => i + 1));
    expect(seen.at(-1)).toMatchObject({ event: 'state', data: { state: 'cancelled' } });
    const { body } = await running.request.get(`${urls.events}?limit=100`);
    expect(body.data.map(({ id: number }: ReceivedEvent) => number)).toEqual(seen.map((_, i) => i + 1).slice(0, 100));
  });

  it('shows snapshots of the progress that never go back', async () => {
    const { id, urls } = await submit(running, endless);
    const steps: number[] = [];
    for await (const { event, data } of follow(running, id)) {
      if (event === 'progress') steps.push(data.step);
      if (steps.length === 5) break;
    }
    expect(steps).toEqual(steps.toSorted((a, b) => a - b));
    expect(new Set(steps).size).toBe(5);
    await running.request.post(`${urls.self}/cancel`).expect(200);
    await untilState(running, id, 'cancelled');
  });

  it('ends when the service stops, so that nothing keeps it from ending', async () => {
    const other = await startApp();
    const { id } = await submit(other, endless);
    const events = follow(other, id);
    await events.next();
    const ended = (async () => {
      for await (const _ of events);
      return 'ended';
    })();
    await other.stop();
    other.remove();
    expect(await ended).toBe('ended');
  });

  it('is refused when too many are open: 429', async () => {
    const other = await startApp({ MAX_EVENT_STREAMS: '1' });
    const { id } = await submit(other, endless);
    const first = follow(other, id);
    await first.next();
    const answer = await other.request.get(`/v1/jobs/${id}/events`).set('Accept', 'text/event-stream');
    expect([answer.status, answer.body.limit]).toEqual([429, { name: 'max_event_streams', value: 1 }]);
    await first.return(undefined);
    await other.stop();
    other.remove();
  });
});

describe('the page of events', () => {
  it('is oldest first and leads on by its Link', async () => {
    const { urls } = await train(running, job);
    const first = await running.request.get(`${urls.events}?limit=2`).expect(200);
    expect(first.body.data.map(({ id }: { id: number }) => id)).toEqual([1, 2]);
    const link = /<(.+)>; rel="next"/.exec(first.headers.link!)![1]!;
    const second = await running.request.get(link).expect(200);
    expect(second.body.data.map(({ id }: { id: number }) => id)).toEqual([3, 4]);
  });
});

describe('the loss history', () => {
  it('has a strong tag once the job has ended, and 304 for who has it already', async () => {
    const { urls } = await train(running, job);
    const first = await running.request.get(urls.loss_history).expect(200);
    expect(first.headers.etag).toMatch(/^"[0-9a-f]{64}-json"$/);
    const again = await running.request.get(urls.loss_history).set('If-None-Match', first.headers.etag!).expect(304);
    expect(again.text).toBe('');
    const other = await running.request.get(`${urls.loss_history}?from=2`).set('If-None-Match', first.headers.etag!);
    expect(other.status).toBe(200);
    const csv = await running.request.get(urls.loss_history).set('Accept', 'text/csv').expect(200);
    expect(csv.headers.etag).not.toBe(first.headers.etag);
  });

  it('is CSV or NDJSON with the same numbers by Accept, and 406 for anything else', async () => {
    const { urls } = await train(running, { ...job, metrics: ['accuracy'] });
    const { body } = await running.request.get(urls.loss_history);
    const csv = await running.request.get(urls.loss_history).set('Accept', 'text/csv').expect(200);
    const [head, ...lines] = csv.text.trimEnd().split('\n');
    expect(head).toBe('epoch,step,loss,accuracy,learning_rate');
    expect(lines.map((line) => Number(line.split(',')[2]))).toEqual(body.series.loss);
    const answer = await running.request.get(urls.loss_history).set('Accept', 'application/x-ndjson').expect(200);
    const text = answer.text ?? String(answer.body);
    const points = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(points.map(({ accuracy }) => accuracy)).toEqual(body.series.accuracy);
    await running.request.get(urls.loss_history).set('Accept', 'image/png').expect(406);
  });

  it('is cut to a range and thinned to a number of points, the same ones every time', async () => {
    const { urls } = await train(running, { ...job, epochs: 1000 });
    const path = `${urls.loss_history}?resolution=step&from=101&to=1900&max_points=50`;
    const { body } = await running.request.get(path).expect(200);
    expect(body).toMatchObject({ resolution: 'step', total_points: 1800, sampled: true });
    expect([body.step[0], body.step.at(-1)]).toEqual([101, 1900]);
    expect([body.epoch[0], body.epoch.at(-1)]).toEqual([51, 950]);
    expect(body.returned_points).toBeLessThanOrEqual(50);
    expect((await running.request.get(path)).body).toEqual(body);
    const { body: whole } = await running.request.get(`${urls.loss_history}?resolution=step&max_points=10000`);
    const range: number[] = whole.series.loss.slice(100, 1900);
    expect(Math.max(...body.series.loss)).toBe(Math.max(...range));
    expect(Math.min(...body.series.loss)).toBe(Math.min(...range));
  });

  it('is empty for a job that has not begun, and beyond its end', async () => {
    const first = await submit(running, endless);
    const second = await submit(running, job);
    const { body } = await running.request.get(second.urls.loss_history).expect(200);
    expect(body).toMatchObject({ total_points: 0, returned_points: 0, sampled: false, step: [], series: { loss: [] } });
    await untilProgress(running, first.id);
    await running.request.post(`${first.urls.self}/cancel`).expect(200);
    await untilState(running, second.id, 'succeeded');
    const beyond = await running.request.get(`${second.urls.loss_history}?from=1000`).expect(200);
    expect(beyond.body).toMatchObject({ total_points: 0, step: [] });
  });
});
