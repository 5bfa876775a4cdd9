/**
 * The directory of a file: what all Reps of its file cache manager share, whichever the implementation.
 *
 * It says which frame holds which page, how large the file is, and how the file on disk differs. Both implementations
 * keep their pages in it, so a hot swap hands over one number, its offset.
 *
 * ## What is on disk
 * The cache is always right; the file on disk may lag behind in three ways, which a write-back makes good:
 *
 *  - pages are *dirty*;
 *  - the file on disk is longer than it should be, because it was truncated in the cache: its bytes from DISK_VALID on
 *    mean nothing. A page that is not cached has the bytes on disk below DISK_VALID and zeros above;
 *  - it is shorter than SIZE, because it was extended with nothing written at the end.
 *
 * Always: DISK_VALID <= SIZE, DISK_VALID <= the length on disk <= DISK_END, and every byte of a cached page at or beyond
 * SIZE is zero, so extending a file need not clear anything.
 *
 * ## Who may touch what
 * MUTEX covers the page table, the descriptors and the disk's figures, and every change of SIZE and EPOCH; it is held for
 * look-ups and copies, never across I/O. SIZE and EPOCH are read without it. The contents of a frame are covered by
 * the frame's own sequence lock. Order: registry, directory, frame, pool; nobody waits for an earlier one.
 */
import { Mutex, type Processor } from '@k42/rcu';
import { store } from './backingStore.ts';
import type { FramePool } from './framePool.ts';
import { DIRECTORY, DIRECTORY_BYTES, NO_FD, WORD_BYTES } from './layout.ts';
import { initialisePageTable, PageTable } from './pageTable.ts';

export interface NewFile {
  readonly fd: number;
  readonly writable: boolean;
  readonly sizeBytes: number;
  readonly tag: number;
}

/** A directory as one processor sees it. */
export class Directory {
  readonly offset: number;
  readonly table: PageTable;
  readonly tag: number;
  readonly #words: Int32Array;
  readonly #longs: BigInt64Array;
  readonly #doubles: Float64Array;
  readonly #at: number;
  readonly #mutex: Mutex;
  readonly #counts: { contended: number };

