/**
 * The seam: what PostMark asks of a file system, and nothing else.
 *
 * The workload above it is the same in every mode. Below it are `node:fs` (plainFiles.ts), a file system that only counts
 * (countOnly.ts) and our file cache.
 *
 * A method may answer at once or by a promise; the caller awaits promises only, so that a synchronous file system is
 * measured without the cost of `await`.
 */

export interface BenchFile {
  /** Reads from `position` until `into` is full or the file ends; the number of bytes read. */
  read(into: Uint8Array, position: number): number | Promise<number>;
  /** Writes all of `from` at the end of the file; the number of bytes written. */
  append(from: Uint8Array): number | Promise<number>;
  /** When this is done, the file system has every byte that was appended: nothing dirty is left in a cache of ours. */
  close(): void | Promise<void>;
}

export interface BenchFiles {
  /** O_RDWR | O_CREAT, mode 0644. */
  create(path: string): BenchFile | Promise<BenchFile>;
  /** O_RDWR | O_APPEND if `forAppend`, else O_RDONLY. */
  open(path: string, forAppend: boolean): BenchFile | Promise<BenchFile>;
  unlink(path: string): void | Promise<void>;
  mkdir(path: string): void;
  rmdir(path: string): void;
}
