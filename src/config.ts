/** The only reader of the environment: every setting once, checked by zod, every fault reported at once. */
import { availableParallelism } from 'node:os';
import { z } from 'zod';
import type { ErrorCode } from './errors.ts';

interface Limit {
  readonly default: number;
  readonly description: string;
  /** The error that answers a request over the limit. */
  readonly error: ErrorCode;
}

const MiB = 2 ** 20;

/** Each is set by the environment variable of the same name in capitals. */
export const limits = {
  // Parsing and checking 4.3 MiB of numbers takes the main thread 57 ms, during which it answers nobody else: a service
  // with many clients lowers this. The parameters of a million-weight network have to fit, so it is not lower.
  max_body_bytes: {
    default: 16 * MiB,
    error: 'payload_too_large',
    description: 'Bytes of a JSON body; larger data belong into a data set, which is streamed.',
  },
  max_json_depth: { default: 64, error: 'json_too_deep', description: 'Nesting of objects and arrays in a JSON body.' },
  max_metadata_bytes: {
    default: 16_384,
    error: 'limit_exceeded',
    description: 'Bytes of a resource’s `metadata` as JSON.',
  },
  max_learning_rate_changes: {
    default: 1_000,
    error: 'limit_exceeded',
    description: 'Changes of the learning rate of one job under way.',
  },
  max_page_size: { default: 100, error: 'validation_failed', description: 'Entries on one page of a list.' },
  max_layers: { default: 128, error: 'limit_exceeded', description: 'Layers of a network.' },
  max_units: {
    default: 65_536,
    error: 'limit_exceeded',
    description: 'Units of one layer, and features of the input.',
  },
  max_parameters: { default: 50_000_000, error: 'limit_exceeded', description: 'Trained values of a network.' },
  max_memory_bytes: {
    default: 2048 * MiB,
    error: 'limit_exceeded',
    description: 'Estimated bytes of one job: parameters, gradients, optimizer moments, activations and data.',
  },
  max_batch_size: { default: 65_536, error: 'limit_exceeded', description: 'Rows of one batch.' },
  max_epochs: { default: 10_000_000, error: 'limit_exceeded', description: 'Epochs of one job.' },
  max_runtime_seconds: { default: 86_400, error: 'limit_exceeded', description: 'Seconds that one job may run.' },
  max_queue: { default: 1_000, error: 'too_many_requests', description: 'Jobs that wait for a worker.' },
  max_wait_seconds: {
    default: 60,
    error: 'validation_failed',
    description: 'Seconds that `Prefer: wait` holds a request; longer wishes are cut to it.',
  },
  max_history_points: {
    default: 10_000,
    error: 'validation_failed',
    description: 'Points in one answer of a loss history.',
  },
  max_upload_bytes: { default: 512 * MiB, error: 'payload_too_large', description: 'Bytes of an uploaded data set.' },
  max_dataset_columns: { default: 65_536, error: 'limit_exceeded', description: 'Columns of a data set.' },
  max_dataset_values: {
    default: 50_000_000,
    error: 'limit_exceeded',
    description: 'Rows × columns of a data set, and rows × features once texts are one-hot.',
  },
  max_categories: {
    default: 100,
    error: 'limit_exceeded',
    description: 'Different texts of one column of a data set.',
  },
  max_classes: { default: 1_000, error: 'limit_exceeded', description: 'Classes of the target of a data set.' },
  max_gradient_work: {
    default: 2_000_000_000,
    error: 'limit_exceeded',
    description: 'Multiply-adds of one explained, checked or audited gradient.',
  },
  max_replay_work: {
    default: 200_000_000_000,
    error: 'limit_exceeded',
    description: 'Multiply-adds that may be trained again to explain a step or a failure of a job.',
  },
  max_replays: {
    default: 32,
    error: 'too_many_requests',
    description: 'Explanations by replay that wait or are under way.',
  },
  max_webhooks: { default: 8, error: 'limit_exceeded', description: 'Webhooks of one job.' },
  max_event_streams: { default: 1_000, error: 'too_many_requests', description: 'Open server-sent event streams.' },
} as const satisfies Record<string, Limit>;

export type LimitName = keyof typeof limits;
export type Limits = Readonly<Record<LimitName, number>>;
export const limitNames = Object.keys(limits) as LimitName[];

export const defaultLimits: Limits = Object.fromEntries(
  limitNames.map((name) => [name, limits[name].default]),
) as Record<LimitName, number>;

const wholeNumber = (minimum: number, maximum: number) =>
  z
    .string()
    .regex(/^\d+$/, `must be a whole number from ${minimum} to ${maximum}`)
    .transform(Number)
    .refine((n) => n >= minimum && n <= maximum, `must be a whole number from ${minimum} to ${maximum}`);

const yesOrNo = z.enum(['true', 'false'], 'must be true or false').transform((text) => text === 'true');

const apiKeys = z
  .string()
  .transform((text) =>
    text
      .split(',')
      .map((key) => key.trim())
      .filter((key) => key !== ''),
  )
  .refine((keys) => keys.length > 0 && keys.every((key) => /^[\x21-\x7e]{16,}$/.test(key)), {
    error: 'must be keys of at least 16 printable characters without spaces, separated by commas',
  });

export const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;

/** A secret by the Standard Webhooks specification: `whsec_` and 24 to 64 bytes in base64. */
export function isWebhookSecret(text: string): boolean {
  const [, base64 = ''] = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(text) ?? [];
  const key = Buffer.from(base64, 'base64');
  return key.length >= 24 && key.length <= 64 && key.toString('base64') === base64;
}

