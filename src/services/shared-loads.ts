/** Large values that are loaded once for everybody who needs them at the same time, and held for nobody. */
export class SharedLoads<T extends object> {
  readonly #anchorOf: (value: T) => object;
  readonly #loading = new Map<string, Promise<T>>();
  readonly #loaded = new Map<string, WeakRef<T>>();
  /** A value lives as long as its anchor, which is what its users hold on to. */
  readonly #anchored = new WeakMap<object, T>();
  readonly #collected = new FinalizationRegistry<string>((key) => {
    if (this.#loaded.get(key)?.deref() === undefined) this.#loaded.delete(key);
  });

  /** @param anchorOf the part of a value that takes the memory: while it is in use, the value is there */
  constructor(anchorOf: (value: T) => object) {
    this.#anchorOf = anchorOf;
  }

  /** The value of the key that somebody still uses or is loading; else a new one. A load that fails is forgotten. */
  async get(key: string, load: () => Promise<T>): Promise<T> {
    const known = this.#loaded.get(key)?.deref() ?? this.#loading.get(key);
    if (known !== undefined) return known;
    const loading = load();
    this.#loading.set(key, loading);
    try {
      const value = await loading;
      this.#anchored.set(this.#anchorOf(value), value);
      this.#loaded.set(key, new WeakRef(value));
      this.#collected.register(value, key);
      return value;
    } finally {
      this.#loading.delete(key);
    }
  }
}
