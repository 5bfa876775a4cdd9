/**
 * Write-back: making the file on disk what the cache says it is.
 *
 * One pass over the file, as a sequence of *disk steps*, which the synchronous and the asynchronous driver perform each in
 * its way:
 *
 *     cut      if the disk has more than DISK_VALID: set its length to DISK_VALID
 *     write    each run of consecutive dirty pages, ascending, from a copy
 *     extend   if the disk is still shorter than SIZE: set its length to SIZE
 *
 * The lock is held to choose a step and to book its result, not while the disk works. Pages are copied first: a page
 * that is written to meanwhile cannot reach the disk half old and half new, a frame need not be kept from being freed,
 * and a run needs one call. (Measured, three pages: copying and `write` cost as much as `writev` without a copy.)
 *
 * ## What may be called clean
 * A page is marked clean only if its frame still has the version that was copied, and only if no truncation has come
 * between: then the next write-back cuts the disk to DISK_VALID and must find dirty what it cuts away. For the same
 * reason DISK_VALID moves up only if the epoch has not moved. What a truncation spoils stays dirty, which costs a second
 * writing and loses nothing.
 *
 * ## One at a time
 * Two write-backs of one page could reach the disk in the wrong order. So a file has one token for writing back; it is no
 * mutex, for an asynchronous write-back holds it across turns. The pass promises what `fsync` does: what was dirty when it
 * began has been written when it ends.
 */
import { FcmDeadlineError, WriteBackBusyError, WriteBackError } from '../errors.ts';
import { store } from './backingStore.ts';
import type { CachedPages } from './cachedPages.ts';
import { FRAME, NO_FD, PAGE_BYTES } from './layout.ts';

/** Pages per write: 128 KiB, copied in some 4 µs under the lock. */
const RUN_PAGES = 32;
/** Bounds the wait for another processor's write-back of the same file: a slow disk, but not for ever. */
const TOKEN_DEADLINE_MS = 60_000;
/** Cap on one sleep, against a notification that was missed. */
const SLEEP_CAP_MS = 50;

/** Something to do with the file on disk. A step without bytes sets its length. */
type DiskStep =
  | { readonly bytes: undefined; readonly length: number }
  | { readonly bytes: Uint8Array; readonly length: number; readonly position: number };

/** A page in the run that is being written. */
interface Copied {
  readonly page: number;
  readonly frame: number;
  readonly version: number;
}

/** Used by synchronous write-backs, of which there is never more than one on a thread. */
let scratch: Uint8Array | undefined;

/** Writes back with synchronous I/O; the number of pages written. @throws WriteBackError, WriteBackBusyError, FcmDeadlineError */
export function writeBackSync(pages: CachedPages, processor: number, durable: boolean): number {
  if (!durable && !isNeeded(pages)) return 0;
  acquireSync(pages, processor);
  try {
    scratch ??= new Uint8Array(RUN_PAGES * PAGE_BYTES);
    const pass = new Pass(pages, scratch);
    try {
      for (let step = pass.next(); step !== undefined; step = pass.next()) {
        if (step.bytes === undefined) store.setLengthSync(pass.fd, step.length);
        else writeWholeSync(pass.fd, step.bytes, step.length, step.position);
        pass.done();
      }
      if (durable) store.datasyncSync(pass.fd);
    } catch (error) {
      throw pass.failed(error);
    }
    return pass.pagesWritten;
  } finally {
    release(pages);
  }
}

/** The same with asynchronous I/O. */
export async function writeBack(pages: CachedPages, processor: number, durable: boolean): Promise<number> {
  if (!durable && !isNeeded(pages)) return 0;
  await acquire(pages, processor);
  try {
    const pass = new Pass(pages, undefined);
    try {
      for (let step = pass.next(); step !== undefined; step = pass.next()) {
        if (step.bytes === undefined) await store.setLength(pass.fd, step.length);
        else await writeWhole(pass.fd, step.bytes, step.length, step.position);
        pass.done();
      }
      if (durable) await store.datasync(pass.fd);
    } catch (error) {
      throw pass.failed(error);
    }
    return pass.pagesWritten;
  } finally {
    release(pages);
  }
}

