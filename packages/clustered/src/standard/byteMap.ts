/**
 * A map from strings to bytes that all processors share: sessions, caches, configuration.
 *
 * Keys and values lie in machine memory, in a `ByteTable` (`internal/byteTable.ts`); what a get returns is a copy in the
 * caller's heap, what a set is given is copied. Two implementations lock the same table differently.
 *
 * ## Shared
 * One reader-writer lock over all of it. Readers do not exclude each other, but each get writes the reader's count in shared
 * memory; a writer stops everybody.
 *
 * ## Distributed
 * A lock per stripe, of which there are 64, and on each processor a private cache of what it has read, each value with the
 * version of its stripe at that time. A get that finds its value in the cache and the version unchanged takes no lock, writes
 * nothing shared and reads one shared word. Any change of a stripe makes all cached values of the stripe old: a 64th of them.
 *
 * *Why no get returns a value that had been overwritten before the get began.* The value was copied under the lock of its
 * stripe, together with the version V. Whoever overwrites it raises the version first, under that lock; so the version was raised
 * before the set returned, and the get, which begins after, loads a version that is not V: the atomic load and the atomic
 * store are in one order for all. (Versions have 64 bits and do not come back.) If it loads V, then at the moment of that load
 * nobody had changed the stripe since, and the get takes effect at that moment. A copy made under the lock can be made neither in the middle of a
 * change nor between the raise and the change.
 *
 * ## Death
 * A processor may be terminated in the middle of anything here. The table is whole all the same, the next one who wants the lock
 * has it repaired (`ByteTable.repair`), and the change that was under way has been made or not.
 *
 * ## Swapping
 * The table goes over by reference (`internal/byteMapState.ts`): what is in it is not touched. Since the implementations lock
 * it differently, the old one sees to it, before it shows it to the new one, that nobody who died in a change has left anything
 * to repair: it takes each of its locks once. Other implementations of the interface, which cannot know the table, are served by
 * value (`internal/byteMapTransfer.ts`).
 */
import { currentProcessor, InvalidArgumentError, Mutex, RwLock } from '@k42/rcu';
import { defineImplementation, type Implementation } from '../implementations.ts';
import { defineInterface, type Interface } from '../interfaces.ts';
import { ByteCache, type Cached } from '../internal/byteCache.ts';
import type { Key } from '../internal/byteKeys.ts';
import { STRIPE, STRIPES } from '../internal/byteLayout.ts';
import {
  cacheBytesOf,
  giveTable,
  initialiseState,
  ownTable,
  reclaimTable,
  STATE_BYTES,
  tableOf,
} from '../internal/byteMapState.ts';
import { exportMap, importMap, MAP_PROTOCOLS, mapBytes } from '../internal/byteMapTransfer.ts';
import type { ByteTable } from '../internal/byteTable.ts';
import type { RootContext } from '../root.ts';
import { DistributedRoot, SharedRoot } from '../roots.ts';
import { ByteMapContendedError } from './errors.ts';
import { carriesState, type Part } from './parts.ts';

/**
 * A map from strings to bytes. Keys are any strings of at most 8192 characters (UTF-16 code units), values have at most 2^30
 * bytes. All methods but `size` wait for locks, for 10 s at most: LockDeadlineError. Bad arguments: InvalidArgumentError,
 * KeyTooLongError.
 */
