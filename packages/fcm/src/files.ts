/**
 * Cached files: what a client opens, reads, writes and closes.
 *
 * A `CachedFile` is one opener's hold on a file; behind it is the file cache manager that all openers share, a Clustered
 * Object that may be swapped at any time. The file object knows what its opener may do and what is under way; it caches
 * nothing itself.
 *
 * ## Closing
 * `close` waits for what is under way through this object, writes back, and only then lets go. If the write-back fails, it
 * says why and the file *stays open*, with everything still dirty: close it again when there is room on the disk, or
 * give the data up with `{ discard: true }`. With the last holder the manager goes: pages and descriptor are freed after a
 * grace period, which `close` does not wait for, because it may be called in a thread that the grace period waits for.
 *
 * ## Not promised
 * Changes made to the file behind the cache's back, by another process or plain `node:fs`, are seen only once nobody in
 * this machine has had the file open for a moment. What is written is in the cache, for all processors, at once; on disk it
 * is after `sync` or `close`.
 */
import { type Coid, destroy, handle, type Implementation } from '@k42/clustered';
import { InvalidArgumentError } from '@k42/rcu';
import { DistributedFcm } from './distributedFcm.ts';
import { FileAccessError, FileBusyError, FileClosedError, FileTypeError } from './errors.ts';
import type { FcmStatistics, FileCacheManager } from './fileCacheManager.ts';
import { type FileStat, store } from './internal/backingStore.ts';
import { type OpenFlags, type ParsedFlags, parseFlags } from './internal/flags.ts';
import { FILE_BYTES_MAX } from './internal/layout.ts';
import { type Entry, registry } from './internal/registry.ts';
import { SharedFcm } from './sharedFcm.ts';

export type { OpenFlags } from './internal/flags.ts';

export interface OpenOptions {
  /** Permissions of a file that is created, default 0o666, less the process's umask. */
  readonly mode?: number;
  /**
   * The manager's implementation if the file is not open yet, default `shared`. For experiments: swap it whenever you
   * like, `swap(file.coid, DistributedFcm)`.
   */
  readonly implementation?: 'shared' | 'distributed';
}

export interface CloseOptions {
  /** Do not write back. What is dirty is lost, unless another holder of the file writes it back. */
  readonly discard?: boolean;
}

const DEFAULT_MODE = 0o666;

const IMPLEMENTATIONS: Readonly<Record<string, Implementation<FileCacheManager, number | undefined>>> = {
  shared: SharedFcm,
  distributed: DistributedFcm,
};

/**
 * Opens a file through the cache. Opening a file that is open already, on any processor and by any path, gives another
 * hold on the same pages.
 *
 * A file opened for writing is opened for reading too, underneath: it needs both permissions.
 * @throws what `node:fs` throws; FileTypeError, InvalidArgumentError, NotAttachedError; OutOfMachineMemoryError,
 *   RegionExhaustedError. The file is not open then.
 */
export async function openFile(
  path: string,
  flags: OpenFlags = 'r',
  options: OpenOptions = {},
): Promise<CachedFile> {
  const parsed = checkOpen(path, flags, options);
  const fd = await store.open(path, parsed.descriptor, options.mode ?? DEFAULT_MODE);
  return hold(path, fd, parsed, options);
}

/** `openFile`, synchronously. */
export function openFileSync(path: string, flags: OpenFlags = 'r', options: OpenOptions = {}): CachedFile {
  const parsed = checkOpen(path, flags, options);
  const fd = store.openSync(path, parsed.descriptor, options.mode ?? DEFAULT_MODE);
  return hold(path, fd, parsed, options);
}

/** Files that are open on any processor of the machine. @throws NotAttachedError */
export function openFileCount(): number {
  return registry().openFiles;
}

function checkOpen(path: string, flags: OpenFlags, options: OpenOptions): ParsedFlags {
  if (typeof path !== 'string' || path === '')
    throw new InvalidArgumentError('A file is opened by its path, a string.');
  const implementation = options.implementation ?? 'shared';
  if (!Object.hasOwn(IMPLEMENTATIONS, implementation))
    throw new InvalidArgumentError(
      `No implementation ${JSON.stringify(implementation)}: shared or distributed.`,
    );
  // Before the file is created: what is not attached cannot open anything.
  registry();
  return parseFlags(flags);
}

