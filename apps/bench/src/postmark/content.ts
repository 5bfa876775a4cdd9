/**
 * What the files must contain.
 *
 * Every write is a prefix of the source, so a file is the concatenation of the prefixes written to it: its history is a
 * list of lengths, and any byte of it can be computed. The ledger keeps that history per slot and compares
 *
 *  - each piece a transaction read, with what belongs at its position, and
 *  - before the deletions, every file once more from disk, through plain `node:fs` and whatever file cache is on top
 *    avoided; a file that is there and should not be is a mismatch too.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Pool } from './pool.ts';

export interface Verification {
  /** Pieces compared while transactions ran. */
  pieces: number;
  /** Files compared on disk. */
  files: number;
  mismatches: number;
  /** The first few mismatches, in words. */
  examples: string[];
}

const EXAMPLES_MAX = 10;

export class ContentLedger {
  readonly verification: Verification = { pieces: 0, files: 0, mismatches: 0, examples: [] };
  readonly #source: Uint8Array;
  /** Per slot, the lengths of the prefixes written to its file. */
  readonly #histories: number[][];

  constructor(source: Uint8Array, slots: number) {
    this.#source = source;
    this.#histories = Array.from({ length: slots }, () => []);
  }

  wrote(slot: number, bytes: number): void {
    this.#history(slot).push(bytes);
  }

  deleted(slot: number): void {
    this.#histories[slot] = [];
  }

  /** Compares what was read at `position` of a file, where `asked` bytes should have been there. */
  checkPiece(slot: number, name: string, position: number, piece: Uint8Array, asked: number): void {
    this.verification.pieces++;
    if (piece.length !== asked) {
      this.#mismatch(`${name}: ${piece.length} of ${asked} bytes read at ${position}`);
      return;
    }
    const at = firstDifference(this.#source, this.#history(slot), position, piece);
    if (at >= 0) this.#mismatch(`${name}: wrong byte read at ${position + at}`);
  }

  /** Compares one file of the pool with the disk. */
  checkFile(slot: number, name: string, directory: string): void {
    this.verification.files++;
    let bytes: Uint8Array;
    try {
      bytes = readFileSync(join(directory, name));
    } catch (error) {
      this.#mismatch(`${name}: not readable (${error instanceof Error ? error.message : error})`);
      return;
    }
    const history = this.#history(slot);
    const expectedBytes = history.reduce((sum, length) => sum + length, 0);
    const at = firstDifference(this.#source, history, 0, bytes);
    if (bytes.length !== expectedBytes) {
      this.#mismatch(`${name}: ${bytes.length} bytes on disk, expected ${expectedBytes}`);
    } else if (at >= 0) {
      this.#mismatch(`${name}: wrong byte on disk at ${at}`);
    }
  }

  /** Looks for files on disk that are not in the pool. */
  checkNothingElse(pool: Pool, directory: string): void {
    const names = new Set([...pool.used()].map((slot) => pool.name(slot)));
    for (const name of readdirSync(directory, { recursive: true, encoding: 'utf8' })) {
      if (names.has(name) || statSync(join(directory, name)).isDirectory()) continue;
      this.#mismatch(`${name}: on disk, but deleted or never created`);
    }
  }

  #history(slot: number): number[] {
    return this.#histories[slot] as number[];
  }

  #mismatch(what: string): void {
    this.verification.mismatches++;
    if (this.verification.examples.length < EXAMPLES_MAX) this.verification.examples.push(what);
  }
}

/** The whole content of a file with this history. */
export function expectedContent(source: Uint8Array, history: readonly number[]): Uint8Array {
  return Buffer.concat(history.map((length) => source.subarray(0, length)));
}

/**
 * Where `piece`, read at `position` of a file with this history, first differs from what it should be; -1 if it does not.
 * Bytes beyond the end of the history differ.
 */
export function firstDifference(
  source: Uint8Array,
  history: readonly number[],
  position: number,
  piece: Uint8Array,
): number {
  let done = 0;
  let start = 0;
  for (const length of history) {
    const from = position + done - start;
    if (from < length && done < piece.length) {
      const count = Math.min(length - from, piece.length - done);
      const actual = piece.subarray(done, done + count);
      const expected = source.subarray(from, from + count);
      if (Buffer.compare(actual, expected) !== 0) {
        return done + actual.findIndex((byte, i) => byte !== expected[i]);
      }
      done += count;
    }
    start += length;
  }
  return done < piece.length ? done : -1;
}
