/**
 * Operations on the pages of a directory that hold its lock: common to both implementations.
 *
 * Each either completes, or changes nothing and names a page that has to be read from the file first (`missing`). The
 * caller fills that page (`fill.ts`) and tries again: so the same code serves the synchronous forms and the
 * asynchronous ones, the lock is never held across I/O, and there is no state "being filled" that anybody could wait for.
 *
 * A page that is missing from the table and lies beyond DISK_VALID is all zeros: it needs no frame to be read and no I/O
 * to be written.
 */

import { FileTooLargeError } from '../errors.ts';
import type { Directory } from './directory.ts';
import type { FramePool } from './framePool.ts';
import type { Frames } from './frames.ts';
import { FILE_BYTES_MAX, FRAME, PAGE_BYTES } from './layout.ts';

/** Position that stands for the end of the file, wherever that is. */
export const AT_END = -1;

/** Result of a try that found a page missing; any other result is a count of bytes and not negative. */
export function missing(page: number): number {
  return -1 - page;
}

/** The page that a negative result names. */
export function missingPage(result: number): number {
  return -1 - result;
}

export class CachedPages {
  readonly directory: Directory;
  readonly pool: FramePool;
  readonly frames: Frames;

  constructor(directory: Directory, pool: FramePool) {
    this.directory = directory;
    this.pool = pool;
    this.frames = pool.frames;
  }

  /**
   * Writes all of `from`, wherever that is in the file; the number of bytes, or the page missing.
   * @throws PoolExhaustedError, OutOfMachineMemoryError, FileTooLargeError: nothing has been changed.
   */
  write(from: Uint8Array, position: number): number {
    const { directory } = this;
    directory.lock();
    try {
      const size = directory.size;
      const begin = position === AT_END ? size : position;
      const end = begin + from.length;
      if (end > FILE_BYTES_MAX) throw new FileTooLargeError(end, FILE_BYTES_MAX);
      if (from.length === 0) return 0;
      const first = Math.floor(begin / PAGE_BYTES);
      const last = Math.floor((end - 1) / PAGE_BYTES);
      // Only these two can be overwritten in part.
      if (this.#needsFill(first, begin, end)) return missing(first);
      if (this.#needsFill(last, begin, end)) return missing(last);
      this.#reserve(first, last);
      for (let page = first; page <= last; page++) this.#writePage(page, from, begin, end);
      // After the bytes: readers without the lock trust the size.
      if (end > size) directory.size = end;
      return from.length;
    } finally {
      directory.unlock();
    }
  }

  /** Sets the size. No page is ever missing: a tail that is not cached is cut by DISK_VALID. @throws FileTooLargeError */
  truncate(length: number): void {
    if (length > FILE_BYTES_MAX) throw new FileTooLargeError(length, FILE_BYTES_MAX);
    const { directory } = this;
    directory.lock();
    try {
      if (length >= directory.size) directory.size = length;
      else directory.shrink(() => this.#cut(length));
    } finally {
      directory.unlock();
    }
  }

  /** Gives a frame, whose contents are those of a page on disk, to the page; false if it is not wanted any more. */
  publish(page: number, frame: number, epoch: number): boolean {
    const { directory } = this;
    directory.lock();
    try {
      if (directory.epoch !== epoch || directory.table.find(page) >= 0) return false;
      directory.table.reserve(1);
      this.frames.publish(frame, directory.tag, page);
      directory.table.insert(page, frame);
      return true;
    } finally {
      directory.unlock();
    }
  }

  /** Marks a page dirty whose frame the caller holds. */
  markDirty(frame: number): void {
    const at = this.frames.header(frame) + FRAME.DIRTY;
    // Plain: covered by the frame's sequence lock.
    if (this.frames.words[at] === 1) return;
    this.frames.words[at] = 1;
    this.directory.addDirty(1);
  }

  /** Whether a page has bytes on disk that a write of [begin, end) would leave as they are, and is not cached. */
  #needsFill(page: number, begin: number, end: number): boolean {
    const start = page * PAGE_BYTES;
    const validEnd = Math.min(start + PAGE_BYTES, this.directory.diskValid);
    if (validEnd <= start || (begin <= start && end >= validEnd)) return false;
    return this.directory.table.find(page) < 0;
  }

  /** Sees to it that frames and table entries are there for whatever pages are not. */
  #reserve(first: number, last: number): void {
    let absent = 0;
    for (let page = first; page <= last; page++) if (this.directory.table.find(page) < 0) absent++;
    if (absent === 0) return;
    this.pool.reserve(absent);
    this.directory.table.reserve(absent);
  }

  /** Writes what belongs into one page; nothing can fail any more. */
  #writePage(page: number, from: Uint8Array, begin: number, end: number): void {
    const { directory, frames } = this;
    const start = page * PAGE_BYTES;
    const known = directory.table.find(page);
    const frame = known >= 0 ? known : this.pool.take();
    const low = Math.max(begin - start, 0);
    const high = Math.min(end - start, PAGE_BYTES);
    const version = frames.lock(frame);
    if (known < 0) {
      frames.zero(frame, 0, low);
      frames.zero(frame, high, PAGE_BYTES);
      const at = frames.header(frame);
      frames.words[at + FRAME.OWNER] = directory.tag;
      frames.words[at + FRAME.PAGE] = page | 0;
      frames.words[at + FRAME.DIRTY] = 0;
      directory.table.insert(page, frame);
    }
    const whole = low === begin - start && high === end - start;
    frames.bytes.set(
      whole ? from : from.subarray(start + low - begin, start + high - begin),
      frames.start(frame) + low,
    );
    this.markDirty(frame);
    frames.unlock(frame, version);
  }

  /** Makes the file shorter; inside shrink(). */
  #cut(length: number): void {
    const { directory, frames } = this;
    directory.size = length;
    directory.diskValid = Math.min(directory.diskValid, length);
    const pagesLeft = Math.ceil(length / PAGE_BYTES);
    const dropped: number[] = [];
    directory.table.forEach((page) => {
      if (page >= pagesLeft) dropped.push(page);
    });
    for (const page of dropped) {
      const frame = directory.table.find(page);
      directory.table.remove(page);
      if (frames.invalidate(frame)) directory.addDirty(-1);
      this.pool.release(frame);
    }
    const tail = length % PAGE_BYTES;
    const frame = tail === 0 ? -1 : directory.table.find(pagesLeft - 1);
    if (frame < 0) return;
    const version = frames.lock(frame);
    // Zero beyond the end, always. No need to make it dirty: the file on disk is cut at DISK_VALID.
    frames.zero(frame, tail, PAGE_BYTES);
    frames.unlock(frame, version);
  }
}