export interface ByteMap {
  /** A copy of the value; undefined if there is none. Never one that had been overwritten before the call. */
  get(key: string): Uint8Array | undefined;
  /** @throws ByteMapFullError, OutOfMachineMemoryError; nothing has changed then. */
  set(key: string, bytes: Uint8Array): void;
  /** Whether the key had a value. */
  delete(key: string): boolean;
  has(key: string): boolean;
  /**
   * Sets (or with undefined deletes) if the value is `expected`, byte by byte; undefined expects none. Whether it was.
   * @throws as `set`.
   */
  compareAndSet(key: string, expected: Uint8Array | undefined, bytes: Uint8Array | undefined): boolean;
  /**
   * Replaces the value by what `change` makes of it (it is given a copy to keep or to change; undefined stands for no value),
   * atomically, and gives that. No lock is held while `change` runs: it may be called several times, may call other objects, and
   * must be synchronous. What it throws passes through, and nothing has changed.
   * @throws ByteMapContendedError after 1000 tries; as `set`.
   */
  update(
    key: string,
    change: (bytes: Uint8Array | undefined) => Uint8Array | undefined,
  ): Uint8Array | undefined;
  /** How many keys have values. No snapshot while others change the map. */
  size(): number;
  /**
   * The keys that have values, in no order. No snapshot: a key that is there from beginning to end of the call is among them,
   * one that comes or goes meanwhile may be; none is twice.
   */
  keys(): string[];
  /** Deletes what is there. What others set meanwhile may remain. */
  clear(): void;
}

export const ByteMap: Interface<ByteMap> = defineInterface<ByteMap>('k42/byte-map', {
  get: 'sync',
  set: 'sync',
  delete: 'sync',
  has: 'sync',
  compareAndSet: 'sync',
  update: 'sync',
  size: 'sync',
  keys: 'sync',
  clear: 'sync',
});

export interface ByteMapOptions {
  /**
   * What keys and values may come to, in bytes: a key counts one byte a character, two if it has any above U+00FF, and
   * each entry is rounded up to 8. Beyond it `set` throws. Checking it costs a `set` that needs more room 64 atomic loads. Default: none.
   */
  readonly maxBytes?: number;
}

export interface DistributedByteMapOptions extends ByteMapOptions {
  /** Bound of each processor's private cache, which is in its heap. 0 for none. Default 1 MiB. */
  readonly cacheBytes?: number;
}

const UPDATE_TRIES = 1000;
/** Well within what a 32-bit word can say. */
const VALUE_BYTES_MAX = 2 ** 30;
/** While a swap stands still for it. Nobody holds a lock then but the dead, who are known to be. */
const WHOLE_DEADLINE_MS = 500;

/** What the two implementations have in common: everything but how they lock. */
abstract class ByteMapRep implements ByteMap {
  protected readonly table: ByteTable;

  constructor(context: RootContext) {
    this.table = tableOf(context);
  }

  /** Runs a function with a stripe held, for reading or for writing. */
  protected abstract reading<R>(stripe: number, read: () => R): R;
  protected abstract writing<R>(stripe: number, write: () => R): R;
  /** Repairs what the dead have left, while nobody calls. @throws LockDeadlineError, OwnerDiedError */
  abstract makeWhole(): void;

  get(text: string): Uint8Array | undefined {
    return this.#read(text);
  }

  set(text: string, bytes: Uint8Array): void {
    const value = checkValue(bytes);
    this.#change(this.table.key(text), (stripe, key) => this.table.write(stripe, key, value));
  }

  delete(text: string): boolean {
    return this.#change(this.table.key(text), (stripe, key) => this.table.remove(stripe, key));
  }

  has(text: string): boolean {
    const key = this.table.key(text);
    const stripe = this.table.stripeOf(key);
    return this.reading(stripe, () => this.table.has(stripe, key));
  }

