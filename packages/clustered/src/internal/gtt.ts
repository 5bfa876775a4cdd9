/**
 * The Global Translation Table: one entry per COID, in machine memory, a page of entries at a time.
 *
 * An entry's lock is a set of processors with a miss in progress, plus a WRITER bit. Readers (misses) may wait for a
 * writer, which holds the entry for microseconds. Writers (swap, destroy) never wait for readers: they *try*, between
 * turns, and after a failure set WANTED; the miss that leaves the entry empty then tells every processor to try again.
 * So nobody inside a turn is ever waited for by somebody who holds a processor.
 *
 * ## Who the writer is
 * WRITER does not say. But whoever sets it holds the WRITERS mutex of the entry's region, and has noted the entry in WRITING
 * before. So a reader that meets WRITER waits by taking that mutex for a moment; and if the writer has died, the mutex
 * knows, and its repair opens the entry. Bits of dead readers are cleared by the host (`orphans.ts`) before their number
 * is used again.
 */
import { DeadlineError, MachineClosedError, Mutex, type Processor } from '@k42/rcu';
import { CoidFormat } from './coids.ts';
import {
  ENTRY,
  ENTRY_LONGS,
  ENTRY_SEQUENCE,
  ENTRY_STATE,
  GTT_NAME,
  LINE_BYTES,
  LOCK_READERS,
  LOCK_WANTED,
  LOCK_WRITER,
  PAGE_BYTES,
  PAGE_LOG2,
  PAGE_MASK,
  REGION,
  REGION_PAGES,
  REGIONS_BYTES,
  REGIONS_NAME,
  regionAt,
  SEQUENCE_RANGE,
  STATE_MASK,
  STATE_SHIFT,
  UNIT_BYTES,
} from './layout.ts';
import { bit } from './sets.ts';

const RELEASED = 'clustered/released';
/** How long a swap tries for its write lock. */
const WRITE_DEADLINE_MS = 10_000;
/** Against a release that was announced just before the wait began. */
const SLEEP_CAP_MS = 20;

export class GlobalTranslationTable {
  readonly format: CoidFormat;
  readonly #processor: Processor;
  readonly #longs: BigInt64Array;
  readonly #words: Int32Array;
  readonly #pages: number;
  /** First word of the directory. */
  readonly #directory: number;
  readonly #regions: number;
  /** Index of each page's first entry, in 64-bit words, as far as this processor has met it; 0 for unknown. */
  readonly #bases: Float64Array;
  readonly #myBit: bigint;
  /** Entries this processor is in a miss on, once for each time: one may lead to another, also on the same object. */
  readonly #held: number[] = [];
  readonly #writersWaiting = new Map<number, Set<() => void>>();
  readonly #writers: (Mutex | undefined)[] = [];

  constructor(processor: Processor) {
    this.#processor = processor;
    const { memory } = processor;
    this.#longs = memory.i64;
    this.#words = memory.i32;
    this.format = new CoidFormat(processor.processors);
    this.#pages = processor.processors * REGION_PAGES;
    this.#directory = memory.block(GTT_NAME, this.#pages * 4) / 4;
    this.#regions = memory.block(REGIONS_NAME, REGIONS_BYTES) / 4;
    this.#bases = new Float64Array(this.#pages);
    this.#myBit = bit(processor.number);
    processor.onSystemMessage(RELEASED, (_from, coid) => {
      const waiting = this.#writersWaiting.get(coid as number);
      this.#writersWaiting.delete(coid as number);
      for (const retry of waiting ?? []) retry();
    });
  }

  // Pages

  /** Whether a number is a COID that has been given out at some time. */
  has(coid: number): boolean {
    return this.format.couldBe(coid) && this.#base(this.#page(coid)) !== 0;
  }

