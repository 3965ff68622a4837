/** From a table of the engine to the zod schema of its specs: a name, or an object `{name, ...options}`. */
import { z } from 'zod';
import type { NumberOption, Option, OptionTable, Spec } from '../engine/options.ts';
import { names } from './common.ts';

interface Entry {
  readonly options: OptionTable;
  readonly formula?: string;
  readonly description: string;
}
type Table = Readonly<Record<string, Entry>>;

function numberSchema(option: NumberOption): z.ZodNumber {
  let schema: z.ZodNumber = option.integer ? z.int() : z.number();
  if (option.minimum !== undefined) schema = schema.min(option.minimum);
  if (option.maximum !== undefined) schema = schema.max(option.maximum);
  if (option.exclusive_minimum !== undefined) schema = schema.gt(option.exclusive_minimum);
  if (option.exclusive_maximum !== undefined) schema = schema.lt(option.exclusive_maximum);
  return schema;
}

/** The schema of one option; the engine fills in defaults, so the stored definition stays as the client wrote it. */
export function optionSchema(option: Option): z.ZodType {
  const schema = option.type === 'boolean' ? z.boolean() : numberSchema(option);
  if (option.default === undefined) return schema.meta({ description: option.description });
  return schema.optional().meta({ description: option.description, default: option.default });
}

export function optionShape(options: OptionTable): Record<string, z.ZodType> {
  return Object.fromEntries(Object.entries(options).map(([name, option]) => [name, optionSchema(option)]));
}

/** Whether an entry can be written as a bare name: every option has a default. */
const isComplete = (entry: Entry): boolean =>
  Object.values(entry.options).every((option) => option.default !== undefined);

/**
 * The schema of `Spec<table>`. A bare name stands for the entry with all its defaults; an entry with an option that
 * must be given needs the object form.
 * @param about `id` and description of the OpenAPI component; `extra`: fields that the object form of every entry has.
 */
export function specSchema<T extends Table, S = Spec<T>>(
  table: T,
  about: { readonly id: string; readonly description: string; readonly extra?: Readonly<Record<string, z.ZodType>> },
): z.ZodType<S> {
  const objects = Object.entries<Entry>(table).map(([name, entry]) =>
    z.strictObject({ name: z.literal(name), ...optionShape(entry.options), ...about.extra }).meta({
      title: name,
      description: entry.formula === undefined ? entry.description : `${entry.description} \`${entry.formula}\``,
    }),
  );
  const bare = z.enum(names(table)).superRefine((name, context) => {
    if (isComplete(table[name])) return;
    const missing = Object.entries(table[name].options).filter(([, option]) => option.default === undefined);
    const fields = missing.map(([option]) => option).join(', ');
    context.addIssue({
      code: 'custom',
      params: { code: 'required' },
      message: `${name} needs ${fields}: write {"name": "${name}", …}.`,
    });
  });
  const object = z.discriminatedUnion('name', objects as [(typeof objects)[0], ...typeof objects]);
  return z.union([bare, object]).meta({ id: about.id, description: about.description }) as unknown as z.ZodType<S>;
}