  compareAndSet(text: string, expected: Uint8Array | undefined, bytes: Uint8Array | undefined): boolean {
    const before = expected === undefined ? undefined : checkValue(expected);
    const after = bytes === undefined ? undefined : checkValue(bytes);
    return this.#change(this.table.key(text), (stripe, key) => {
      if (!this.table.equals(stripe, key, before)) return false;
      if (after !== undefined) this.table.write(stripe, key, after);
      else if (before !== undefined) this.table.remove(stripe, key);
      return true;
    });
  }

  update(
    text: string,
    change: (bytes: Uint8Array | undefined) => Uint8Array | undefined,
  ): Uint8Array | undefined {
    for (let tries = 0; tries < UPDATE_TRIES; tries++) {
      const before = this.#read(text);
      const after = change(before?.slice());
      if (this.compareAndSet(text, before, after)) return after;
    }
    throw new ByteMapContendedError(text, UPDATE_TRIES);
  }

  size(): number {
    return this.table.size();
  }

  keys(): string[] {
    return this.#stripes().flatMap((stripe) => this.reading(stripe, () => this.table.keys(stripe)));
  }

  clear(): void {
    for (const stripe of this.#stripes()) this.writing(stripe, () => this.table.clear(stripe));
  }

  #read(text: string): Uint8Array | undefined {
    const key = this.table.key(text);
    const stripe = this.table.stripeOf(key);
    return this.reading(stripe, () => this.table.read(stripe, key));
  }

  #change<R>(key: Key, change: (stripe: number, key: Key) => R): R {
    const stripe = this.table.stripeOf(key);
    return this.writing(stripe, () => change(stripe, key));
  }

  #stripes(): number[] {
    return Array.from({ length: STRIPES }, (_none, index) => this.table.stripeAt(index));
  }
}

/** Bytes that do not change while they are copied. @throws InvalidArgumentError */
function checkValue(bytes: Uint8Array): Uint8Array {
  if (!(bytes instanceof Uint8Array) || bytes.length > VALUE_BYTES_MAX)
    throw new InvalidArgumentError(`A value is a Uint8Array of at most ${VALUE_BYTES_MAX} bytes.`);
  // Shared memory may, and may even grow.
  return bytes.buffer instanceof SharedArrayBuffer ? bytes.slice() : bytes;
}

class SharedByteMapRep extends ByteMapRep {
  readonly #lock: RwLock;

  constructor(context: RootContext) {
    super(context);
    this.#lock = new RwLock(
      context.memory.i32,
      (context.stateOffset + STATE_BYTES) / 4,
      currentProcessor().owner,
      {
        name: 'the lock of a byte map',
        // Whose stripe it was, the lock does not know.
        repair: () => {
          for (let index = 0; index < STRIPES; index++) this.table.repair(this.table.stripeAt(index));
        },
      },
    );
  }

  protected override reading<R>(_stripe: number, read: () => R): R {
    return this.#lock.withRead(read);
  }

  protected override writing<R>(_stripe: number, write: () => R): R {
    return this.#lock.withWrite(write);
  }

  override makeWhole(): void {
    this.#lock.writeLock(WHOLE_DEADLINE_MS);
    this.#lock.writeUnlock();
  }
}

class DistributedByteMapRep extends ByteMapRep {
  readonly #context: RootContext;
  readonly #locks = new Map<number, Mutex>();
  readonly #cache: ByteCache;

  constructor(context: RootContext) {
    super(context);
    this.#context = context;
    this.#cache = new ByteCache(cacheBytesOf(context));
  }

  override get(text: string): Uint8Array | undefined {
    const cached = this.#cached(text);
    if (cached !== undefined) return cached.bytes === undefined ? undefined : new Uint8Array(cached.bytes);
    const { table } = this;
    const key = table.key(text);
    const stripe = table.stripeOf(key);
    // The version is that of the value: nobody raises it while we hold the lock.
    const entry = this.reading(stripe, () => ({
      bytes: table.read(stripe, key),
      stripe,
      versionLow: table.versionLow(stripe),
      versionHigh: table.versionHigh(stripe),
    }));
    const { bytes } = entry;
    // What is kept is not given away.
    return this.#cache.put(text, entry) && bytes !== undefined ? new Uint8Array(bytes) : bytes;
  }

  override has(text: string): boolean {
    const cached = this.#cached(text);
    return cached === undefined ? super.has(text) : cached.bytes !== undefined;
  }