/** Whether the disk lacks anything. While a write-back is under way it does: pages become clean when they are written. */
function isNeeded({ directory }: CachedPages): boolean {
  directory.lock();
  try {
    const { size } = directory;
    return directory.pagesDirty > 0 || directory.diskEnd !== size || directory.diskValid !== size;
  } finally {
    directory.unlock();
  }
}

/** One write-back: chooses the steps, and books what they have done. The caller holds the token. */
class Pass {
  readonly fd: number;
  pagesWritten = 0;
  readonly #pages: CachedPages;
  readonly #bytes: Uint8Array;
  readonly #epoch: number;
  readonly #dirty: readonly number[];
  #next = 0;
  #cut: boolean;
  #extended = false;
  #step: DiskStep | undefined;
  #copied: Copied[] = [];

  constructor(pages: CachedPages, bytes: Uint8Array | undefined) {
    this.#pages = pages;
    const { directory, frames } = pages;
    const dirty: number[] = [];
    directory.lock();
    try {
      this.fd = directory.writeFd === NO_FD ? directory.readFd : directory.writeFd;
      this.#epoch = directory.epoch;
      this.#cut = directory.diskEnd > directory.diskValid;
      // DIRTY is read without the frame's lock: a page that becomes dirty just now was not dirty at the call.
      directory.table.forEach((page, frame) => {
        if (Atomics.load(frames.words, frames.header(frame) + FRAME.DIRTY) === 1) dirty.push(page);
      });
    } finally {
      directory.unlock();
    }
    this.#dirty = dirty.sort((a, b) => a - b);
    this.#bytes = bytes ?? new Uint8Array(Math.min(dirty.length, RUN_PAGES) * PAGE_BYTES);
  }

  /** What to do next; nothing at the end. */
  next(): DiskStep | undefined {
    const { directory } = this.#pages;
    directory.lock();
    try {
      this.#step = this.#choose();
      return this.#step;
    } finally {
      directory.unlock();
    }
  }

  #choose(): DiskStep | undefined {
    const { directory } = this.#pages;
    if (this.#cut) {
      this.#cut = false;
      return { bytes: undefined, length: directory.diskValid };
    }
    while (this.#next < this.#dirty.length) {
      const step = this.#copyRun();
      if (step !== undefined) return step;
    }
    // After a truncation meanwhile the next write-back has to cut first.
    if (this.#extended || directory.epoch !== this.#epoch || directory.diskEnd >= directory.size)
      return undefined;
    this.#extended = true;
    return { bytes: undefined, length: directory.size };
  }

