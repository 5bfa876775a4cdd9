/**
 * The Global Translation Table: one entry per COID, in machine memory.
 *
 * An entry's lock is a set of processors with a miss in progress, plus a WRITER bit. Readers (misses) may wait for a
 * writer, which holds the entry for microseconds. Writers (swap, destroy) never wait for readers: they *try*, between
 * turns, and after a failure set WANTED; the miss that leaves the entry empty then tells every processor to try again.
 * So nobody inside a turn is ever waited for by somebody who holds a processor.
 */
import { currentProcessor, DeadlineError, type Processor } from '@k42/rcu';
import {
  ENTRY,
  ENTRY_BYTES,
  ENTRY_LONGS,
  ENTRY_SEQUENCE,
  ENTRY_STATE,
  GTT_NAME,
  LOCK_READERS,
  LOCK_WANTED,
  LOCK_WRITER,
  REGION_ENTRIES,
} from './layout.ts';

const RELEASED = 'clustered/released';
/** How long a miss waits for a writer before it calls the writer lost. */
const READ_DEADLINE_MS = 10_000;
/** How long a swap or destroy tries for its write lock. */
const WRITE_DEADLINE_MS = 10_000;
const SLEEP_CAP_MS = 20;

/** Sets of processors as bits. */
export function bit(processor: number): bigint {
  return 1n << BigInt(processor);
}

/** The processors in a set, ascending. */
export function members(set: bigint): number[] {
  const numbers: number[] = [];
  for (let number = 0, rest = set; rest !== 0n; number++, rest >>= 1n)
    if ((rest & 1n) === 1n) numbers.push(number);
  return numbers;
}

export class GlobalTranslationTable {
  readonly entries: number;
  readonly #processor: Processor;
  readonly #longs: BigInt64Array;
  readonly #words: Int32Array;
  /** Index of the first entry, in 64-bit words. */
  readonly #base: number;
  readonly #myBit: bigint;
  /** Nesting of this processor's misses per entry: a miss may lead to a miss on the same object. */
  readonly #depth = new Map<number, number>();
  readonly #writersWaiting = new Map<number, Set<() => void>>();

  constructor(processor: Processor) {
    this.#processor = processor;
    this.entries = processor.processors * REGION_ENTRIES;
    this.#longs = processor.memory.i64;
    this.#words = processor.memory.i32;
    this.#base = processor.memory.block(GTT_NAME, this.entries * ENTRY_BYTES) / 8;
    this.#myBit = bit(processor.number);
    processor.onSystemMessage(RELEASED, (_from, coid) => {
      const waiting = this.#writersWaiting.get(coid as number);
      this.#writersWaiting.delete(coid as number);
      for (const retry of waiting ?? []) retry();
    });
  }