function hold(path: string, fd: number, flags: ParsedFlags, options: OpenOptions): CachedFile {
  let entry: Entry;
  try {
    const implementation = IMPLEMENTATIONS[
      options.implementation ?? 'shared'
    ] as (typeof IMPLEMENTATIONS)[string];
    entry = registry().acquire(fd, flags.writable, implementation, (opened) => examine(path, opened));
  } catch (error) {
    store.closeSync(fd);
    throw error;
  }
  if (!entry.fdTaken) store.closeSync(fd);
  const file = new CachedFile(path, flags, entry);
  if (flags.truncate) file.truncateSync(0);
  return file;
}

/** @throws FileTypeError; EISDIR, as the system says it, for a directory */
function examine(path: string, fd: number): FileStat {
  const stat = store.statSync(fd);
  if (stat.isDirectory) store.readSync(fd, new Uint8Array(1), 0, 1, 0);
  if (!stat.isFile) throw new FileTypeError(path);
  return stat;
}

/** A hold on an open file. Belongs to the processor that opened it; others open the file themselves. */
export class CachedFile {
  /** As it was opened; for messages. */
  readonly path: string;
  /** The file cache manager, the same for all who have the file open. */
  readonly coid: Coid<FileCacheManager>;
  readonly #flags: ParsedFlags;
  readonly #directory: number;
  readonly #fcm: FileCacheManager;
  /** Asynchronous operations under way. */
  #pending = 0;
  #whenIdle: (() => void) | undefined;
  #open = true;
  #closing: Promise<void> | undefined;

  /** Made by `openFile`. */
  constructor(path: string, flags: ParsedFlags, entry: Entry) {
    this.path = path;
    this.coid = entry.coid;
    this.#flags = flags;
    this.#directory = entry.directory;
    this.#fcm = handle(entry.coid);
  }

  /** Bytes in the file. @throws FileClosedError */
  get size(): number {
    this.#assertOpen();
    return this.#fcm.size();
  }

  /** Whether operations are accepted. */
  get isOpen(): boolean {
    return this.#open;
  }

  /** What the manager has counted on this processor. @throws FileClosedError */
  statistics(): FcmStatistics {
    this.#assertOpen();
    return this.#fcm.statistics();
  }

  /**
   * Reads from `position` until `into` is full or the file ends; the number of bytes read. What `into` holds beyond that
   * number afterwards means nothing.
   * @throws FileClosedError, FileAccessError, InvalidArgumentError; PoolExhaustedError; what reading the file throws
   */
  readSync(into: Uint8Array, position: number): number {
    this.#assertReadable(into, position);
    return this.#fcm.readSync(into, position);
  }

