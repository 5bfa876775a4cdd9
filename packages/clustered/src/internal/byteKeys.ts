/**
 * Keys of byte tables: any JavaScript string, exactly.
 *
 * A key is kept as its code units, one byte each if all are below 256, else two. UTF-8 would not do: strings with lone
 * surrogates, which are strings like any other, would all become the same bytes.
 */
import { InvalidArgumentError } from '@k42/rcu';
import { KeyTooLongError } from '../standard/errors.ts';

/** Keeps a chain walk, which compares keys, and the making of a string from one, short. */
export const KEY_LENGTH_MAX = 8192;

/** A key, looked at once. */
export interface Key {
  readonly text: string;
  readonly hash: number;
  /** Bytes it takes, negative if it has two to a character: as in an entry. */
  readonly bytes: number;
}

/**
 * FNV-1a over the code units, then the finish of MurmurHash3, since both ends of the hash are used. The seed differs from map
 * to map; it is no defence against an enemy who knows it or can time the map.
 * @throws InvalidArgumentError, KeyTooLongError
 */
export function digest(text: string, seed: number): Key {
  if (typeof text !== 'string') throw new InvalidArgumentError(`A key is a string, not ${typeof text}.`);
  const { length } = text;
  if (length > KEY_LENGTH_MAX) throw new KeyTooLongError(length, KEY_LENGTH_MAX);
  let hash = seed;
  let all = 0;
  for (let i = 0; i < length; i++) {
    const unit = text.charCodeAt(i);
    all |= unit;
    hash = Math.imul(hash ^ unit, 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return { text, hash: hash ^ (hash >>> 16), bytes: all < 256 ? length : -2 * length };
}

/** Reads and writes keys in machine memory. */
export class KeyStore {
  readonly #u8: Uint8Array;
  readonly #u16: Uint16Array;

  constructor(buffer: SharedArrayBuffer) {
    this.#u8 = new Uint8Array(buffer);
    this.#u16 = new Uint16Array(buffer);
  }

  write(at: number, { text, bytes }: Key): void {
    if (bytes >= 0) for (let i = 0; i < text.length; i++) this.#u8[at + i] = text.charCodeAt(i);
    else for (let i = 0; i < text.length; i++) this.#u16[at / 2 + i] = text.charCodeAt(i);
  }

  /** Whether the key at `at`, which takes as many bytes, is this one. */
  equals(at: number, { text, bytes }: Key): boolean {
    if (bytes >= 0) return isAt(this.#u8, at, text);
    return isAt(this.#u16, at / 2, text);
  }

  read(at: number, bytes: number): string {
    if (bytes >= 0) return String.fromCharCode(...this.#u8.subarray(at, at + bytes));
    return String.fromCharCode(...this.#u16.subarray(at / 2, (at - bytes) / 2));
  }
}

function isAt(units: Uint8Array | Uint16Array, first: number, text: string): boolean {
  for (let i = 0; i < text.length; i++) if (units[first + i] !== text.charCodeAt(i)) return false;
  return true;
}
