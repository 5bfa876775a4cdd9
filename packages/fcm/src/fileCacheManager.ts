/**
 * The interface of file cache managers.
 *
 * A file cache manager (FCM) is a Clustered Object that stands for one open file, whoever opened it, and holds its pages.
 * Every operation comes in a synchronous and an asynchronous form that differ in the I/O they use and in nothing else;
 * an operation that finds its pages cached does no I/O in either.
 *
 * What is atomic towards other processors: an append, a write, and a truncation each as a whole where the size of the
 * file changes; elsewhere each page. A reader that overlaps a write of several pages may see some of them written.
 */
import { defineInterface, type Interface } from '@k42/clustered';

/** What a file cache manager has counted on the calling processor, and the state of its file. */
export interface FcmStatistics {
  /** Page accesses, on this processor, that found the page. */
  readonly hits: number;
  /** Pages that this processor had to read from the file. */
  readonly fills: number;
  /** Pages that this processor has written back. */
  readonly pagesWritten: number;
  /** Times that this processor did not get the directory's lock at the first try. */
  readonly contended: number;
  /** Pages cached, and how many of them are dirty: of the file, not of the processor. May be stale. */
  readonly pages: number;
  readonly pagesDirty: number;
}

export interface FileCacheManager {
  /** Reads until `into` is full or the file ends; the number of bytes read. */
  readSync(into: Uint8Array, position: number): number;
  read(into: Uint8Array, position: number): Promise<number>;
  /** Writes all of `from`; a gap before `position` reads as zeros. The number of bytes written. */
  writeSync(from: Uint8Array, position: number): number;
  write(from: Uint8Array, position: number): Promise<number>;
  /** Writes all of `from` at the end of the file, in one piece whoever else appends. */
  appendSync(from: Uint8Array): number;
  append(from: Uint8Array): Promise<number>;
  /** Sets the size; what is added reads as zeros. */
  truncateSync(length: number): void;
  truncate(length: number): Promise<void>;
  /**
   * Writes back what was dirty at the call. With `durable` the file's data is on the disk itself afterwards, not only
   * with the operating system.
   */
  flushSync(durable: boolean): void;
  flush(durable: boolean): Promise<void>;
  /** Bytes in the file. */
  size(): number;
  statistics(): FcmStatistics;
}

export const FileCacheManager: Interface<FileCacheManager> = defineInterface<FileCacheManager>('fcm', {
  readSync: 'sync',
  read: 'async',
  writeSync: 'sync',
  write: 'async',
  appendSync: 'sync',
  append: 'async',
  truncateSync: 'sync',
  truncate: 'async',
  flushSync: 'sync',
  flush: 'async',
  size: 'sync',
  statistics: 'sync',
});
