/** What the operations endpoints answer. */
import { z } from 'zod';

export const health = z
  .strictObject({ status: z.enum(['ok', 'unavailable']) })
  .meta({ id: 'Health', description: 'Whether the service is up.', examples: [{ status: 'ok' }] });

export const version = z
  .strictObject({
    name: z.string(),
    version: z.string(),
    node: z.string(),
    v8: z.string(),
    platform: z.string(),
    arch: z.string(),
  })
  .meta({
    id: 'Version',
    description: 'What is running.',
    examples: [{ name: 'trainyard', version: '0.1.0', node: '24.15.0', v8: '13.6', platform: 'linux', arch: 'x64' }],
  });