  /** `readSync` with asynchronous I/O where it needs any. `into` belongs to the file until the promise settles. */
  read(into: Uint8Array, position: number): Promise<number> {
    return this.#track(() => {
      this.#assertReadable(into, position);
      return this.#fcm.read(into, position);
    });
  }

  /**
   * Writes all of `from` at `position`, or at the end if the file was opened for appending; the number of bytes.
   * @throws FileClosedError, FileAccessError, InvalidArgumentError, FileTooLargeError; PoolExhaustedError; what reading
   *   a page that is overwritten in part throws. Nothing has been written then.
   */
  writeSync(from: Uint8Array, position: number): number {
    this.#assertWritable(from, position);
    return this.#flags.append ? this.#fcm.appendSync(from) : this.#fcm.writeSync(from, position);
  }

  /** `writeSync` with asynchronous I/O where it needs any. `from` must not change until the promise settles. */
  write(from: Uint8Array, position: number): Promise<number> {
    return this.#track(() => {
      this.#assertWritable(from, position);
      return this.#flags.append ? this.#fcm.append(from) : this.#fcm.write(from, position);
    });
  }

  /** Writes all of `from` at the end of the file, in one piece whichever processors append. Throws as `writeSync`. */
  appendSync(from: Uint8Array): number {
    this.#assertWritable(from, 0);
    return this.#fcm.appendSync(from);
  }

  /** `appendSync` with asynchronous I/O where it needs any. `from` must not change until the promise settles. */
  append(from: Uint8Array): Promise<number> {
    return this.#track(() => {
      this.#assertWritable(from, 0);
      return this.#fcm.append(from);
    });
  }

  /** Sets the size; bytes that are added are zero. @throws as `writeSync` */
  truncateSync(length = 0): void {
    this.#assertWritable(undefined, length);
    this.#fcm.truncateSync(length);
  }

  truncate(length = 0): Promise<void> {
    return this.#track(() => {
      this.#assertWritable(undefined, length);
      return this.#fcm.truncate(length);
    });
  }

  /**
   * Writes the file's dirty pages back, whoever wrote them, and waits until the disk has them.
   * @throws FileClosedError; WriteBackError: what is not written stays dirty
   */
  sync(): Promise<void> {
    return this.#track(() => {
      this.#assertOpen();
      return this.#fcm.flush(true);
    });
  }

  /** `sync`, synchronously. @throws WriteBackBusyError too */
  syncSync(): void {
    this.#assertOpen();
    this.#fcm.flushSync(true);
  }

  /**
   * Waits for what is under way, writes back, and closes. While it does, further operations are refused; calling it again
   * gives the same promise. Closing a closed file does nothing.
   * @throws WriteBackError: the file is open again, nothing is lost, and close can be tried again
   */
  close(options: CloseOptions = {}): Promise<void> {
    if (this.#closing !== undefined) return this.#closing;
    if (!this.#open) return Promise.resolve();
    this.#closing = this.#close(options).finally(() => {
      this.#closing = undefined;
    });
    return this.#closing;
  }

  async #close({ discard = false }: CloseOptions): Promise<void> {
    this.#open = false;
    try {
      if (this.#pending > 0) {
        await new Promise<void>((resolve) => {
          this.#whenIdle = resolve;
        });
      }
      if (!discard && this.#flags.writable) await this.#fcm.flush(false);
    } catch (error) {
      this.#open = true;
      throw error;
    }
    this.#release();
  }

  /** `close`, synchronously. @throws FileBusyError, WriteBackBusyError, WriteBackError: the file is still open */
  closeSync({ discard = false }: CloseOptions = {}): void {
    if (this.#closing !== undefined || this.#pending > 0) throw new FileBusyError(this.path, this.#pending);
    if (!this.#open) return;
    if (!discard && this.#flags.writable) this.#fcm.flushSync(false);
    this.#open = false;
    this.#release();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #release(): void {
    if (!registry().release(this.#directory)) return;
    destroy(this.coid).catch((error: unknown) => {
      process.emitWarning(error instanceof Error ? error : String(error), 'K42Warning');
    });
  }

  /** Counts an asynchronous operation while it is under way. */
  async #track<R>(operation: () => Promise<R>): Promise<R> {
    this.#pending++;
    try {
      return await operation();
    } finally {
      if (--this.#pending === 0) {
        this.#whenIdle?.();
        this.#whenIdle = undefined;
      }
    }
  }

  #assertOpen(): void {
    if (!this.#open) throw new FileClosedError(this.path);
  }

  #assertReadable(into: Uint8Array, position: number): void {
    this.#assertOpen();
    if (!this.#flags.readable) throw new FileAccessError(this.path, 'reading');
    checkBytes(into);
    checkPosition(position);
  }

  #assertWritable(from: Uint8Array | undefined, position: number): void {
    this.#assertOpen();
    if (!this.#flags.writable) throw new FileAccessError(this.path, 'writing');
    if (from !== undefined) checkBytes(from);
    checkPosition(position);
  }
}

function checkBytes(bytes: Uint8Array): void {
  if (!(bytes instanceof Uint8Array))
    throw new InvalidArgumentError('Bytes are read and written by Uint8Array.');
}

function checkPosition(position: number): void {
  if (!Number.isSafeInteger(position) || position < 0 || position > FILE_BYTES_MAX)
    throw new InvalidArgumentError(`A position is an integer from 0 to ${FILE_BYTES_MAX}, not ${position}.`);
}
