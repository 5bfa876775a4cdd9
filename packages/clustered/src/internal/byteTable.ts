/**
 * A hash table from strings to bytes that lies wholly in machine memory.
 *
 * The table is cut into 64 stripes by hash, each with chains of entries in an array of buckets that grows by itself. It has
 * no locks of its own: whoever calls it holds the stripe, for reading or for writing, by whatever lock the implementation
 * above has chosen. So a table can be handed from one implementation to another by reference.
 *
 * ## Changing
 * An entry is never changed. To set a key is to write a complete entry into a block of its own, then to link it by one
 * store, in the place of the old entry if there is one; to delete is to unlink by one store. So a chain is whole at any
 * moment, and whoever dies has either linked or not.
 *
 * ## Growing
 * An entry has two NEXT words. A bucket array uses one of them, the array twice as long the other. Growing threads all entries
 * into the chains of the new array while the chains of the old one stay as they are; then one store makes the new array the one
 * that counts. Who dies before it leaves half-made chains that nobody follows, and that the next one who grows writes anew.
 *
 * ## Death of a holder
 * What a death can leave wrong is therefore no chain, only what says something about them: the count of entries, the sum of
 * their bytes, and blocks that are on their way in or out. Blocks in transit are noted in the stripe before the store that
 * links or unlinks them. `repair`, run by the next holder, walks the chains once: it counts and sums anew, and frees the
 * blocks in transit that it did not meet. It may itself die anywhere and be run again: a note is cleared before its block is
 * freed, so that no block is freed twice. (A death just between the two, or between getting a block and noting it, loses the
 * block: at most one per death, and the arena says the same of itself.)
 *
 * The stores are ordered, for the one who repairs, by being done: it looks when the dead thread has ended. The compiler must not
 * exchange them. Those that decide (`publish`) are atomic, and what belongs before or after them stays there.
 *
 * ## Versions
 * Before a stripe changes, its version is raised. Who has a copy of a value and the version that held when it was copied, under
 * the lock, knows that the value is still in the table if the version still holds: a change would have raised it first. It is
 * raised before the change, not after, since a holder that dies in between must not leave a change that no version tells of.
 *
 * ## The budget
 * A writer that needs more room first stores the new sum of its own stripe, then adds up the sums of all, and takes its store
 * back if that is too much. Of two who together exceed the budget, the one whose atomic store is later in the one order
 * that there is sees the other's. Both may: then both are refused, although one would have had room.
 */
import { type MachineMemory, OutOfMachineMemoryError } from '@k42/rcu';
import { ByteMapFullError } from '../standard/errors.ts';
import { digest, type Key, KeyStore } from './byteKeys.ts';
import {
  BUCKETS_LOG2_MAX,
  BUCKETS_LOG2_MIN,
  BUDGET_UNIT_BYTES,
  bucketsLog2,
  bucketsWord,
  ENTRY,
  ENTRY_HEADER_BYTES,
  LINE_BYTES,
  LINE_WORDS,
  packBuckets,
  parityOf,
  STRIPE,
  STRIPES,
  STRIPES_LOG2,
  TABLE_BYTES,
} from './byteLayout.ts';

/** Where blocks come from: zeroed, each beginning on a cache line. Freed by any processor. */
export interface Heap {
  allocate(bytes: number): number;
  free(offset: number, bytes: number): void;
}

export class ByteTable {
  readonly #memory: MachineMemory;
  readonly #words: Int32Array;
  readonly #heap: Heap;
  readonly #keys: KeyStore;
  readonly #offset: number;
  readonly #seed: number;
  readonly #maxBytes: number;

  /**
   * The table at a byte offset, as one processor sees it. Nothing of the table itself is in the heap. How much it may hold is
   * its owner's business, and may be another after it has been handed on: `maxBytes`, for all who write it at one time.
   */
  constructor(
    memory: MachineMemory,
    offset: number,
    heap: Heap,
    maxBytes: number = Number.POSITIVE_INFINITY,
  ) {
    this.#memory = memory;
    this.#words = memory.i32;
    this.#heap = heap;
    this.#keys = new KeyStore(memory.buffer);
    this.#offset = offset;
    this.#maxBytes = maxBytes;
    // Plain: a constant, written before anybody else knew the table.
    this.#seed = memory.i32[offset / 4 + STRIPE.SEED] as number;
  }

  /** Makes an empty table and gives its byte offset. Hashes start from `seed`. @throws OutOfMachineMemoryError */
  static create(
    memory: MachineMemory,
    heap: Heap,
    seed: number = Math.floor(Math.random() * 2 ** 32),
  ): number {
    const offset = heap.allocate(TABLE_BYTES);
    memory.i32[offset / 4 + STRIPE.SEED] = seed;
    return offset;
  }