  /** Number of the page an entry is in. */
  #page(coid: number): number {
    return this.format.region(coid) * REGION_PAGES + (this.format.index(coid) >>> PAGE_LOG2);
  }

  /** Makes the page that begins with a COID of this processor's region, if there is none. @throws OutOfMachineMemoryError */
  addPage(coid: number): void {
    const page = this.#page(coid);
    if (this.#base(page) !== 0) return;
    const start = this.#processor.memory.allocate(PAGE_BYTES);
    const region = regionAt(this.#regions, this.#processor.number);
    Atomics.add(this.#words, region + REGION.RESERVED_LINES, PAGE_BYTES / LINE_BYTES);
    // Pairs with #base(): the page is zeroed, that is, of free entries.
    Atomics.store(this.#words, this.#directory + page, start / UNIT_BYTES);
  }

  /** Index of a page's first entry, in 64-bit words; 0 if there is no such page. */
  #base(page: number): number {
    const known = this.#bases[page];
    if (known !== 0) return known ?? 0;
    // Pairs with the store in addPage(). A page stays for ever.
    const base = (Atomics.load(this.#words, this.#directory + page) * UNIT_BYTES) / 8;
    this.#bases[page] = base;
    return base;
  }

  // The lock

  /** Enters a miss on an entry. @throws LockDeadlineError if a writer does not let go. */
  readLock(coid: number): void {
    if (this.#held.includes(coid)) {
      this.#held.push(coid);
      return;
    }
    const at = this.#long(coid, ENTRY.LOCK);
    // Pairs with #tryWriteLock(): either its compare-and-swap sees our bit and fails, or we see WRITER and step back.
    while ((Atomics.or(this.#longs, at, this.#myBit) & LOCK_WRITER) !== 0n) {
      this.#clearReader(coid, this.#myBit);
      // The writer holds this mutex, or is dead and its death is repaired now.
      this.#writersOf(coid).withLock(() => {
        if ((Atomics.load(this.#longs, at) & LOCK_WRITER) !== 0n)
          throw new Error(`@k42/clustered invariant: object ${coid} is locked for writing by nobody`);
      });
    }
    this.#held.push(coid);
  }

  readUnlock(coid: number): void {
    // Misses are nested: the last one begun ends first.
    this.#held.pop();
    if (!this.#held.includes(coid)) this.#clearReader(coid, this.#myBit);
  }

  #clearReader(coid: number, reader: bigint): void {
    const at = this.#long(coid, ENTRY.LOCK);
    const before = Atomics.and(this.#longs, at, ~reader);
    if ((before & LOCK_WANTED) === 0n || (before & (LOCK_READERS | LOCK_WRITER)) !== reader) return;
    // The last miss is out and a writer wants in: pairs with the WANTED bit set in #released().
    Atomics.and(this.#longs, at, ~LOCK_WANTED);
    this.#announceRelease(coid);
  }

  #announceRelease(coid: number): void {
    for (const number of this.#processor.liveProcessors()) this.#processor.post(number, RELEASED, coid);
  }

  /**
   * Runs `held` with an entry locked for writing, if no miss is in progress on it; whether it ran. Between turns only:
   * a miss further down the stack would never end.
   */
  tryWriteLocked(coid: number, held: () => void): boolean {
    return this.#writersOf(coid).withLock(() => {
      const writing = regionAt(this.#regions, this.format.region(coid)) + REGION.WRITING;
      // Plain, as the mutex orders it: read by its repair.
      this.#words[writing] = coid + 1;
      if (!this.#tryWriteLock(coid)) {
        this.#words[writing] = 0;
        return false;
      }
      try {
        held();
      } finally {
        this.#writeUnlock(coid);
        this.#words[writing] = 0;
      }
      return true;
    });
  }

  #tryWriteLock(coid: number): boolean {
    const at = this.#long(coid, ENTRY.LOCK);
    const seen = Atomics.load(this.#longs, at);
    if ((seen & LOCK_READERS) !== 0n) return false;
    // Pairs with the or in readLock().
    return Atomics.compareExchange(this.#longs, at, seen, seen | LOCK_WRITER) === seen;
  }

  #writeUnlock(coid: number): void {
    const before = Atomics.and(this.#longs, this.#long(coid, ENTRY.LOCK), ~(LOCK_WRITER | LOCK_WANTED));
    if ((before & LOCK_WANTED) !== 0n) this.#announceRelease(coid);
  }

  /**
   * Runs `held` with an entry locked for writing, in a turn of its own. Tries again when the misses on it have ended, and
   * where `isSettled` says that it has to wait, when some reader has left.
   * @throws DeadlineError
   */
  async writeLocked<R>(
    coid: number,
    held: () => R,
    deadlineMs: number = WRITE_DEADLINE_MS,
    isSettled: () => boolean = () => true,
  ): Promise<R> {
    const giveUpAt = performance.now() + deadlineMs;
    for (;;) {
      await new Promise<void>((resolve) => setImmediate(resolve));
      let result: { readonly value: R } | undefined;
      let settled = true;
      this.tryWriteLocked(coid, () => {
        settled = isSettled();
        if (settled) result = { value: held() };
      });
      if (result !== undefined) return result.value;
      if (this.#processor.closed) throw new MachineClosedError(`waiting for misses on object ${coid} to end`);
      if (performance.now() > giveUpAt)
        throw new DeadlineError(`misses on object ${coid} to end`, deadlineMs);
      await this.#released(coid, settled);
    }
  }

  /** Waits until a release has been announced, or a moment passes (against a release that came just before). */
  async #released(coid: number, orFree: boolean): Promise<void> {
    const at = this.#long(coid, ENTRY.LOCK);
    const waiting = this.#writersWaiting.get(coid) ?? new Set();
    this.#writersWaiting.set(coid, waiting);
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      waiting.add(resolve);
      // If the entry is free by now nobody will announce anything.
      const before = Atomics.or(this.#longs, at, LOCK_WANTED);
      if (orFree && (before & (LOCK_READERS | LOCK_WRITER)) === 0n) {
        Atomics.and(this.#longs, at, ~LOCK_WANTED);
        resolve();
      }
      timer = setTimeout(resolve, SLEEP_CAP_MS);
    });
    clearTimeout(timer);
    // Announced: the set is no longer in the map, and this writer will wait in a new one.
    if (this.#writersWaiting.get(coid) === waiting) this.#writersWaiting.delete(coid);
  }

  /** The mutex of the writers of an entry's region. */
  #writersOf(coid: number): Mutex {
    return this.#writersOfRegion(this.format.region(coid));
  }

  #writersOfRegion(region: number): Mutex {
    const at = regionAt(this.#regions, region);
    this.#writers[region] ??= new Mutex(this.#words, at + REGION.WRITERS, this.#processor.owner, {
      name: `the write lock on objects of region ${region}`,
      repair: () => {
        const writing = this.#words[at + REGION.WRITING] as number;
        // Nobody else can have WRITER set in this region: the mutex is ours.
        if (writing !== 0) this.#writeUnlock(writing - 1);
        this.#words[at + REGION.WRITING] = 0;
      },
    });
    return this.#writers[region];
  }

  // What an entry says

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
    return Atomics.load(this.#words, this.#word(coid, ENTRY_STATE)) & STATE_MASK;
  }

  /** The processor that destroys the object, while the state is one of destruction. */
  destroyer(coid: number): number {
    return Atomics.load(this.#words, this.#word(coid, ENTRY_STATE)) >>> STATE_SHIFT;
  }

  setState(coid: number, state: number, destroyer = 0): void {
    Atomics.store(this.#words, this.#word(coid, ENTRY_STATE), state | (destroyer << STATE_SHIFT));
  }

  /** Makes a free entry live: the state is stored last and publishes the rest. */
  publish(coid: number, root: bigint, live: number): void {
    Atomics.store(this.#longs, this.#long(coid, ENTRY.TOUCHED), 0n);
    Atomics.store(this.#longs, this.#long(coid, ENTRY.ROOT), root);
    this.setState(coid, live);
  }

  /** Ends an entry's life: what still names it by its sequence number finds it gone. */
  retire(coid: number, retired: number): void {
    const at = this.#word(coid, ENTRY_SEQUENCE);
    // Only one who destroys writes it.
    Atomics.store(this.#words, at, (Atomics.load(this.#words, at) + 1) % SEQUENCE_RANGE);
    this.setState(coid, retired, this.#processor.number);
  }

  // After a death

  /** Whether the object has any bit of a processor in its lock. Plain, for a look at very many entries. */
  isReadLockedBy(coid: number, number: number): boolean {
    const at = this.#long(coid, ENTRY.LOCK) * 2 + (number >>> 5);
    return ((this.#words[at] as number) & (1 << (number & 31))) !== 0;
  }

  /** Ends the miss of a processor that is dead. */
  forgetReader(coid: number, number: number): void {
    this.#clearReader(coid, bit(number));
  }

  /** Whether a processor has touched the object. Plain, as above. */
  isTouchedBy(coid: number, number: number): boolean {
    const at = this.#long(coid, ENTRY.TOUCHED) * 2 + (number >>> 5);
    return ((this.#words[at] as number) & (1 << (number & 31))) !== 0;
  }

  /** A processor that is gone has no slot any more: whoever has its number next is asked only if it makes one. */
  forgetTouch(coid: number, number: number): void {
    Atomics.and(this.#longs, this.#long(coid, ENTRY.TOUCHED), ~bit(number));
  }

  /** Has the lock of a region's writers repaired, if its holder is dead. */
  repairWriters(region: number): void {
    this.#writersOfRegion(region).withLock(() => {});
  }

  /** Index of a 64-bit word of an entry. */
  #long(coid: number, field: number): number {
    const at = this.format.index(coid) & PAGE_MASK;
    return this.#base(this.#page(coid)) + at * ENTRY_LONGS + field;
  }

  /** Index of a 32-bit word of an entry. */
  #word(coid: number, field: number): number {
    return this.#long(coid, 0) * 2 + field;
  }
}
