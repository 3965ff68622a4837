/** Networks: immutable definitions, checked, measured against the limits and kept. */
import type { LimitName, Limits } from '../config.ts';
import { plan } from '../engine/plan.ts';
import { notFound, type Problem, refuse } from '../errors.ts';
import { toTimestamp, type WirePage } from '../schemas/common.ts';
import { definitionOf, type NetworkInput, type NetworkPreview, type NetworkView } from '../schemas/network.ts';
import { newId } from '../store/ids.ts';
import type { NetworkRecord, PageRequest, Store } from '../store/store.ts';
import { answered, type CreatedAnswer, claimOf, earlierAnswer, keptAnswer, repeated } from './idempotency.ts';
import { lint } from './lint.ts';

export interface Networks {
  /** What a definition would become, without storing it. */
  preview(input: NetworkInput): NetworkPreview;
  /** @param key the client's Idempotency-Key */
  create(input: NetworkInput, key?: string): Promise<CreatedAnswer>;
  get(id: string): Promise<NetworkView>;
  list(page: PageRequest): Promise<WirePage<NetworkView>>;
  remove(id: string): Promise<void>;
}

/** Current value, gradient and proposed value of one parameter: what the smallest training run holds at least. */
const copiesOfParameters = 3;

/** Trained values of each layer, from sizes alone: weights, biases, and gamma and beta of a normalisation. */
function parameterCounts(input: NetworkInput): number[] {
  return input.layers.map((layer, index) => {
    const inputs = index === 0 ? input.input_size : input.layers[index - 1].units;
    const biases = layer.use_bias === false ? 0 : 1;
    const normalization = layer.batch_norm || layer.layer_norm ? 2 : 0;
    return layer.units * (inputs + biases + normalization);
  });
}

/**
 * The limits that a definition exceeds, estimated before anything is allocated.
 * @param pointer where the definition stands in the body: empty, or `/network` in a job.
 */
export function networkProblems(input: NetworkInput, limits: Limits, pointer = ''): Problem[] {
  const total = parameterCounts(input).reduce((sum, count) => sum + count, 0);
  const bytes = total * copiesOfParameters * (input.precision === 'float64' ? 8 : 4);
  const metadataBytes = Buffer.byteLength(JSON.stringify(input.metadata ?? {}));
  return [
    ...over(limits, 'max_units', input.input_size, `${pointer}/input_size`, 'The network has', 'features'),
    ...input.layers.flatMap(({ units }, index) =>
      over(limits, 'max_units', units, `${pointer}/layers/${index}/units`, 'The layer has', 'units'),
    ),
    ...over(limits, 'max_layers', input.layers.length, `${pointer}/layers`, 'The network has', 'layers'),
    ...over(limits, 'max_parameters', total, `${pointer}/layers`, 'The network would have', 'parameters'),
    ...over(limits, 'max_memory_bytes', bytes, `${pointer}/layers`, 'Training would need at least', 'bytes'),
    ...over(limits, 'max_metadata_bytes', metadataBytes, `${pointer}/metadata`, 'The metadata have', 'bytes as JSON'),
  ];
}

/** A problem when `estimate` is over a limit, in one sentence with both numbers. */
export function over(
  limits: Limits,
  name: LimitName,
  estimate: number,
  pointer: string,
  subject: string,
  unit: string,
): Problem[] {
  const value = limits[name];
  if (estimate <= value) return [];
  const detail = `${subject} ${estimate} ${unit}; the limit ${name} is ${value}.`;
  return [{ pointer, code: 'limit_exceeded', detail, limit: { name, value, estimate } }];
}

/** Sizes, counts and warnings of an admitted definition. */
export function describeNetwork(input: NetworkInput): NetworkPreview {
  const planned = plan(definitionOf(input));
  const counts = parameterCounts(input);
  return {
    name: input.name ?? null,
    input_size: planned.input_size,
    output_size: planned.output_size,
    layers: input.layers.map((layer, index) => ({
      ...layer,
      input_size: planned.layers[index].input_size,
      parameter_count: counts[index],
    })),
    loss: input.loss,
    precision: planned.precision,
    parameter_count: planned.parameter_count,
    metadata: input.metadata ?? {},
    warnings: lint(definitionOf(input)),
  };
}

/** The definition of a record as the client wrote it, for whoever computes with it. */
export function inputOf({ name, definition, metadata }: NetworkRecord): NetworkInput {
  const kept = definition as Omit<NetworkInput, 'name' | 'metadata'>;
  return { ...kept, ...(name === null ? {} : { name }), metadata: { ...metadata } };
}

function viewOf(record: NetworkRecord): NetworkView {
  return { id: record.id, ...describeNetwork(inputOf(record)), created_at: toTimestamp(record.created_at) };
}

export function createNetworks(store: Store, limits: Limits, now: () => number = Date.now): Networks {
  const preview = (input: NetworkInput) => {
    refuse(networkProblems(input, limits), 'limit_exceeded');
    return describeNetwork(input);
  };
  return {
    preview,
    async create(input, key) {
      const claim = claimOf('POST /v1/networks', key, input);
      const earlier = await earlierAnswer(store.idempotency, claim, now());
      if (earlier !== undefined) return earlier;
      const described = preview(input);
      const { name, metadata, ...definition } = input;
      const record = {
        id: newId('network'),
        name: name ?? null,
        definition,
        metadata: metadata ?? {},
        created_at: now(),
      };
      const answer = answered(201, { id: record.id, ...described, created_at: toTimestamp(record.created_at) });
      const created = await store.networks.create(record, keptAnswer(claim, answer, '/v1/networks', record.created_at));
      return created.outcome === 'created' ? answer : repeated(created);
    },
    async get(id) {
      const record = await store.networks.get(id);
      if (record === undefined) throw notFound('network', id);
      return viewOf(record);
    },
    async list(request) {
      const page = await store.networks.list({ ...request, limit: Math.min(request.limit, limits.max_page_size) });
      return { data: page.data.map(viewOf), has_more: page.has_more };
    },
    async remove(id) {
      if (!(await store.networks.delete(id))) throw notFound('network', id);
    },
  };
}
