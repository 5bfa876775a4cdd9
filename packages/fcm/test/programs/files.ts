/** Program of the tests: what to do with files on a processor. Files are kept by a key that the test chooses. */
import { currentRoot, rootView } from '@k42/clustered/interpose';
import type { SwappableRoot } from '@k42/hotswap';
import { currentProcessor } from '@k42/rcu';
import {
  type CachedFile,
  type CloseOptions,
  configureFcm,
  type OpenFlags,
  type OpenOptions,
  openFile,
  openFileSync,
} from '../../src/index.ts';
import { Directory } from '../../src/internal/directory.ts';
import { framePool } from '../../src/internal/framePool.ts';
import { FRAME } from '../../src/internal/layout.ts';
import { useFaults } from './faultyStore.ts';

export { useFaults } from './faultyStore.ts';

export type Form = 'sync' | 'async';

/** One operation on a file, as a test sends it to a processor. */
export type Operation =
  | { readonly kind: 'read'; readonly position: number; readonly length: number }
  | { readonly kind: 'write'; readonly position: number; readonly bytes: Uint8Array }
  | { readonly kind: 'append'; readonly bytes: Uint8Array }
  | { readonly kind: 'truncate'; readonly length: number }
  | { readonly kind: 'sync' }
  | { readonly kind: 'size' };

/** However long a swap takes: what three processors append stays below the size of the pool. */
const RECORDS_MAX = 100_000;

const files = new Map<string, CachedFile>();

export function fileOf(key: string): CachedFile {
  const file = files.get(key);
  if (file === undefined) throw new Error(`no file ${key} is open here`);
  return file;
}

export async function open(
  key: string,
  path: string,
  flags: OpenFlags,
  options: OpenOptions = {},
): Promise<void> {
  files.set(key, await openFile(path, flags, options));
}

export function openNow(key: string, path: string, flags: OpenFlags, options: OpenOptions = {}): void {
  files.set(key, openFileSync(path, flags, options));
}

export async function close(key: string, options: CloseOptions = {}): Promise<void> {
  await fileOf(key).close(options);
  files.delete(key);
}

export function closeNow(key: string, options: CloseOptions = {}): void {
  fileOf(key).closeSync(options);
  files.delete(key);
}

/** The bytes read, or the number an operation gives. */
export async function apply(key: string, operation: Operation, form: Form): Promise<Uint8Array | number> {
  const file = fileOf(key);
  const sync = form === 'sync';
  switch (operation.kind) {
    case 'read': {
      const into = new Uint8Array(operation.length);
      const got = sync ? file.readSync(into, operation.position) : await file.read(into, operation.position);
      return into.subarray(0, got);
    }
    case 'write':
      return sync
        ? file.writeSync(operation.bytes, operation.position)
        : file.write(operation.bytes, operation.position);
    case 'append':
      return sync ? file.appendSync(operation.bytes) : file.append(operation.bytes);
    case 'truncate':
      if (sync) file.truncateSync(operation.length);
      else await file.truncate(operation.length);
      return 0;
    case 'sync':
      if (sync) file.syncSync();
      else await file.sync();
      return 0;
    case 'size':
      return file.size;
  }
}

/** Bytes of a record: processor, number (little endian), then filler made from both. */
export function record(processor: number, number: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length).fill((processor * 89 + number * 31 + 7) & 0xff);
  bytes[0] = processor;
  new DataView(bytes.buffer).setUint32(1, number, true);
  return bytes;
}

/**
 * Appends records, synchronously and asynchronously by turns: so many, and on until told to stop through shared memory
 * where there is any to be told through. How many it has appended.
 */
