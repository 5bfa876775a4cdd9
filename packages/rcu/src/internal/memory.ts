/**
 * Machine memory: the one SharedArrayBuffer all processors of a machine share, and its allocator.
 *
 * Two kinds of storage come out of it. A *named block* is made once, by whichever processor asks first, and lives as
 * long as the machine: tables, pools. An *allocated block* comes and goes: Roots, page tables. Allocated blocks are
 * rounded up to a power of two and recycled through one free list per size, all under one mutex.
 *
 * Why not a library: the published allocator over a shared buffer (@thi.ng/malloc) walks the list of all live blocks
 * on every free, and this one is called for every open file. A free list per size is O(1), and forty lines.
 */
import { InvalidArgumentError, OutOfMachineMemoryError, TooManyNamesError } from '../errors.ts';
import { Mutex } from '../locks.ts';
import {
  DIRECTORY,
  DIRECTORY_ENTRIES,
  DIRECTORY_ENTRY_WORDS,
  ENTRY,
  FREE_LISTS,
  FREE_LISTS_COUNT,
  HEADER,
  HEAP_START_BYTES,
  LAYOUT_VERSION,
  MAGIC,
  NAME_BYTES_MAX,
  SIZE_CLASS_MIN_LOG2,
  UNIT_BYTES,
  WORD_BYTES,
} from './layout.ts';
import { ProcessorOwner } from './owners.ts';

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** What all processors of a machine go by, kept in its header. */
export interface MemorySettings {
  /** How many there may be. */
  readonly processors: number;
  readonly prove: boolean;
  readonly stallMs: number;
}

/** Views and allocator over a machine's memory; one instance per processor, all on the same buffer. */
export class MachineMemory {
  readonly buffer: SharedArrayBuffer;
  readonly i32: Int32Array;
  readonly i64: BigInt64Array;
  readonly f64: Float64Array;
  readonly u8: Uint8Array;
  /** Processors the machine has room for. */
  readonly processors: number;
  readonly #mutex: Mutex;