/** Setting → its schema (of the text in the environment), default and description. */
export const settings = {
  HOST: {
    schema: z.string(),
    default: '127.0.0.1',
    description: 'Address to listen on. Any but a loopback address needs API_KEYS.',
  },
  PORT: { schema: wholeNumber(0, 65_535), default: '3000', description: 'TCP port; 0 takes a free one.' },
  DATA_DIR: { schema: z.string(), default: './data', description: 'Directory of the database and the blobs.' },
  DATABASE_URL: {
    schema: z
      .string()
      .regex(/^postgres(ql)?:\/\//, 'must be a postgres:// URL')
      .optional(),
    default: undefined,
    description: 'PostgreSQL for the state, one server per database; without it the state lives in DATA_DIR.',
  },
  MAX_WORKERS: {
    schema: wholeNumber(1, 1024),
    default: String(Math.max(1, availableParallelism() - 1)),
    description: 'Worker threads that train; default: cores − 1, at least 1.',
  },
  MAX_THREADS_PER_JOB: {
    schema: wholeNumber(1, 64),
    default: '64',
    description:
      'Idle workers that may carry out one large step together, its own included, while cores are idle; 1: none but its own.',
  },
  LOG_LEVEL: {
    schema: z.enum(logLevels, `must be one of ${logLevels.join(', ')}`),
    default: 'info',
    description: `${logLevels.join(', ')}.`,
  },
  API_KEYS: {
    schema: apiKeys.optional(),
    default: undefined,
    description: 'Comma-separated keys; without keys only loopback is served.',
  },
  ALLOW_UNAUTHENTICATED: {
    schema: yesOrNo,
    default: 'false',
    description: 'true serves any HOST without keys, for networks in which everyone is trusted.',
  },
  WEBHOOK_SECRET: {
    schema: z.string().refine(isWebhookSecret, 'must be whsec_ and 24 to 64 bytes in base64').optional(),
    default: undefined,
    description: 'Signs webhooks that bring no secret of their own: whsec_ and 24 to 64 bytes in base64.',
  },
  ALLOW_PRIVATE_WEBHOOKS: {
    schema: yesOrNo,
    default: 'false',
    description: 'true sends webhooks to addresses that are not public too, such as those of your own network.',
  },
} as const;

type SettingName = keyof typeof settings;

export interface Config {
  readonly host: string;
  readonly port: number;
  readonly dataDir: string;
  readonly databaseUrl: string | undefined;
  readonly maxWorkers: number;
  readonly maxThreadsPerJob: number;
  readonly logLevel: (typeof logLevels)[number];
  readonly apiKeys: readonly string[];
  readonly webhooks: { readonly allowPrivate: boolean; readonly secret: string | undefined };
  readonly limits: Limits;
}

/** Every fault of the environment, one line each. */
export class ConfigError extends Error {
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    super(
      `The configuration has ${faults.length === 1 ? 'a fault' : `${faults.length} faults`}:\n${faults.map((fault) => `  ${fault}`).join('\n')}`,
    );
    this.name = 'ConfigError';
    this.faults = faults;
  }
}

/** The environment variable that sets a limit. */
export const limitVariable = (name: LimitName): string => name.toUpperCase();

const limitSchema = wholeNumber(1, Number.MAX_SAFE_INTEGER);

const environmentSchema = z.object({
  ...(Object.fromEntries(Object.entries(settings).map(([name, { schema }]) => [name, schema])) as {
    [Name in SettingName]: (typeof settings)[Name]['schema'];
  }),
  limits: z.object(
    Object.fromEntries(limitNames.map((name) => [name, limitSchema])) as Record<LimitName, typeof limitSchema>,
  ),
});

const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host);

/** What the environment says, with defaults; an empty variable counts as unset. Limits are gathered under `limits`. */
function gather(env: Readonly<Record<string, string | undefined>>): Record<string, unknown> {
  const read = (name: string, fallback: string | undefined) => env[name]?.trim() || fallback;
  return {
    ...Object.fromEntries(Object.entries(settings).map(([name, setting]) => [name, read(name, setting.default)])),
    limits: Object.fromEntries(
      limitNames.map((name) => [name, read(limitVariable(name), String(limits[name].default))]),
    ),
  };
}

/**
 * Reads and checks the configuration.
 * @throws {ConfigError} listing every fault, also a HOST beyond loopback without API keys.
 */
export function readConfig(env: Readonly<Record<string, string | undefined>> = process.env): Config {
  const given = gather(env);
  const parsed = environmentSchema.safeParse(given);
  const faults = (parsed.error?.issues ?? []).map(
    (issue) => `${String(issue.path.at(-1)).toUpperCase()} ${issue.message}`,
  );
  const open =
    !isLoopback(String(given.HOST)) && given.API_KEYS === undefined && given.ALLOW_UNAUTHENTICATED !== 'true';
  if (open) {
    faults.push(
      `HOST is ${given.HOST}, which others can reach, but API_KEYS is not set: set API_KEYS, or ALLOW_UNAUTHENTICATED=true if everyone who can reach it may use it`,
    );
  }
  if (faults.length > 0 || !parsed.success) throw new ConfigError(faults);
  const { data } = parsed;
  return {
    host: data.HOST,
    port: data.PORT,
    dataDir: data.DATA_DIR,
    databaseUrl: data.DATABASE_URL,
    maxWorkers: data.MAX_WORKERS,
    maxThreadsPerJob: data.MAX_THREADS_PER_JOB,
    logLevel: data.LOG_LEVEL,
    apiKeys: data.API_KEYS ?? [],
    webhooks: { allowPrivate: data.ALLOW_PRIVATE_WEBHOOKS, secret: data.WEBHOOK_SECRET },
    limits: data.limits,
  };
}
