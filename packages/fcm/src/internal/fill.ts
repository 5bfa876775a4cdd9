/**
 * Fills: bringing a page in from the file.
 *
 * Whoever misses a page reads it into a frame of its own with no lock held, then publishes the frame, unless somebody
 * else has brought the page in meanwhile or the file was truncated. Two processors that miss the same page at once read
 * it twice, and one of the two copies is thrown away: dearer than waiting, but nobody waits, and nobody can be waited for.
 */
import { store } from './backingStore.ts';
import type { CachedPages } from './cachedPages.ts';
import { PAGE_BYTES } from './layout.ts';

/** What a fill began with. */
interface Fill {
  readonly fd: number;
  readonly epoch: number;
  /** Bytes of the page that are on disk; the rest is zeros. */
  readonly bytes: number;
  readonly frame: number;
}

/** @returns whether the page was read. @throws PoolExhaustedError, and what the store throws */
export function fillSync(pages: CachedPages, page: number): boolean {
  const fill = begin(pages, page);
  if (fill === undefined) return false;
  const { frames } = pages;
  let done = 0;
  try {
    while (done < fill.bytes) {
      const at = page * PAGE_BYTES + done;
      const got = store.readSync(
        fill.fd,
        frames.bytes,
        frames.start(fill.frame) + done,
        fill.bytes - done,
        at,
      );
      if (got === 0) break;
      done += got;
    }
  } catch (error) {
    pages.pool.release(fill.frame);
    throw error;
  }
  end(pages, page, fill, done);
  return true;
}

/** The same with asynchronous I/O. */
export async function fill(pages: CachedPages, page: number): Promise<boolean> {
  const fill = begin(pages, page);
  if (fill === undefined) return false;
  const { frames } = pages;
  let done = 0;
  try {
    while (done < fill.bytes) {
      const at = page * PAGE_BYTES + done;
      const got = await store.read(
        fill.fd,
        frames.bytes,
        frames.start(fill.frame) + done,
        fill.bytes - done,
        at,
      );
      if (got === 0) break;
      done += got;
    }
  } catch (error) {
    pages.pool.release(fill.frame);
    throw error;
  }
  end(pages, page, fill, done);
  return true;
}

/** Nothing if the page has been brought in, or cut off, meanwhile. */
function begin({ directory, pool }: CachedPages, page: number): Fill | undefined {
  directory.lock();
  let fd: number;
  let epoch: number;
  let bytes: number;
  try {
    bytes = Math.min(PAGE_BYTES, directory.diskValid - page * PAGE_BYTES);
    if (bytes <= 0 || directory.table.find(page) >= 0) return undefined;
    fd = directory.readFd;
    epoch = directory.epoch;
  } finally {
    directory.unlock();
  }
  return { fd, epoch, bytes, frame: pool.allocate() };
}

/** @param done bytes read: fewer than asked for if somebody has cut the file behind the cache's back */
function end(pages: CachedPages, page: number, fill: Fill, done: number): void {
  const { frames, pool } = pages;
  let published = false;
  try {
    frames.zero(fill.frame, done, PAGE_BYTES);
    published = pages.publish(page, fill.frame, fill.epoch);
  } finally {
    if (!published) pool.release(fill.frame);
  }
}