  /** Frees everything. Nobody may use the table any more. */
  dispose(): void {
    for (let index = 0; index < STRIPES; index++) {
      const stripe = this.stripeAt(index);
      this.repair(stripe);
      this.clear(stripe);
      const packed = this.#words[stripe + STRIPE.BUCKETS] as number;
      if (packed !== 0) this.#freeBuckets(packed);
    }
    this.#heap.free(this.#offset, TABLE_BYTES);
  }

  // Without a lock

  /** @throws InvalidArgumentError, KeyTooLongError */
  key(text: string): Key {
    return digest(text, this.#seed);
  }

  /** A stripe, by its number. Stripes are named by the index of their first word. */
  stripeAt(index: number): number {
    return this.#offset / 4 + index * LINE_WORDS;
  }

  stripeOf(key: Key): number {
    return this.stripeAt(key.hash & (STRIPES - 1));
  }

  /** Entries. No snapshot. Cost: an atomic load per stripe. */
  size(): number {
    return this.#sum(STRIPE.SIZE);
  }

  /** The low word of a stripe's version. */
  versionLow(stripe: number): number {
    // Pairs with the store in #bump(): who sees a change of a stripe (by whatever way it learned of it) sees its version.
    return Atomics.load(this.#words, stripe + STRIPE.VERSION_LOW);
  }

  /** The high word, to be read after the low one. */
  versionHigh(stripe: number): number {
    // Plain: it was written before the low word that has just been loaded, whose store and load order it.
    return this.#words[stripe + STRIPE.VERSION_HIGH] as number;
  }

  // With the stripe held for reading at least

  /** A copy of the value, in the caller's heap; undefined if there is none. */
  read(stripe: number, key: Key): Uint8Array | undefined {
    const link = this.#seek(stripe, key);
    if (link === 0) return undefined;
    const entry = (this.#words[link] as number) * LINE_WORDS;
    const from = this.#valueAt(entry);
    return this.#memory.u8.slice(from, from + (this.#words[entry + ENTRY.VALUE_BYTES] as number));
  }

  has(stripe: number, key: Key): boolean {
    return this.#seek(stripe, key) !== 0;
  }

  /** Whether the value is this; undefined: whether there is none. */
  equals(stripe: number, key: Key, value: Uint8Array | undefined): boolean {
    const link = this.#seek(stripe, key);
    if (link === 0 || value === undefined) return link === 0 && value === undefined;
    const entry = (this.#words[link] as number) * LINE_WORDS;
    if (this.#words[entry + ENTRY.VALUE_BYTES] !== value.length) return false;
    const { u8 } = this.#memory;
    const from = this.#valueAt(entry);
    for (let i = 0; i < value.length; i++) if (u8[from + i] !== value[i]) return false;
    return true;
  }

  keys(stripe: number): string[] {
    const keys: string[] = [];
    this.#forEach(stripe, (line) => {
      const entry = line * LINE_WORDS;
      keys.push(this.#keys.read(entry * 4 + ENTRY_HEADER_BYTES, this.#words[entry + ENTRY.KEY] as number));
    });
    return keys;
  }

  // With the stripe held for writing

  /** @throws ByteMapFullError, OutOfMachineMemoryError; nothing has changed then. */
  write(stripe: number, key: Key, value: Uint8Array): void {
    const words = this.#words;
    let link = this.#seek(stripe, key);
    const old = link === 0 ? 0 : (words[link] as number);
    const unitsBefore = words[stripe + STRIPE.UNITS] as number;
    const units = unitsOf(key.bytes, value.length) - (old === 0 ? 0 : this.#unitsOfEntry(old));
    this.#reserve(stripe, unitsBefore, units);
    let entry: number;
    try {
      if (link === 0) link = this.#roomFor(stripe, key);
      entry = this.#heap.allocate(entryBytes(key.bytes, value.length)) / 4;
    } catch (thrown) {
      this.publish(stripe + STRIPE.UNITS, unitsBefore);
      throw thrown;
    }
    // Noted as soon as its size can be seen: copying the value may take long.
    this.put(entry + ENTRY.KEY, key.bytes);
    this.put(entry + ENTRY.VALUE_BYTES, value.length);
    this.put(stripe + STRIPE.NEW, entry / LINE_WORDS);
    this.put(stripe + STRIPE.OLD, old);
    const next = ENTRY.NEXT + parityOf(words[stripe + STRIPE.BUCKETS] as number);
    // An entry that replaces one takes its place in the chain, a new one comes first.
    this.put(entry + next, old === 0 ? (words[link] as number) : this.#next(old, next));
    this.put(entry + ENTRY.HASH, key.hash);
    this.#keys.write(entry * 4 + ENTRY_HEADER_BYTES, key);
    this.#memory.u8.set(value, this.#valueAt(entry));
    this.#bump(stripe);
    this.publish(link, entry / LINE_WORDS);
    this.put(stripe + STRIPE.NEW, 0);
    if (old === 0) this.publish(stripe + STRIPE.SIZE, (words[stripe + STRIPE.SIZE] as number) + 1);
    else this.#freeOld(stripe, old);
  }

  /** Whether the key was there. */
  remove(stripe: number, key: Key): boolean {
    const link = this.#seek(stripe, key);
    if (link === 0) return false;
    this.#bump(stripe);
    this.#unlink(stripe, link);
    return true;
  }

  clear(stripe: number): void {
    const packed = this.#words[stripe + STRIPE.BUCKETS] as number;
    if (packed === 0) return;
    // Once will do: who misses waits for the lock.
    this.#bump(stripe);
    const first = bucketsWord(packed);
    for (let link = first; link < first + (1 << bucketsLog2(packed)); link++)
      while (this.#words[link] !== 0) this.#unlink(stripe, link);
  }

  /** Makes the stripe whole after a holder's death; see the header. */
  repair(stripe: number): void {
    const words = this.#words;
    const transit = new Set([words[stripe + STRIPE.NEW], words[stripe + STRIPE.OLD]]);
    let size = 0;
    let units = 0;
    this.#forEach(stripe, (line) => {
      transit.delete(line);
      size++;
      units += this.#unitsOfEntry(line);
    });
    this.publish(stripe + STRIPE.SIZE, size);
    this.publish(stripe + STRIPE.UNITS, units);
    for (const word of [stripe + STRIPE.NEW, stripe + STRIPE.OLD]) {
      const line = words[word] as number;
      this.put(word, 0);
      if (line !== 0 && transit.has(line)) this.#freeEntry(line);
    }
    for (const word of [stripe + STRIPE.GROWN, stripe + STRIPE.SHED]) {
      const packed = words[word] as number;
      this.put(word, 0);
      if (packed !== 0 && packed !== words[stripe + STRIPE.BUCKETS]) this.#freeBuckets(packed);
    }
  }

  /** A store that matters to the order of things: atomic. Tests make it, and `put`, die. */
  protected publish(word: number, value: number): void {
    // Pairs with the loads of whoever needs no lock (sizes, sums, versions); for a link, with the end of this thread: what
    // `repair` finds linked is complete. All other readers are ordered by the lock.
    Atomics.store(this.#words, word, value);
  }

  /** A store that only the holder of the stripe reads, or whoever repairs it: plain. */
  protected put(word: number, value: number): void {
    this.#words[word] = value;
  }

  /** Word index of the link that leads to the key's entry; 0 if there is none. */
  #seek(stripe: number, key: Key): number {
    const words = this.#words;
    const packed = words[stripe + STRIPE.BUCKETS] as number;
    if (packed === 0) return 0;
    const next = ENTRY.NEXT + parityOf(packed);
    let link = bucketOf(packed, key.hash);
    for (let line = words[link] as number; line !== 0; line = words[link] as number) {
      const entry = line * LINE_WORDS;
      if (
        words[entry + ENTRY.HASH] === key.hash &&
        words[entry + ENTRY.KEY] === key.bytes &&
        this.#keys.equals(entry * 4 + ENTRY_HEADER_BYTES, key)
      )
        return link;
      link = entry + next;
    }
    return 0;
  }

  /** The link at which a new entry goes in. @throws OutOfMachineMemoryError for the first one of a stripe. */
  #roomFor(stripe: number, key: Key): number {
    const packed = this.#words[stripe + STRIPE.BUCKETS] as number;
    const log2 = packed === 0 ? BUCKETS_LOG2_MIN : bucketsLog2(packed) + 1;
    const full = packed === 0 || (this.#words[stripe + STRIPE.SIZE] as number) >= 1 << (log2 - 1);
    if (full && log2 <= BUCKETS_LOG2_MAX) {
      try {
        this.#grow(stripe, packed, log2);
      } catch (thrown) {
        // Longer chains are no reason to refuse an entry.
        if (packed === 0 || !(thrown instanceof OutOfMachineMemoryError)) throw thrown;
      }
    }
    return bucketOf(this.#words[stripe + STRIPE.BUCKETS] as number, key.hash);
  }

  #grow(stripe: number, before: number, log2: number): void {
    const words = this.#words;
    const packed = packBuckets(this.#heap.allocate(4 << log2), log2);
    this.put(stripe + STRIPE.GROWN, packed);
    this.put(stripe + STRIPE.SHED, before);
    const next = ENTRY.NEXT + parityOf(packed);
    this.#forEach(stripe, (line) => {
      const entry = line * LINE_WORDS;
      const link = bucketOf(packed, words[entry + ENTRY.HASH] as number);
      this.put(entry + next, words[link] as number);
      this.put(link, line);
    });
    this.publish(stripe + STRIPE.BUCKETS, packed);
    this.put(stripe + STRIPE.GROWN, 0);
    this.put(stripe + STRIPE.SHED, 0);
    if (before !== 0) this.#freeBuckets(before);
  }

  /** Takes the entry at a link out and frees it. */
  #unlink(stripe: number, link: number): void {
    const words = this.#words;
    const line = words[link] as number;
    const units = this.#unitsOfEntry(line);
    const next = ENTRY.NEXT + parityOf(words[stripe + STRIPE.BUCKETS] as number);
    this.put(stripe + STRIPE.OLD, line);
    this.publish(link, this.#next(line, next));
    this.publish(stripe + STRIPE.SIZE, (words[stripe + STRIPE.SIZE] as number) - 1);
    this.publish(stripe + STRIPE.UNITS, (words[stripe + STRIPE.UNITS] as number) - units);
    this.#freeOld(stripe, line);
  }

  #freeOld(stripe: number, line: number): void {
    this.put(stripe + STRIPE.OLD, 0);
    this.#freeEntry(line);
  }

  #freeEntry(line: number): void {
    const entry = line * LINE_WORDS;
    const value = this.#words[entry + ENTRY.VALUE_BYTES] as number;
    this.#heap.free(line * LINE_BYTES, entryBytes(this.#words[entry + ENTRY.KEY] as number, value));
  }

  #freeBuckets(packed: number): void {
    this.#heap.free(bucketsWord(packed) * 4, 4 << bucketsLog2(packed));
  }

  #bump(stripe: number): void {
    const low = ((this.#words[stripe + STRIPE.VERSION_LOW] as number) + 1) | 0;
    // The high word first. A death between the two makes a version that is skipped, not one that comes twice.
    if (low === 0)
      this.put(stripe + STRIPE.VERSION_HIGH, ((this.#words[stripe + STRIPE.VERSION_HIGH] as number) + 1) | 0);
    // Pairs with versionLow().
    this.publish(stripe + STRIPE.VERSION_LOW, low);
  }

  /** @throws ByteMapFullError */
  #reserve(stripe: number, before: number, units: number): void {
    this.publish(stripe + STRIPE.UNITS, before + units);
    // Giving back needs no room, whatever the others do.
    if (units <= 0 || this.#maxBytes === Number.POSITIVE_INFINITY) return;
    // After our own store: see the header.
    const bytes = this.#sum(STRIPE.UNITS) * BUDGET_UNIT_BYTES;
    if (bytes <= this.#maxBytes) return;
    this.publish(stripe + STRIPE.UNITS, before);
    throw new ByteMapFullError(this.#maxBytes, bytes);
  }

  #sum(field: number): number {
    let sum = 0;
    // Pairs with publish().
    for (let index = 0; index < STRIPES; index++)
      sum += Atomics.load(this.#words, this.stripeAt(index) + field);
    return sum;
  }

  /** Visits the entries of a stripe. The visitor may not unlink. */
  #forEach(stripe: number, visit: (line: number) => void): void {
    const words = this.#words;
    const packed = words[stripe + STRIPE.BUCKETS] as number;
    if (packed === 0) return;
    const next = ENTRY.NEXT + parityOf(packed);
    const first = bucketsWord(packed);
    for (let link = first; link < first + (1 << bucketsLog2(packed)); link++)
      for (let line = words[link] as number; line !== 0; line = this.#next(line, next)) visit(line);
  }

  #next(line: number, next: number): number {
    return this.#words[line * LINE_WORDS + next] as number;
  }

  #unitsOfEntry(line: number): number {
    const entry = line * LINE_WORDS;
    return unitsOf(
      this.#words[entry + ENTRY.KEY] as number,
      this.#words[entry + ENTRY.VALUE_BYTES] as number,
    );
  }

  /** Byte offset of the value of an entry. */
  #valueAt(entry: number): number {
    return entry * 4 + ENTRY_HEADER_BYTES + Math.abs(this.#words[entry + ENTRY.KEY] as number);
  }
}

function bucketOf(packed: number, hash: number): number {
  return bucketsWord(packed) + ((hash >>> STRIPES_LOG2) & ((1 << bucketsLog2(packed)) - 1));
}

function entryBytes(keyBytes: number, valueBytes: number): number {
  return ENTRY_HEADER_BYTES + Math.abs(keyBytes) + valueBytes;
}

function unitsOf(keyBytes: number, valueBytes: number): number {
  return Math.ceil((Math.abs(keyBytes) + valueBytes) / BUDGET_UNIT_BYTES);
}