  /** What is cached of a key, if it still holds. */
  #cached(text: string): Cached | undefined {
    const cached = this.#cache.get(text);
    if (cached === undefined) return undefined;
    const { stripe, versionLow, versionHigh } = cached;
    // The argument in the header rests on the first of these loads.
    return this.table.versionLow(stripe) === versionLow && this.table.versionHigh(stripe) === versionHigh
      ? cached
      : undefined;
  }

  protected override reading<R>(stripe: number, read: () => R): R {
    return this.#lockOf(stripe).withLock(read);
  }

  protected override writing<R>(stripe: number, write: () => R): R {
    return this.#lockOf(stripe).withLock(write);
  }

  override makeWhole(): void {
    for (let index = 0; index < STRIPES; index++) {
      const lock = this.#lockOf(this.table.stripeAt(index));
      lock.lock(WHOLE_DEADLINE_MS);
      lock.unlock();
    }
  }

  #lockOf(stripe: number): Mutex {
    let lock = this.#locks.get(stripe);
    if (lock === undefined) {
      lock = new Mutex(this.#context.memory.i32, stripe + STRIPE.LOCK, currentProcessor().owner, {
        name: 'the lock of a stripe of a byte map',
        repair: () => this.table.repair(stripe),
      });
      this.#locks.set(stripe, lock);
    }
    return lock;
  }
}

class SharedByteMapRoot extends SharedRoot<ByteMap> {
  static readonly exports: readonly string[] = MAP_PROTOCOLS;
  static readonly imports: readonly string[] = MAP_PROTOCOLS;

  protected override createRep(): ByteMap {
    return new SharedByteMapRep(this.context);
  }

  exportPart(protocol: string, part: Part): unknown {
    if (!carriesState(part)) return undefined;
    return exportMap(new SharedByteMapRep(this.context), this.context, protocol);
  }

  importPart(protocol: string, _part: Part, exported: unknown): void {
    importMap(() => new SharedByteMapRep(this.context), this.context, protocol, exported);
  }

  bytesOf(protocol: string, _part: Part, exported: unknown): number {
    return mapBytes(protocol, exported);
  }

  adopt(): void {
    ownTable(this.context);
  }

  relinquish(): void {
    giveTable(this.context);
  }

  override reclaim(): void {
    reclaimTable(this.context);
  }
}

class DistributedByteMapRoot extends DistributedRoot<ByteMap> {
  static readonly exports: readonly string[] = MAP_PROTOCOLS;
  static readonly imports: readonly string[] = MAP_PROTOCOLS;

  protected override createRep(): ByteMap {
    return new DistributedByteMapRep(this.context);
  }

  exportPart(protocol: string, part: Part): unknown {
    if (!carriesState(part)) return undefined;
    return exportMap(new DistributedByteMapRep(this.context), this.context, protocol);
  }

  importPart(protocol: string, _part: Part, exported: unknown): void {
    importMap(() => new DistributedByteMapRep(this.context), this.context, protocol, exported);
  }

  bytesOf(protocol: string, _part: Part, exported: unknown): number {
    return mapBytes(protocol, exported);
  }

  adopt(): void {
    ownTable(this.context);
  }

  relinquish(): void {
    giveTable(this.context);
  }

  override reclaim(): void {
    reclaimTable(this.context);
  }
}

/** One reader-writer lock over all: for few processors, or many writes. */
export const SharedByteMap: Implementation<ByteMap, ByteMapOptions | undefined> = defineImplementation<
  ByteMap,
  ByteMapOptions | undefined
>({
  name: 'k42/byte-map-shared@1',
  interface: ByteMap,
  module: import.meta.url,
  Root: SharedByteMapRoot,
  stateBytes: STATE_BYTES + RwLock.BYTES,
  initialise: initialiseState,
});

/** Locks by stripe and private caches: for many processors that mostly read. */
export const DistributedByteMap: Implementation<ByteMap, DistributedByteMapOptions | undefined> =
  defineImplementation<ByteMap, DistributedByteMapOptions | undefined>({
    name: 'k42/byte-map-distributed@1',
    interface: ByteMap,
    module: import.meta.url,
    Root: DistributedByteMapRoot,
    stateBytes: STATE_BYTES,
    initialise: initialiseState,
  });
