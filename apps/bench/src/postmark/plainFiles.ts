/**
 * `node:fs`, called directly: the baseline that everything else is compared with.
 *
 * The synchronous calls are used because they are the fastest that Node has. Every append hands its bytes to the
 * operating system at once, so that `close` has nothing left to write back and keeps the promise of the seam.
 */
import {
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readSync,
  rmdirSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import type { BenchFile, BenchFiles } from './files.ts';

const CREATE = constants.O_RDWR | constants.O_CREAT;
const APPEND = constants.O_RDWR | constants.O_APPEND;
const OWNER_WRITES_ALL_READ = 0o644;

class PlainFile implements BenchFile {
  readonly #descriptor: number;

  constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  read(into: Uint8Array, position: number): number {
    return readSync(this.#descriptor, into, 0, into.length, position);
  }

  append(from: Uint8Array): number {
    let written = 0;
    // A nearly full disk takes a part first and reports ENOSPC only for the rest.
    while (written < from.length) {
      written += writeSync(this.#descriptor, from, written, from.length - written, null);
    }
    return written;
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

export class PlainFiles implements BenchFiles {
  create(path: string): BenchFile {
    return new PlainFile(openSync(path, CREATE, OWNER_WRITES_ALL_READ));
  }

  open(path: string, forAppend: boolean): BenchFile {
    return new PlainFile(openSync(path, forAppend ? APPEND : constants.O_RDONLY));
  }

  unlink(path: string): void {
    unlinkSync(path);
  }

  mkdir(path: string): void {
    mkdirSync(path);
  }

  rmdir(path: string): void {
    rmdirSync(path);
  }
}
