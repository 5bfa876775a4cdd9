/**
 * `DistributedFcm`: a page table per processor.
 *
 * Every processor keeps in its own heap which frame holds which page, learnt from the directory one miss at a time. A hit
 * takes no lock and writes nothing shared: the frame's sequence lock tells whether the copy is whole, and the directory's
 * EPOCH whether the file has shrunk meanwhile. Overwriting bytes of one page takes that frame and nothing else. What
 * changes the size takes the directory's mutex, as in `SharedFcm`.
 *
 * ## Stale entries
 * Nobody tells a processor that a page is gone. It notices: the frame has another OWNER, PAGE or VERSION, or EPOCH has
 * moved, which empties its table. So an entry is never more than a guess where to look.
 *
 * ## Size
 * A processor remembers EPOCH and the size it has seen. Within an epoch a file only grows; so if EPOCH is the same after
 * the copies, the bytes up to the remembered size were part of the file all along, and only a read that wants more
 * looks at SIZE.
 */
import { DistributedRoot, defineImplementation, type Implementation } from '@k42/clustered';
import type { Part, SwappableRoot } from '@k42/hotswap';
import { FileCacheManager } from './fileCacheManager.ts';
import { missing } from './internal/cachedPages.ts';
import { secondLook } from './internal/frames.ts';
import { FRAME, PAGE_BYTES, ROOT_STATE_BYTES } from './internal/layout.ts';
import { FcmRep } from './internal/rep.ts';
import { DIRECTORY_PROTOCOL, FcmState, initialiseState } from './internal/state.ts';

/** Optimistic copies of a page that is being overwritten all the time, before the reader takes the frame itself. */
const TRIES = 8;

/** Never the epoch of a file, which is even at rest. */
const UNKNOWN_EPOCH = -1;

class DistributedFcmRep extends FcmRep {
  readonly #table = new Map<number, number>();
  #epoch = UNKNOWN_EPOCH;
  #size = 0;

  protected override tryRead(into: Uint8Array, position: number, done: number): number {
    for (;;) {
      const wanted = position + into.length;
      if (wanted > this.#size || this.#epoch === UNKNOWN_EPOCH) this.#refresh();
      const epoch = this.#epoch;
      const result = this.#readWithin(into, position, done, Math.min(wanted, this.#size));
      // After the copies: pairs with Directory.shrink(). Unchanged, so nothing read was being cut off.
      if (this.pages.directory.epoch === epoch) return result;
      this.#refresh();
    }
  }

  #readWithin(into: Uint8Array, position: number, done: number, end: number): number {
    let at = position + done;
    while (at < end) {
      const page = Math.floor(at / PAGE_BYTES);
      const start = page * PAGE_BYTES;
      const stop = Math.min(end, start + PAGE_BYTES);
      if (this.#copy(page, at - start, stop - start, into, at - position)) {
        this.counts.hits++;
      } else {
        const home = this.#lookUp(page);
        if (home === 'missing') return missing(page);
        if (home === 'found') continue;
        into.fill(0, at - position, stop - position);
      }
      at = stop;
    }
    return Math.max(at - position, 0);
  }

