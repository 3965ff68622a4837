/** Cursor pages: the answer of a list and the header that leads to the next one. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { WirePage } from '../schemas/common.ts';

/** Answers a page; `Link: <…>; rel="next"` keeps every parameter of the request and moves `after` on. */
export function sendPage<Entry extends { readonly id: string | number }>(
  request: FastifyRequest,
  reply: FastifyReply,
  page: WirePage<Entry>,
): WirePage<Entry> {
  const last = page.data.at(-1);
  if (page.has_more && last !== undefined) {
    const [path, query = ''] = request.url.split('?', 2);
    const parameters = new URLSearchParams(query);
    parameters.set('after', String(last.id));
    reply.header('link', `<${path}?${parameters}>; rel="next"`);
  }
  return page;
}
