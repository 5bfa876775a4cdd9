/**
 * `SharedFcm`: one lock.
 *
 * Every operation takes the directory's mutex for looking a page up and copying it, never for I/O. It needs no memory
 * besides the directory, is cheap to open and drop, and is the faster one where a file has one user; processors that use
 * a file together stand in line.
 *
 * Reads need no look at the sequence locks of frames: whoever changes a page of this file holds the mutex too, and a
 * frame leaves the file only under it.
 */
import { defineImplementation, type Implementation, SharedRoot } from '@k42/clustered';
import type { Part, SwappableRoot } from '@k42/hotswap';
import { FileCacheManager } from './fileCacheManager.ts';
import { missing } from './internal/cachedPages.ts';
import { PAGE_BYTES, ROOT_STATE_BYTES } from './internal/layout.ts';
import { FcmRep } from './internal/rep.ts';
import { DIRECTORY_PROTOCOL, FcmState, initialiseState } from './internal/state.ts';

class SharedFcmRep extends FcmRep {
  protected override tryRead(into: Uint8Array, position: number, done: number): number {
    const { directory, frames } = this.pages;
    directory.lock();
    try {
      const end = Math.min(position + into.length, directory.size);
      let at = position + done;
      while (at < end) {
        const page = Math.floor(at / PAGE_BYTES);
        const start = page * PAGE_BYTES;
        const stop = Math.min(end, start + PAGE_BYTES);
        const frame = directory.table.find(page);
        if (frame >= 0) {
          const from = frames.start(frame) - start;
          frames.bytes.copy(into, at - position, from + at, from + stop);
          this.counts.hits++;
        } else if (start < directory.diskValid) {
          return missing(page);
        } else {
          into.fill(0, at - position, stop - position);
        }
        at = stop;
      }
      return Math.max(at - position, 0);
    } finally {
      directory.unlock();
    }
  }

  protected override tryWrite(from: Uint8Array, position: number): number {
    return this.pages.write(from, position);
  }
}

class SharedFcmRoot extends SharedRoot<FileCacheManager> implements SwappableRoot {
  static readonly exports: readonly string[] = [DIRECTORY_PROTOCOL];
  static readonly imports: readonly string[] = [DIRECTORY_PROTOCOL];
  readonly #state: FcmState = new FcmState(this.context);

  protected override createRep(): FileCacheManager {
    return new SharedFcmRep(this.#state);
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

/** The shared file cache manager. Its argument is a directory's offset; files are opened with `openFile`. */
export const SharedFcm: Implementation<FileCacheManager, number | undefined> = defineImplementation<
  FileCacheManager,
  number | undefined
>({
  name: 'fcm/shared@1',
  interface: FileCacheManager,
  Root: SharedFcmRoot,
  stateBytes: ROOT_STATE_BYTES,
  initialise: initialiseState,
});
