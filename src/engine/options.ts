/**
 * How the tables of the engine declare an option (a hyper-parameter of an activation, loss, optimizer, …).
 * Types, validation, OpenAPI, catalog and defaults all derive from these records.
 */
export interface NumberOption {
  readonly type: 'number';
  /** `undefined`: the client must give it. */
  readonly default?: number;
  readonly integer?: boolean;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusive_minimum?: number;
  readonly exclusive_maximum?: number;
  readonly description: string;
}

export interface BooleanOption {
  readonly type: 'boolean';
  readonly default: boolean;
  readonly description: string;
}

export type Option = NumberOption | BooleanOption;
export type OptionTable = Readonly<Record<string, Option>>;

/** The values of an option table once every default is filled in. */
export type OptionValues<O extends OptionTable> = {
  readonly [K in keyof O]: O[K] extends BooleanOption ? boolean : number;
};

/**
 * The options of an entry that is known only by its table's interface. Its functions take the options of their own
 * entry, and a function of narrower parameters is not a function of a union of them, so no exact type fits all entries.
 */
// biome-ignore lint/suspicious/noExplicitAny: see above; `resolve` fills in exactly the options that the entry declares.
export type AnyOptions = any;

/** What a client may write: options with a default may be left out. */
export type OptionInput<O extends OptionTable> = {
  readonly [K in keyof O as O[K] extends { readonly default: unknown } ? never : K]: O[K] extends BooleanOption
    ? boolean
    : number;
} & {
  readonly [K in keyof O as O[K] extends { readonly default: unknown } ? K : never]?: O[K] extends BooleanOption
    ? boolean | undefined
    : number | undefined;
};

/** An entry of a table is named on the wire, or given as an object `{name, ...options}`. */
export type Spec<Table extends Readonly<Record<string, { readonly options: OptionTable }>>> =
  | { [N in keyof Table & string]: NamedSpec<Table, N> }[keyof Table & string]
  | (keyof Table & string);

export type NamedSpec<
  Table extends Readonly<Record<string, { readonly options: OptionTable }>>,
  N extends keyof Table & string,
> = { readonly name: N } & OptionInput<Table[N]['options']>;

/** A spec with its entry looked up and every option given a value. */
export interface Resolved<Entry> {
  readonly name: string;
  readonly entry: Entry;
  readonly options: Readonly<Record<string, number | boolean>>;
}

/**
 * Looks up a spec in its table and fills in the defaults.
 * @throws {RangeError} when the name is not in the table: validation is expected to have refused it before.
 */
export function resolve<Entry extends { readonly options: OptionTable }>(
  table: Readonly<Record<string, Entry>>,
  spec: string | ({ readonly name: string } & Readonly<Record<string, unknown>>),
): Resolved<Entry> {
  const given: Readonly<Record<string, unknown>> = typeof spec === 'string' ? {} : spec;
  const name = typeof spec === 'string' ? spec : spec.name;
  const entry = Object.hasOwn(table, name) ? table[name] : undefined;
  if (entry === undefined) throw new RangeError(`unknown name ${JSON.stringify(name)}`);
  const options: Record<string, number | boolean> = {};
  for (const [key, option] of Object.entries(entry.options)) {
    const value = given[key] ?? option.default;
    if (value === undefined) throw new RangeError(`${name} needs the option ${key}`);
    options[key] = value as number | boolean;
  }
  return { name, entry, options };
}