  /** Attaches to a memory that `MachineMemory.create` has made, as the processor of that number and incarnation. */
  constructor(buffer: SharedArrayBuffer, processor: number, incarnation: number) {
    this.buffer = buffer;
    this.i32 = new Int32Array(buffer);
    this.i64 = new BigInt64Array(buffer);
    this.f64 = new Float64Array(buffer);
    this.u8 = new Uint8Array(buffer);
    if (this.i32[HEADER.MAGIC] !== MAGIC || this.i32[HEADER.VERSION] !== LAYOUT_VERSION) {
      throw new InvalidArgumentError('Not the memory of a machine of this version of @k42/rcu.');
    }
    this.processors = this.i32[HEADER.PROCESSORS] as number;
    // Nothing to repair. Every change is made so that each of its stores leaves lists and directory whole: a block is linked
    // before the head moves to it, a name is complete before it is counted. A holder that dies in between leaves a block
    // that nobody has, or a count of bytes in use that is off by one block, and no more than that.
    this.#mutex = new Mutex(
      this.i32,
      HEADER.MEMORY_MUTEX,
      new ProcessorOwner(this.i32, processor, incarnation),
      { name: 'the mutex of machine memory', repair: () => {} },
    );
  }

  /** Makes the memory of a new machine. Physical memory is committed by the system only as it is touched. */
  static create(bytes: number, settings: MemorySettings): SharedArrayBuffer {
    const rounded = Math.ceil(bytes / UNIT_BYTES) * UNIT_BYTES;
    if (rounded <= HEAP_START_BYTES)
      throw new InvalidArgumentError(`memoryBytes must exceed ${HEAP_START_BYTES}.`);
    const buffer = new SharedArrayBuffer(rounded);
    const words = new Int32Array(buffer);
    // Plain stores: nobody else has the buffer yet; posting it to a worker publishes them.
    words[HEADER.PROCESSORS] = settings.processors;
    words[HEADER.PROVE] = settings.prove ? 1 : 0;
    words[HEADER.STALL_MS] = settings.stallMs;
    words[HEADER.HEAP_TOP] = HEAP_START_BYTES / UNIT_BYTES;
    words[HEADER.VERSION] = LAYOUT_VERSION;
    words[HEADER.MAGIC] = MAGIC;
    return buffer;
  }

  /**
   * Byte offset of the block of that name, made and zeroed by the first who asks. Blocks start on a cache line.
   * @throws InvalidArgumentError if it exists with another size: two versions of a layout would overlap;
   *   TooManyNamesError, OutOfMachineMemoryError.
   */
  block(name: string, bytes: number): number {
    const encoded = encoder.encode(name);
    if (encoded.length === 0 || encoded.length > NAME_BYTES_MAX) {
      throw new InvalidArgumentError(
        `A block name has 1 to ${NAME_BYTES_MAX} bytes: ${JSON.stringify(name)}.`,
      );
    }
    const units = toUnits(bytes);
    return this.#mutex.withLock(() => {
      // Plain accesses throughout: the mutex orders them.
      const count = this.i32[HEADER.NAMES] as number;
      for (let entry = 0; entry < count; entry++) {
        const at = DIRECTORY + entry * DIRECTORY_ENTRY_WORDS;
        if (this.#nameAt(at) !== name) continue;
        if (this.i32[at + ENTRY.UNITS] !== units) {
          throw new InvalidArgumentError(
            `Block ${name} exists with ${(this.i32[at + ENTRY.UNITS] as number) * UNIT_BYTES} bytes, not ${bytes}.`,
          );
        }
        return (this.i32[at + ENTRY.UNIT] as number) * UNIT_BYTES;
      }
      if (count === DIRECTORY_ENTRIES) throw new TooManyNamesError(name, DIRECTORY_ENTRIES);
      const unit = this.#extend(units);
      const at = DIRECTORY + count * DIRECTORY_ENTRY_WORDS;
      this.i32[at + ENTRY.UNIT] = unit;
      this.i32[at + ENTRY.UNITS] = units;
      this.i32[at + ENTRY.NAME_BYTES] = encoded.length;
      this.u8.set(encoded, (at + ENTRY.NAME) * WORD_BYTES);
      this.i32[HEADER.NAMES] = count + 1;
      return unit * UNIT_BYTES;
    });
  }

  /**
   * Allocates at least `bytes` zeroed bytes on a cache line of their own and returns their byte offset (never 0).
   * Cost: one uncontended mutex and clearing the block.
   */
  allocate(bytes: number): number {
    const log2 = sizeClass(bytes);
    const head = FREE_LISTS + log2 - SIZE_CLASS_MIN_LOG2;
    const size = 2 ** log2;
    let recycled = true;
    const unit = this.#mutex.withLock(() => {
      const first = this.i32[head] as number;
      recycled = first !== 0;
      const taken = recycled ? first : this.#extend(size / UNIT_BYTES);
      if (recycled) this.i32[head] = this.i32[(first * UNIT_BYTES) / WORD_BYTES] as number;
      this.i32[HEADER.ALLOCATED] = (this.i32[HEADER.ALLOCATED] as number) + size / UNIT_BYTES;
      return taken;
    });
    const offset = unit * UNIT_BYTES;
    // Outside the mutex: the block is ours alone. Memory that was never used is zero already.
    if (recycled) this.u8.fill(0, offset, offset + size);
    return offset;
  }

  /** Gives a block back; `bytes` as it was asked for. Nobody may reach the block any more: see grace periods. */
  free(offset: number, bytes: number): void {
    if (offset < HEAP_START_BYTES || offset % UNIT_BYTES !== 0)
      throw new InvalidArgumentError(`No block at ${offset}.`);
    const log2 = sizeClass(bytes);
    const head = FREE_LISTS + log2 - SIZE_CLASS_MIN_LOG2;
    this.#mutex.withLock(() => {
      this.i32[offset / WORD_BYTES] = this.i32[head] as number;
      this.i32[head] = offset / UNIT_BYTES;
      this.i32[HEADER.ALLOCATED] = (this.i32[HEADER.ALLOCATED] as number) - 2 ** log2 / UNIT_BYTES;
    });
  }

  /** Whether the machine checks that references are used inside threads only. */
  get proving(): boolean {
    return this.i32[HEADER.PROVE] === 1;
  }

  /** Milliseconds after which a grace period is reported as stalled; 0 for never. */
  get stallMs(): number {
    return this.i32[HEADER.STALL_MS] as number;
  }

  /** Bytes in allocated (not named) blocks, all processors together. For diagnostics; may be stale. */
  get allocatedBytes(): number {
    return Atomics.load(this.i32, HEADER.ALLOCATED) * UNIT_BYTES;
  }

  /** Byte offsets of the named blocks whose names begin with `prefix`. */
  blocksNamed(prefix: string): number[] {
    return this.#mutex.withLock(() => {
      const offsets: number[] = [];
      for (let entry = 0; entry < (this.i32[HEADER.NAMES] as number); entry++) {
        const at = DIRECTORY + entry * DIRECTORY_ENTRY_WORDS;
        if (this.#nameAt(at).startsWith(prefix))
          offsets.push((this.i32[at + ENTRY.UNIT] as number) * UNIT_BYTES);
      }
      return offsets;
    });
  }

  /** Takes never-used units from the top of the heap; the caller holds the mutex. Keeps the top on cache lines. */
  #extend(units: number): number {
    const top = this.i32[HEADER.HEAP_TOP] as number;
    if ((top + units) * UNIT_BYTES > this.buffer.byteLength) {
      throw new OutOfMachineMemoryError(units * UNIT_BYTES, this.buffer.byteLength);
    }
    this.i32[HEADER.HEAP_TOP] = top + units;
    return top;
  }

  #nameAt(at: number): string {
    const start = (at + ENTRY.NAME) * WORD_BYTES;
    return decoder.decode(this.u8.slice(start, start + (this.i32[at + ENTRY.NAME_BYTES] as number)));
  }
}

/** Units of a named block: whole cache lines. */
function toUnits(bytes: number): number {
  if (!Number.isInteger(bytes) || bytes <= 0)
    throw new InvalidArgumentError(`A block has a positive size, not ${bytes}.`);
  return Math.ceil(bytes / 64) * (64 / UNIT_BYTES);
}

function sizeClass(bytes: number): number {
  if (!Number.isInteger(bytes) || bytes <= 0)
    throw new InvalidArgumentError(`A block has a positive size, not ${bytes}.`);
  const log2 = Math.max(SIZE_CLASS_MIN_LOG2, Math.ceil(Math.log2(bytes)));
  if (log2 - SIZE_CLASS_MIN_LOG2 >= FREE_LISTS_COUNT)
    throw new InvalidArgumentError(`A block of ${bytes} bytes is too large.`);
  return log2;
}