  /** @param counts where to count the times that the first try for the mutex failed */
  constructor({ memory, owner }: Processor, offset: number, counts: { contended: number }) {
    this.#counts = counts;
    this.offset = offset;
    this.#words = memory.i32;
    this.#longs = memory.i64;
    this.#doubles = memory.f64;
    this.#at = offset / WORD_BYTES;
    this.#mutex = new Mutex(memory.i32, this.#at + DIRECTORY.MUTEX, owner, {
      name: 'the mutex of a file cache directory',
    });
    this.table = new PageTable(memory, this.#at);
    // Plain: written once, before anyone could know the offset.
    this.tag = memory.i32[this.#at + DIRECTORY.TAG] as number;
  }

  /** Makes the directory of a file that nobody has cached; its offset. @throws OutOfMachineMemoryError */
  static create({ memory }: Processor, file: NewFile): number {
    const offset = memory.allocate(DIRECTORY_BYTES);
    const at = offset / WORD_BYTES;
    const { i32, i64, f64 } = memory;
    // Plain stores: whoever makes the offset known publishes them, by the registry's mutex and the object's Root word.
    i32[at + DIRECTORY.TAG] = file.tag;
    i32[at + DIRECTORY.READ_FD] = file.fd;
    i32[at + DIRECTORY.WRITE_FD] = file.writable ? file.fd : NO_FD;
    i64[(at + DIRECTORY.SIZE) / 2] = BigInt(file.sizeBytes);
    f64[(at + DIRECTORY.DISK_VALID) / 2] = file.sizeBytes;
    f64[(at + DIRECTORY.DISK_END) / 2] = file.sizeBytes;
    initialisePageTable(i32, at);
    return offset;
  }

  /** Undoes `create`; the descriptor stays the caller's. */
  static discard({ memory }: Processor, offset: number): void {
    memory.free(offset, DIRECTORY_BYTES);
  }

  lock(): void {
    if (this.#mutex.lock()) this.#counts.contended++;
  }

  unlock(): void {
    this.#mutex.unlock();
  }

  /** Bytes in the file, as they are now; without the lock too. */
  get size(): number {
    // Pairs with the store in `set size`: whoever sees the larger size sees the bytes that were written before it.
    return Number(Atomics.load(this.#longs, (this.#at + DIRECTORY.SIZE) / 2));
  }

  /** Under the lock, after the bytes have been written. */
  set size(bytes: number) {
    Atomics.store(this.#longs, (this.#at + DIRECTORY.SIZE) / 2, BigInt(bytes));
  }

  /** Changes whenever the file shrinks, and is odd while it does; without the lock too. */
  get epoch(): number {
    // Pairs with shrink(): a reader that finds it even and unchanged after its copies has overlapped no truncation.
    return Atomics.load(this.#words, this.#at + DIRECTORY.EPOCH);
  }

  /** Runs `change` as a truncation; under the lock. The epoch moves before the first frame does, and again at the end. */
  shrink(change: () => void): void {
    Atomics.add(this.#words, this.#at + DIRECTORY.EPOCH, 1);
    try {
      change();
    } finally {
      Atomics.add(this.#words, this.#at + DIRECTORY.EPOCH, 1);
    }
  }

  get diskValid(): number {
    return this.#doubles[(this.#at + DIRECTORY.DISK_VALID) / 2] as number;
  }

  set diskValid(bytes: number) {
    this.#doubles[(this.#at + DIRECTORY.DISK_VALID) / 2] = bytes;
  }

  get diskEnd(): number {
    return this.#doubles[(this.#at + DIRECTORY.DISK_END) / 2] as number;
  }

  set diskEnd(bytes: number) {
    this.#doubles[(this.#at + DIRECTORY.DISK_END) / 2] = bytes;
  }

  get readFd(): number {
    return this.#words[this.#at + DIRECTORY.READ_FD] as number;
  }

  get writeFd(): number {
    return this.#words[this.#at + DIRECTORY.WRITE_FD] as number;
  }

  /** Takes a descriptor over to write with, unless there is one already. */
  offerWriteFd(fd: number): boolean {
    this.lock();
    try {
      if (this.writeFd !== NO_FD) return false;
      this.#words[this.#at + DIRECTORY.WRITE_FD] = fd;
      return true;
    } finally {
      this.unlock();
    }
  }

  get pagesDirty(): number {
    return Atomics.load(this.#words, this.#at + DIRECTORY.DIRTY_COUNT);
  }

  /** Counts pages that have become dirty, or clean. */
  addDirty(pages: number): void {
    // Atomic because writers of the distributed implementation hold a frame, not the mutex. It orders nothing.
    Atomics.add(this.#words, this.#at + DIRECTORY.DIRTY_COUNT, pages);
  }

  /** Word of the write-back token. */
  get writeBackWord(): number {
    return this.#at + DIRECTORY.WRITE_BACK;
  }

  /** Gives everything back: frames, descriptors, memory. Nobody may reach the directory any more. */
  free(processor: Processor, pool: FramePool): void {
    this.table.forEach((_page, frame) => {
      pool.frames.invalidate(frame);
      pool.release(frame);
    });
    this.table.free();
    for (const fd of new Set([this.readFd, this.writeFd])) if (fd !== NO_FD) closeQuietly(fd);
    processor.memory.free(this.offset, DIRECTORY_BYTES);
  }
}

/** Nothing unwritten is left by now, so a failure to close loses nothing; but it should be known. */
function closeQuietly(fd: number): void {
  try {
    store.closeSync(fd);
  } catch (error) {
    process.emitWarning(error instanceof Error ? error : String(error), 'K42Warning');
  }
}
