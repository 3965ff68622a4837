/** A storage that fails when it is told to: at the n-th call, or whenever something takes room. */
import { existsSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { Driver, Queryable } from '../../src/store/driver.ts';
import { type Files, nodeFiles } from '../../src/store/files.ts';
import type { Foundation } from '../../src/store/open.ts';
import { StoreError, type StoreErrorCode } from '../../src/store/store.ts';

/** What a failing call reports: as a system error from the file system, as a code from the database. */
export const faultKinds = {
  EIO: 'storage_failed',
  ENOSPC: 'storage_full',
  EBUSY: 'storage_busy',
} as const satisfies Record<string, StoreErrorCode>;

export type FaultKind = keyof typeof faultKinds;

const systemError = (code: FaultKind, syscall: string): Error =>
  Object.assign(new Error(`${code}: injected, ${syscall}`), { code, syscall, errno: -1 });

const sqlError = (kind: FaultKind, what: string): StoreError =>
  new StoreError(faultKinds[kind], `injected ${kind} at: ${what}`);

const writing = /^\s*(?:insert|update|delete|create|commit)/;

export class Faults {
  /** The database itself, for a look that nothing disturbs. */
  driver: Driver | null = null;
  /** Where the blobs are, once it is known. */
  blobs = '';
  #armed: { readonly at: number; readonly kind: FaultKind } | null = null;
  #calls = 0;
  #hit: string | null = null;
  #full = false;
  #broken = false;

  /** The n-th call from here on fails, once. */
  arm(at: number, kind: FaultKind): void {
    this.#armed = { at, kind };
    this.#calls = 0;
    this.#hit = null;
  }

  /** No more faults; the call that failed, or null when it was not reached. */
  disarm(): string | null {
    this.#armed = null;
    return this.#hit;
  }

  /** From now on every write to a file finds no room, and every commit as long as the reserve is there. */
  fill(): void {
    this.#full = true;
  }

  makeRoom(): void {
    this.#full = false;
  }

  /** From now on every statement fails. */
  break(): void {
    this.#broken = true;
  }

  repair(): void {
    this.#broken = false;
  }

  get foundation(): Foundation {
    return { driver: (driver) => this.#wrapDriver(driver), files: this.#wrapFiles() };
  }

  #due(what: string): FaultKind | null {
    if (this.#armed === null) return null;
    this.#calls += 1;
    if (this.#calls !== this.#armed.at) return null;
    this.#hit = `${this.#armed.kind} at call ${this.#calls}: ${what}`;
    return this.#armed.kind;
  }

  #sql(text: string): void {
    const kind = this.#due(text.trim().slice(0, 60));
    if (kind !== null) throw sqlError(kind, text);
    if (this.#broken) throw sqlError('EIO', text);
    const isReserved = existsSync(join(this.blobs, 'content', 'reserve', 'room'));
    if (this.#full && isReserved && writing.test(text)) throw sqlError('ENOSPC', text);
  }

  #wrapDriver(driver: Driver): Driver {
    this.driver = driver;
    const watched = (sql: Queryable): Queryable => ({
      query: async (text, parameters) => {
        this.#sql(text);
        return sql.query(text, parameters);
      },
    });
    return {
      dialect: driver.dialect,
      close: () => driver.close(),
      ...watched(driver),
      transaction: async (work) => {
        this.#sql('begin');
        const result = await driver.transaction(async (sql) => {
          const done = await work(watched(sql));
          this.#sql('commit');
          return done;
        });
        // Committed, but the connection is lost before the answer has come.
        if (this.#due('the answer to commit') !== null) throw sqlError('EBUSY', 'the answer to commit');
        return result;
      },
    };
  }

  #call(name: string, takesRoom: boolean): void {
    const kind = this.#due(name);
    if (kind !== null) throw systemError(kind, name);
    if (this.#full && takesRoom) throw systemError('ENOSPC', name);
  }

  #wrapFiles(): Files {
    const takingRoom = new Set(['mkdir']);
    const wrapped = Object.fromEntries(
      Object.entries(nodeFiles).map(([name, call]) => [
        name,
        typeof call !== 'function'
          ? call
          : async (...given: unknown[]) => {
              this.#call(name, takingRoom.has(name));
              return (call as (...given: unknown[]) => Promise<unknown>)(...given);
            },
      ]),
    ) as unknown as Files;
    const open = async (...given: Parameters<Files['open']>) => this.#wrapHandle(await wrapped.open(...given));
    return { ...wrapped, open };
  }

  #wrapHandle(handle: FileHandle): FileHandle {
    const counted = new Set<string | symbol>(['write', 'writeFile', 'datasync', 'sync', 'stat']);
    return new Proxy(handle, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        return (...given: unknown[]) => {
          if (!counted.has(name)) return value.apply(target, given);
          return (async () => {
            this.#call(String(name), String(name).startsWith('write'));
            return value.apply(target, given);
          })();
        };
      },
    });
  }
}
