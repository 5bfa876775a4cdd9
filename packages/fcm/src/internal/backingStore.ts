/**
 * The backing store: the calls that reach the operating system, and no others do.
 *
 * `node:fs` in earnest; a test puts another store in its place to have a disk that is full, slow, or short of breath.
 * Buffers are views of shared memory as often as not, which `node:fs` accepts. Reads and writes may be short.
 */
import * as fs from 'node:fs';

export interface FileStat {
  readonly device: bigint;
  readonly inode: bigint;
  readonly sizeBytes: number;
  readonly isFile: boolean;
  readonly isDirectory: boolean;
}

export interface BackingStore {
  openSync(path: string, flags: number, mode: number): number;
  open(path: string, flags: number, mode: number): Promise<number>;
  statSync(fd: number): FileStat;
  readSync(fd: number, into: Uint8Array, offset: number, length: number, position: number): number;
  read(fd: number, into: Uint8Array, offset: number, length: number, position: number): Promise<number>;
  writeSync(fd: number, from: Uint8Array, offset: number, length: number, position: number): number;
  write(fd: number, from: Uint8Array, offset: number, length: number, position: number): Promise<number>;
  setLengthSync(fd: number, length: number): void;
  setLength(fd: number, length: number): Promise<void>;
  datasyncSync(fd: number): void;
  datasync(fd: number): Promise<void>;
  closeSync(fd: number): void;
}

/** Turns a callback of `node:fs` into a promise. (`util.promisify` makes an object of every result.) */
function settled<R>(
  begin: (done: (error: NodeJS.ErrnoException | null, result: R) => void) => void,
): Promise<R> {
  const { promise, resolve, reject } = Promise.withResolvers<R>();
  begin((error, result) => (error === null ? resolve(result) : reject(error)));
  return promise;
}

/** The callbacks that have no result are called with the error alone. */
function done(begin: (callback: (error: NodeJS.ErrnoException | null) => void) => void): Promise<void> {
  return settled<void>((callback) => begin((error) => callback(error, undefined)));
}

export const NODE_STORE: BackingStore = {
  openSync: (path, flags, mode) => fs.openSync(path, flags, mode),
  open: (path, flags, mode) => settled((callback) => fs.open(path, flags, mode, callback)),
  statSync: (fd) => {
    // As bigints: two inode numbers beyond 2^53 must not become one. Costs 7 % more than numbers.
    const stat = fs.fstatSync(fd, { bigint: true });
    return {
      device: BigInt.asIntN(64, stat.dev),
      inode: BigInt.asIntN(64, stat.ino),
      sizeBytes: Number(stat.size),
      isFile: stat.isFile(),
      isDirectory: stat.isDirectory(),
    };
  },
  readSync: (fd, into, offset, length, position) => fs.readSync(fd, into, offset, length, position),
  read: (fd, into, offset, length, position) =>
    settled((callback) => fs.read(fd, into, offset, length, position, callback)),
  writeSync: (fd, from, offset, length, position) => fs.writeSync(fd, from, offset, length, position),
  write: (fd, from, offset, length, position) =>
    settled((callback) => fs.write(fd, from, offset, length, position, callback)),
  setLengthSync: (fd, length) => fs.ftruncateSync(fd, length),
  setLength: (fd, length) => done((callback) => fs.ftruncate(fd, length, callback)),
  datasyncSync: (fd) => fs.fdatasyncSync(fd),
  datasync: (fd) => done((callback) => fs.fdatasync(fd, callback)),
  closeSync: (fd) => fs.closeSync(fd),
};

/** The store of this JavaScript thread. */
export let store: BackingStore = NODE_STORE;

/** Puts another store in place on this JavaScript thread; gives the one that was there. For tests. */
export function useStore(next: BackingStore): BackingStore {
  const previous = store;
  store = next;
  return previous;
}
