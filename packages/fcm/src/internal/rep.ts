/**
 * What the Reps of both implementations have in common: everything but the way a page is found.
 *
 * Every operation is a loop around a *try* that holds no lock when it returns: it is done, or it names a page that is
 * missing, which is then filled. The synchronous and the asynchronous form are the same loop.
 */
import { currentProcessor } from '@k42/rcu';
import type { FcmStatistics, FileCacheManager } from '../fileCacheManager.ts';
import { AT_END, CachedPages, missingPage } from './cachedPages.ts';
import { Directory } from './directory.ts';
import { fill, fillSync } from './fill.ts';
import { framePool } from './framePool.ts';
import { PAGE_BYTES } from './layout.ts';
import type { FcmState } from './state.ts';
import { writeBack, writeBackSync } from './writeBack.ts';

export abstract class FcmRep implements FileCacheManager {
  readonly #state: FcmState;
  #pages: CachedPages | undefined;

  constructor(state: FcmState) {
    this.#state = state;
  }

  /**
   * The pages of the file. Not before the first call: a Rep made during a swap exists before its directory is known.
   */
  protected get pages(): CachedPages {
    this.#pages ??= new CachedPages(
      new Directory(currentProcessor(), this.#state.directoryOffset, this.counts),
      framePool(),
    );
    return this.#pages;
  }

  /** Counts of this processor, which outlive this Rep if the implementation is swapped. */
  protected get counts(): FcmState['counts'] {
    return this.#state.counts;
  }

  /** Reads from `position + done` on; bytes read in all, or the page missing, up to which all has been read. */
  protected abstract tryRead(into: Uint8Array, position: number, done: number): number;

  /** Writes all of `from` at `position`; the number of bytes, or the page missing, and then nothing is written. */
  protected abstract tryWrite(from: Uint8Array, position: number): number;

  readSync(into: Uint8Array, position: number): number {
    for (let done = 0; ; ) {
      const result = this.tryRead(into, position, done);
      if (result >= 0) return result;
      const page = missingPage(result);
      done = Math.max(done, page * PAGE_BYTES - position);
      if (fillSync(this.pages, page)) this.counts.fills++;
    }
  }

  async read(into: Uint8Array, position: number): Promise<number> {
    for (let done = 0; ; ) {
      const result = this.tryRead(into, position, done);
      if (result >= 0) return result;
      const page = missingPage(result);
      done = Math.max(done, page * PAGE_BYTES - position);
      if (await fill(this.pages, page)) this.counts.fills++;
    }
  }

  writeSync(from: Uint8Array, position: number): number {
    for (;;) {
      const result = this.tryWrite(from, position);
      if (result >= 0) return result;
      if (fillSync(this.pages, missingPage(result))) this.counts.fills++;
    }
  }

  async write(from: Uint8Array, position: number): Promise<number> {
    for (;;) {
      const result = this.tryWrite(from, position);
      if (result >= 0) return result;
      if (await fill(this.pages, missingPage(result))) this.counts.fills++;
    }
  }

  appendSync(from: Uint8Array): number {
    for (;;) {
      const result = this.pages.write(from, AT_END);
      if (result >= 0) return result;
      if (fillSync(this.pages, missingPage(result))) this.counts.fills++;
    }
  }

  async append(from: Uint8Array): Promise<number> {
    for (;;) {
      const result = this.pages.write(from, AT_END);
      if (result >= 0) return result;
      if (await fill(this.pages, missingPage(result))) this.counts.fills++;
    }
  }

  truncateSync(length: number): void {
    this.pages.truncate(length);
  }

  async truncate(length: number): Promise<void> {
    this.pages.truncate(length);
  }

  flushSync(durable: boolean): void {
    const written = writeBackSync(this.pages, currentProcessor().number, durable);
    this.counts.pagesWritten += written;
  }

  async flush(durable: boolean): Promise<void> {
    const written = await writeBack(this.pages, currentProcessor().number, durable);
    this.counts.pagesWritten += written;
  }

  size(): number {
    return this.pages.directory.size;
  }

  statistics(): FcmStatistics {
    const { directory } = this.pages;
    return {
      ...this.counts,
      pages: directory.table.pages,
      pagesDirty: directory.pagesDirty,
    };
  }
}
