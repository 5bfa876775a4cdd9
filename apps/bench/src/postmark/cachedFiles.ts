/**
 * The file cache under PostMark.
 *
 * An instance's own files are used synchronously: they are small, few pages of them are ever missing, and the other side
 * of the comparison is synchronous `node:fs`. The journal, which all processors share, is appended to asynchronously, so
 * that its manager is swapped with calls of both kinds in progress. `close` writes back; where that fails, the benchmark
 * has failed, and what is dirty is given up.
 */
import { constants, mkdirSync, rmdirSync, unlinkSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type CachedFile, openFile, openFileSync } from '@k42/fcm';
import type { BenchFile, BenchFiles } from './files.ts';

export type Implementation = 'shared' | 'distributed';

const CREATE = constants.O_RDWR | constants.O_CREAT;
const APPEND = constants.O_RDWR | constants.O_APPEND;
const OWNER_WRITES_ALL_READ = 0o644;

/** A file of the instance's own. */
export class OwnFile implements BenchFile {
  readonly #file: CachedFile;
  #inTurns = false;

  constructor(file: CachedFile) {
    this.#file = file;
  }

  /** From now on every operation is an asynchronous one in a turn of its own: so that a swap comes in between. */
  useInTurns(): void {
    this.#inTurns = true;
  }

  read(into: Uint8Array, position: number): number | Promise<number> {
    return this.#inTurns
      ? this.#inTurn(() => this.#file.read(into, position))
      : this.#file.readSync(into, position);
  }

  append(from: Uint8Array): number | Promise<number> {
    return this.#inTurns ? this.#inTurn(() => this.#file.append(from)) : this.#file.appendSync(from);
  }

  close(): void | Promise<void> {
    if (this.#inTurns) return closeOrDiscard(this.#file);
    try {
      this.#file.closeSync();
    } catch (error) {
      this.#file.closeSync({ discard: true });
      throw error;
    }
  }

  async #inTurn(operation: () => Promise<number>): Promise<number> {
    await nextTurn();
    return operation();
  }
}

/** The journal. */
class SharedJournal implements BenchFile {
  readonly #file: CachedFile;

  constructor(file: CachedFile) {
    this.#file = file;
  }

  read(into: Uint8Array, position: number): Promise<number> {
    return this.#file.read(into, position);
  }

  append(from: Uint8Array): Promise<number> {
    return this.#file.append(from);
  }

  close(): Promise<void> {
    return closeOrDiscard(this.#file);
  }
}

export class CachedFiles implements BenchFiles {
  readonly #implementation: Implementation;
  readonly #journal: string;

  /** @param journal path of the file that is used asynchronously */
  constructor(implementation: Implementation, journal: string) {
    this.#implementation = implementation;
    this.#journal = journal;
  }

  create(path: string): BenchFile {
    const options = { mode: OWNER_WRITES_ALL_READ, implementation: this.#implementation };
    return new OwnFile(openFileSync(path, CREATE, options));
  }

  open(path: string, forAppend: boolean): BenchFile | Promise<BenchFile> {
    const flags = forAppend ? APPEND : constants.O_RDONLY;
    const options = { implementation: this.#implementation };
    if (path !== this.#journal) return new OwnFile(openFileSync(path, flags, options));
    return openFile(path, flags, options).then((file) => new SharedJournal(file));
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

async function closeOrDiscard(file: CachedFile): Promise<void> {
  try {
    await file.close();
  } catch (error) {
    await file.close({ discard: true });
    throw error;
  }
}