export async function appendRecords(
  key: string,
  count: number,
  length: number,
  stop?: Int32Array,
): Promise<number> {
  const file = fileOf(key);
  const { number: processor } = currentProcessor();
  for (let number = 0; ; number++) {
    const isTold = stop === undefined || Atomics.load(stop, 0) !== 0;
    if (number >= RECORDS_MAX || (number >= count && isTold)) return number;
    const bytes = record(processor, number, length);
    const written = number % 3 === 0 ? await file.append(bytes) : file.appendSync(bytes);
    if (written !== length) throw new Error(`${written} of ${length} bytes appended`);
    if (number % 64 === 63) await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

/**
 * Overwrites a page so many times, and on until the reader has seen it often enough: `stop` counts the writers that have
 * stopped, and in its second word, if there is one, the reads. On a machine that is busy with other things the reader may
 * have had no turn.
 */
export function overwritePage(key: string, page: number, rounds: number, stop: Int32Array): number {
  const file = fileOf(key);
  const bytes = new Uint8Array(4096);
  const seen = (): boolean => stop.length < 2 || Atomics.load(stop, 1) > 200;
  for (let round = 0; round < rounds || (!seen() && round < 100 * rounds); round++) {
    file.writeSync(bytes.fill(1 + (round % 255)), page * 4096);
  }
  Atomics.add(stop, 0, 1);
  return rounds;
}

/** Reads a page until `writers` have stopped; how many reads there were, and how many showed more than one value. */
export function readPage(
  key: string,
  page: number,
  writers: number,
  stop: Int32Array,
): { reads: number; torn: number; values: number } {
  const file = fileOf(key);
  const into = new Uint8Array(4096);
  const values = new Set<number>();
  let reads = 0;
  let torn = 0;
  while (Atomics.load(stop, 0) < writers) {
    const got = file.readSync(into, page * 4096);
    reads++;
    if (stop.length > 1) Atomics.store(stop, 1, reads);
    const first = into[0] as number;
    values.add(first);
    if (got !== 4096 || into.some((byte) => byte !== first)) torn++;
  }
  return { reads, torn, values: values.size };
}

/** Whole reads after which a reader has seen enough; on a busy machine it may begin late. */
const READS_ENOUGH = 20;

function goesOn(round: number, rounds: number, stop: Int32Array): boolean {
  return round < rounds || (round < 50 * rounds && Atomics.load(stop, 1) < READS_ENOUGH);
}

/** Gives the frames of file A to file B and back, again and again: A is filled with `0xaa`, B with `0xbb`. */
export function exchangeFrames(a: string, b: string, pages: number, rounds: number, stop: Int32Array): void {
  const [fileA, fileB] = [fileOf(a), fileOf(b)];
  for (let round = 0; goesOn(round, rounds, stop); round++) {
    fileA.truncateSync(0);
    for (let page = 0; page < pages; page++) fileB.writeSync(new Uint8Array(4096).fill(0xbb), page * 4096);
    fileB.truncateSync(0);
    fileA.writeSync(new Uint8Array(pages * 4096).fill(0xaa), 0);
  }
  Atomics.add(stop, 0, 1);
}

/** Reads file A meanwhile; bytes seen that A never had, and whole reads. */
export function readExchanged(
  a: string,
  pages: number,
  stop: Int32Array,
): { foreign: number; whole: number; partial: number } {
  const file = fileOf(a);
  const into = new Uint8Array(pages * 4096);
  const seen = { foreign: 0, whole: 0, partial: 0 };
  while (Atomics.load(stop, 0) < 1) {
    const got = file.readSync(into, 0);
    if (into.subarray(0, got).some((byte) => byte !== 0xaa)) seen.foreign++;
    if (got === into.length) Atomics.store(stop, 1, ++seen.whole);
    else if (got > 0) seen.partial++;
  }
  return seen;
}

/** Takes a frame and marks it with this processor's number; the version it had. */
export function takeFrame(frame: number): number {
  const { frames } = framePool();
  const version = frames.lock(frame);
  frames.words[frames.header(frame) + FRAME.OWNER] = currentProcessor().number;
  frames.unlock(frame, version);
  return version;
}

/** Takes a clean page from a file, as an eviction will. */
export function evict(key: string, page: number): void {
  const root = rootView(currentRoot(fileOf(key).coid)) as unknown as SwappableRoot;
  const offset = root.exportPart('fcm/directory@1', { kind: 'root' }) as number;
  const directory = new Directory(currentProcessor(), offset, { contended: 0 });
  directory.lock();
  const frame = directory.table.find(page);
  if (frame >= 0) {
    directory.table.remove(page);
    if (framePool().frames.invalidate(frame)) throw new Error('a dirty page was evicted');
    framePool().release(frame);
  }
  directory.unlock();
}

/** Takes page 0 of A away and gives its frame to page 0 of B, or to page 1 of A, by turns, again and again. */
export function exchangeByEviction(a: string, b: string, rounds: number, stop: Int32Array): void {
  const into = new Uint8Array(4096);
  const expectRead = (key: string, page: number, value: number): void => {
    fileOf(key).readSync(into, page * 4096);
    if (into.some((byte) => byte !== value)) throw new Error(`page ${page} of ${key} is not ${value}`);
  };
  for (let round = 0; goesOn(round, rounds, stop); round++) {
    evict(b, 0);
    evict(a, 1);
    expectRead(a, 0, 0xaa);
    evict(a, 0);
    if (round % 2 === 0) expectRead(b, 0, 0xbb);
    else expectRead(a, 1, 0xcc);
  }
  Atomics.add(stop, 0, 1);
}

/** Truncates and extends by turns, so that the tail of the page is now 1, now gone, now 0. */
export function waveTail(key: string, rounds: number, stop: Int32Array): void {
  const file = fileOf(key);
  for (let round = 0; round < rounds; round++) {
    file.truncateSync(1000);
    file.writeSync(new Uint8Array(3000).fill(1), 1000);
  }
  Atomics.add(stop, 0, 1);
}

/** A file that is 1 throughout whenever it is 4000 bytes long, and 1000 bytes long else: counts what is neither. */
export function watchTail(key: string, stop: Int32Array): { reads: number; wrong: number } {
  const file = fileOf(key);
  const into = new Uint8Array(4096);
  const seen = { reads: 0, wrong: 0 };
  while (Atomics.load(stop, 0) < 1) {
    const got = file.readSync(into, 0);
    seen.reads++;
    if ((got !== 1000 && got !== 4000) || into.subarray(0, got).some((byte) => byte !== 1)) seen.wrong++;
  }
  return seen;
}

/**
 * Overwrites small pieces of its own stripe round by round, at least so many and on until told to stop, flushing now and
 * then. In the last round each piece gets a value that tells whose and which it is.
 */
export async function overwriteStripe(
  key: string,
  stripes: number,
  pieceBytes: number,
  pieces: number,
  rounds: number,
  stop?: Int32Array,
): Promise<void> {
  const file = fileOf(key);
  const { number: processor } = currentProcessor();
  const into = new Uint8Array(pieceBytes);
  for (let round = 1; ; round++) {
    const isLast = round >= rounds && (stop === undefined || Atomics.load(stop, 0) !== 0);
    for (let piece = 0; piece < pieces; piece++) {
      const value = isLast ? 1 + ((processor + piece) % 250) : 251 + (round % 4);
      const at = (piece * stripes + processor) * pieceBytes;
      file.writeSync(new Uint8Array(pieceBytes).fill(value), at);
      if (piece % 16 === 0) await file.read(into, at);
      else file.readSync(into, at);
      if (into.some((byte) => byte !== value)) throw new Error(`piece ${piece} is not as it was written`);
    }
    if (round % 3 === processor) await file.sync();
    if (isLast) return;
  }
}

export function counts(key: string): object {
  return fileOf(key).statistics();
}

export function configure(poolBytes: number): void {
  configureFcm({ poolBytes });
}

/** Settles what the test has left behind on this processor. */
export function repair(): void {
  useFaults({});
}