  /** Enters a miss on an entry. @throws DeadlineError if a writer does not let go. */
  readLock(coid: number): void {
    const depth = this.#depth.get(coid) ?? 0;
    this.#depth.set(coid, depth + 1);
    if (depth !== 0) return;
    const at = this.#long(coid, ENTRY.LOCK);
    const giveUpAt = performance.now() + READ_DEADLINE_MS;
    // Pairs with tryWriteLock(): either its compare-and-swap sees our bit and fails, or we see WRITER and step back.
    while ((Atomics.or(this.#longs, at, this.#myBit) & LOCK_WRITER) !== 0n) {
      this.#leave(coid);
      const seen = Atomics.load(this.#longs, at);
      if ((seen & LOCK_WRITER) === 0n) continue;
      if (performance.now() > giveUpAt) {
        this.#depth.delete(coid);
        throw new DeadlineError(`the write lock of object ${coid}'s entry to be released`, READ_DEADLINE_MS);
      }
      Atomics.wait(this.#longs, at, seen, SLEEP_CAP_MS);
    }
  }

  readUnlock(coid: number): void {
    const depth = (this.#depth.get(coid) as number) - 1;
    if (depth !== 0) {
      this.#depth.set(coid, depth);
      return;
    }
    this.#depth.delete(coid);
    this.#leave(coid);
  }

  #leave(coid: number): void {
    const at = this.#long(coid, ENTRY.LOCK);
    const before = Atomics.and(this.#longs, at, ~this.#myBit);
    if ((before & LOCK_WANTED) === 0n || (before & LOCK_READERS) !== this.#myBit) return;
    // The last miss is out and a writer wants in: pairs with the WANTED bit set in writeLock().
    Atomics.and(this.#longs, at, ~LOCK_WANTED);
    for (const number of this.#processor.liveProcessors()) this.#processor.post(number, RELEASED, coid);
  }

  /** Takes an entry for writing if no miss is in progress on it. Between turns only. */
  tryWriteLock(coid: number): boolean {
    const at = this.#long(coid, ENTRY.LOCK);
    return Atomics.compareExchange(this.#longs, at, 0n, LOCK_WRITER) === 0n;
  }

  /**
   * Takes an entry for writing, calling back between turns, in a turn of its own; `held` must release it before it
   * returns. @throws DeadlineError
   */
  async writeLocked<R>(coid: number, held: () => R): Promise<R> {
    const giveUpAt = performance.now() + WRITE_DEADLINE_MS;
    for (;;) {
      await new Promise<void>((resolve) => setImmediate(resolve));
      if (this.tryWriteLock(coid)) {
        try {
          return held();
        } finally {
          this.writeUnlock(coid);
        }
      }
      if (performance.now() > giveUpAt)
        throw new DeadlineError(`misses on object ${coid} to end`, WRITE_DEADLINE_MS);
      await this.#released(coid);
    }
  }

  writeUnlock(coid: number): void {
    const at = this.#long(coid, ENTRY.LOCK);
    const before = Atomics.and(this.#longs, at, ~(LOCK_WRITER | LOCK_WANTED));
    Atomics.notify(this.#longs, at);
    if ((before & LOCK_WANTED) === 0n) return;
    for (const number of this.#processor.liveProcessors()) this.#processor.post(number, RELEASED, coid);
  }

  /** Waits until a release has been announced, or a moment passes (against a release that came just before). */
  async #released(coid: number): Promise<void> {
    const at = this.#long(coid, ENTRY.LOCK);
    const waiting = this.#writersWaiting.get(coid) ?? new Set();
    this.#writersWaiting.set(coid, waiting);
    await new Promise<void>((resolve) => {
      waiting.add(resolve);
      // If the entry is free by now nobody will announce anything.
      const before = Atomics.or(this.#longs, at, LOCK_WANTED);
      if ((before & (LOCK_READERS | LOCK_WRITER)) === 0n) {
        Atomics.and(this.#longs, at, ~LOCK_WANTED);
        resolve();
      }
      setTimeout(resolve, SLEEP_CAP_MS).unref();
    });
    // Announced: the set is no longer in the map, and this writer will wait in a new one.
    if (this.#writersWaiting.get(coid) === waiting) this.#writersWaiting.delete(coid);
  }

  /** The Root word. */
  root(coid: number): bigint {
    return Atomics.load(this.#longs, this.#long(coid, ENTRY.ROOT));
  }

  /** Swings the Root word; false if it was not `from`. */
  swing(coid: number, from: bigint, to: bigint): boolean {
    return Atomics.compareExchange(this.#longs, this.#long(coid, ENTRY.ROOT), from, to) === from;
  }

  touch(coid: number): void {
    Atomics.or(this.#longs, this.#long(coid, ENTRY.TOUCHED), this.#myBit);
  }

  /** Set of the processors that ever had a slot of the object. Exact under the write lock. */
  touched(coid: number): bigint {
    return Atomics.load(this.#longs, this.#long(coid, ENTRY.TOUCHED));
  }

  sequence(coid: number): number {
    return Atomics.load(this.#words, this.#word(coid, ENTRY_SEQUENCE));
  }

  state(coid: number): number {
    return Atomics.load(this.#words, this.#word(coid, ENTRY_STATE));
  }

  setState(coid: number, state: number): void {
    Atomics.store(this.#words, this.#word(coid, ENTRY_STATE), state);
  }

  /** Makes a free entry live: the state is stored last and publishes the rest. */
  publish(coid: number, root: bigint, live: number): void {
    Atomics.store(this.#longs, this.#long(coid, ENTRY.TOUCHED), 0n);
    Atomics.store(this.#longs, this.#long(coid, ENTRY.ROOT), root);
    this.setState(coid, live);
  }

  /** Ends an entry's life: what still names it by its sequence number finds it gone. */
  retire(coid: number, free: number): void {
    Atomics.add(this.#words, this.#word(coid, ENTRY_SEQUENCE), 1);
    this.setState(coid, free);
  }

  /** Whether a number is a COID this table could have given out. */
  inRange(coid: number): boolean {
    return Number.isInteger(coid) && coid >= 0 && coid < this.entries;
  }

  #long(coid: number, field: number): number {
    return this.#base + coid * ENTRY_LONGS + field;
  }

  #word(coid: number, field: number): number {
    return (this.#base + coid * ENTRY_LONGS) * 2 + field;
  }
}

/** A set without the processors that are gone. */
export function liveMembers(set: bigint): number[] {
  const processor = currentProcessor();
  return members(set).filter((number) => processor.isLive(number));
}
