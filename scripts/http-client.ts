/** What scripts need of HTTP: JSON in and out, and the events of a job. */

export interface SeenEvent {
  readonly event: string;
  readonly at: number;
  // biome-ignore lint/suspicious/noExplicitAny: the data of an event are free JSON.
  readonly data: any;
}

/** The events of a stream as they come, until it ends. */
export async function* followEvents(url: string): AsyncGenerator<SeenEvent> {
  const { body } = await fetch(url, { headers: { accept: 'text/event-stream' } });
  let rest = '';
  for await (const chunk of body!.pipeThrough(new TextDecoderStream())) {
    const at = performance.now();
    const parts = (rest + chunk).split('\n\n');
    rest = parts.pop()!;
    for (const part of parts) {
      const fields = Object.fromEntries(part.split('\n').map((line) => line.split(/: (.*)/s).slice(0, 2)));
      if (fields.event !== undefined) yield { event: fields.event, at, data: JSON.parse(fields.data) };
    }
  }
}

/** Sends JSON and reads the job that comes back. */
export async function send(
  url: string,
  method: string,
  body?: object,
): Promise<{ readonly urls: Record<string, string> }> {
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(url, { method, ...(body === undefined ? {} : { headers, body: JSON.stringify(body) }) });
  if (!answer.ok) throw new Error(`${method} ${url}: ${await answer.text()}`);
  return (await answer.json()) as { urls: Record<string, string> };
}