  /** Copies the next run of pages that are still there; nothing if the first of them is not. */
  #copyRun(): DiskStep | undefined {
    const { directory, frames } = this.#pages;
    const { size } = directory;
    const first = this.#dirty[this.#next] as number;
    let length = 0;
    this.#copied = [];
    while (this.#next < this.#dirty.length && this.#copied.length < RUN_PAGES) {
      const page = this.#dirty[this.#next] as number;
      if (page !== first + this.#copied.length) break;
      this.#next++;
      const frame = directory.table.find(page);
      const bytes = Math.min(PAGE_BYTES, size - page * PAGE_BYTES);
      // Cut off meanwhile.
      if (frame < 0 || bytes <= 0) break;
      const version = frames.lock(frame);
      frames.bytes.copy(this.#bytes, length, frames.start(frame), frames.start(frame) + bytes);
      frames.unlockUnchanged(frame, version);
      this.#copied.push({ page, frame, version });
      length += bytes;
    }
    return length === 0 ? undefined : { bytes: this.#bytes, length, position: first * PAGE_BYTES };
  }

  /** The step has been done. */
  done(): void {
    const { directory } = this.#pages;
    const step = this.#step as DiskStep;
    directory.lock();
    try {
      const undisturbed = directory.epoch === this.#epoch;
      if (step.bytes === undefined) {
        directory.diskEnd = step.length;
        if (undisturbed) directory.diskValid = step.length;
        return;
      }
      const end = step.position + step.length;
      directory.diskEnd = Math.max(directory.diskEnd, end);
      this.pagesWritten += this.#copied.length;
      if (!undisturbed) return;
      directory.diskValid = Math.max(directory.diskValid, end);
      for (const copied of this.#copied) this.#markClean(copied);
    } finally {
      directory.unlock();
    }
  }

  /** The step has failed, if there was one: nothing becomes clean, and a part of it may be on disk. */
  failed(cause: unknown): WriteBackError {
    const { directory } = this.#pages;
    const step = this.#step;
    directory.lock();
    try {
      // More than the length on disk is safe: the next write-back cuts it to what is valid.
      if (step?.bytes !== undefined)
        directory.diskEnd = Math.max(directory.diskEnd, step.position + step.length);
    } finally {
      directory.unlock();
    }
    return new WriteBackError(cause, this.pagesWritten, directory.pagesDirty);
  }

  #markClean({ page, frame, version }: Copied): void {
    const { directory, frames } = this.#pages;
    if (directory.table.find(page) !== frame) return;
    const at = frames.header(frame);
    // Fails if the page has been written to since it was copied, or is being written to: then it stays dirty.
    if (Atomics.compareExchange(frames.words, at + FRAME.VERSION, version, version + 1) !== version) return;
    frames.words[at + FRAME.DIRTY] = 0;
    directory.addDirty(-1);
    frames.unlockUnchanged(frame, version);
  }
}

function writeWholeSync(fd: number, bytes: Uint8Array, length: number, position: number): void {
  for (let done = 0; done < length; ) {
    done += wroteSomething(store.writeSync(fd, bytes, done, length - done, position + done));
  }
}

async function writeWhole(fd: number, bytes: Uint8Array, length: number, position: number): Promise<void> {
  for (let done = 0; done < length; ) {
    done += wroteSomething(await store.write(fd, bytes, done, length - done, position + done));
  }
}

/** A short write is followed by another, which succeeds or says why not; one of nothing would go on for ever. */
function wroteSomething(bytes: number): number {
  if (bytes <= 0) throw new Error('the system wrote nothing and reported no error');
  return bytes;
}

function tryAcquire({ directory, frames }: CachedPages, processor: number): number {
  // Acquire: pairs with the store in release(), so that the figures of the last pass are seen.
  return Atomics.compareExchange(frames.words, directory.writeBackWord, 0, processor + 1);
}

function acquireSync(pages: CachedPages, processor: number): void {
  const giveUpAt = performance.now() + TOKEN_DEADLINE_MS;
  for (;;) {
    const holder = tryAcquire(pages, processor);
    if (holder === 0) return;
    // Its end needs this very event loop.
    if (holder === processor + 1) throw new WriteBackBusyError();
    checkDeadline(giveUpAt, holder);
    Atomics.wait(pages.frames.words, pages.directory.writeBackWord, holder, SLEEP_CAP_MS);
  }
}

async function acquire(pages: CachedPages, processor: number): Promise<void> {
  const giveUpAt = performance.now() + TOKEN_DEADLINE_MS;
  for (;;) {
    const holder = tryAcquire(pages, processor);
    if (holder === 0) return;
    checkDeadline(giveUpAt, holder);
    const wait = Atomics.waitAsync(pages.frames.words, pages.directory.writeBackWord, holder, SLEEP_CAP_MS);
    if (wait.async) await wait.value;
  }
}

function checkDeadline(giveUpAt: number, holder: number): void {
  if (performance.now() > giveUpAt)
    throw new FcmDeadlineError(`a write-back of the file by processor ${holder - 1}`, TOKEN_DEADLINE_MS);
}

function release({ directory, frames }: CachedPages): void {
  Atomics.store(frames.words, directory.writeBackWord, 0);
  Atomics.notify(frames.words, directory.writeBackWord);
}