  /** Copies bytes of a page, if this processor knows where it is. */
  #copy(page: number, from: number, to: number, into: Uint8Array, at: number): boolean {
    const frame = this.#table.get(page);
    if (frame === undefined) return false;
    const { directory, frames } = this.pages;
    const { words, bytes } = frames;
    const header = frames.header(frame);
    const start = frames.start(frame);
    for (let tries = 0; tries < TRIES; tries++) {
      // Pairs with Frames.unlock(): the bytes of that version are there.
      const version = Atomics.load(words, header + FRAME.VERSION);
      if ((version & 1) !== 0) continue;
      // Plain, as the bytes are: what a writer does to them meanwhile changes VERSION.
      if (words[header + FRAME.OWNER] !== directory.tag || words[header + FRAME.PAGE] !== (page | 0)) {
        this.#table.delete(page);
        return false;
      }
      bytes.copy(into, at, start + from, start + to);
      // After the copy. Changed: bytes of two versions may be mixed in it, or of another file.
      if (secondLook(words, header + FRAME.VERSION) === version) return true;
    }
    return this.#withFrame(page, frame, () => {
      bytes.copy(into, at, start + from, start + to);
      return false;
    });
  }

  /** Asks the directory for a page. A page that is nowhere reads as zeros. */
  #lookUp(page: number): 'found' | 'missing' | 'nowhere' {
    const { directory } = this.pages;
    directory.lock();
    try {
      const frame = directory.table.find(page);
      if (frame >= 0) this.#table.set(page, frame);
      else if (page * PAGE_BYTES < directory.diskValid) return 'missing';
      else return 'nowhere';
      return 'found';
    } finally {
      directory.unlock();
    }
  }

  protected override tryWrite(from: Uint8Array, position: number): number {
    const page = Math.floor(position / PAGE_BYTES);
    const at = position - page * PAGE_BYTES;
    const inOnePage = from.length > 0 && at + from.length <= PAGE_BYTES;
    if (inOnePage && position + from.length <= this.#size && this.#overwrite(page, at, from))
      return from.length;
    const written = this.pages.write(from, position);
    if (written >= 0) this.#refresh();
    return written;
  }

  /** Overwrites bytes within the file, if this processor knows where the page is and the file has not shrunk. */
  #overwrite(page: number, at: number, from: Uint8Array): boolean {
    const frame = this.#table.get(page) ?? this.#frameAtHome(page);
    if (frame === undefined) return false;
    const { directory, frames } = this.pages;
    return this.#withFrame(page, frame, () => {
      // With the frame held: a truncation moves EPOCH before it takes the first frame, so either it is seen here, or it
      // comes after this write and cuts off what it has to.
      if (directory.epoch !== this.#epoch) return undefined;
      frames.bytes.set(from, frames.start(frame) + at);
      this.pages.markDirty(frame);
      return true;
    });
  }

  #frameAtHome(page: number): number | undefined {
    return this.#lookUp(page) === 'found' ? this.#table.get(page) : undefined;
  }

  /**
   * Runs `work` with a frame held, if it is still the page's; whether it ran. `work` says whether it has changed the
   * frame, or `undefined` if it did not do what it should.
   */
  #withFrame(page: number, frame: number, work: () => boolean | undefined): boolean {
    const { directory, frames } = this.pages;
    const header = frames.header(frame);
    const version = frames.lock(frame);
    let changed: boolean | undefined;
    try {
      if (
        frames.words[header + FRAME.OWNER] === directory.tag &&
        frames.words[header + FRAME.PAGE] === (page | 0)
      ) {
        changed = work();
        return changed !== undefined;
      }
      this.#table.delete(page);
      return false;
    } finally {
      if (changed === true) frames.unlock(frame, version);
      else frames.unlockUnchanged(frame, version);
    }
  }

  /** Learns EPOCH and SIZE anew. */
  #refresh(): void {
    const { directory } = this.pages;
    for (;;) {
      const epoch = directory.epoch;
      // Odd: the file is shrinking, by somebody who holds the mutex. Waiting for that is waiting for the end of it.
      if ((epoch & 1) !== 0) {
        directory.lock();
        directory.unlock();
        continue;
      }
      const { size } = directory;
      // Pairs with shrink(): the size belongs to the epoch only if that has not moved.
      if (directory.epoch !== epoch) continue;
      if (epoch !== this.#epoch) this.#table.clear();
      this.#epoch = epoch;
      this.#size = size;
      return;
    }
  }
}

class DistributedFcmRoot extends DistributedRoot<FileCacheManager> implements SwappableRoot {
  static readonly exports: readonly string[] = [DIRECTORY_PROTOCOL];
  static readonly imports: readonly string[] = [DIRECTORY_PROTOCOL];
  readonly #state: FcmState = new FcmState(this.context);

  protected override createRep(): FileCacheManager {
    return new DistributedFcmRep(this.#state);
  }

  exportPart(_protocol: string, part: Part): unknown {
    return this.#state.exportPart(part);
  }

  importPart(_protocol: string, part: Part, exported: unknown): void {
    this.#state.importPart(part, exported);
    // A Rep, so that the next swap takes these counts along even if nobody calls the object here before it.
    if (part.kind === 'rep') this.rep();
  }

  adopt(): void {
    this.#state.setOwns(true);
  }

  relinquish(): void {
    this.#state.setOwns(false);
  }

  override reclaim(): void {
    this.#state.reclaim();
  }
}

/** The distributed file cache manager. Its argument is a directory's offset; files are opened with `openFile`. */
export const DistributedFcm: Implementation<FileCacheManager, number | undefined> = defineImplementation<
  FileCacheManager,
  number | undefined
>({
  name: 'fcm/distributed@1',
  interface: FileCacheManager,
  Root: DistributedFcmRoot,
  stateBytes: ROOT_STATE_BYTES,
  initialise: initialiseState,
});
