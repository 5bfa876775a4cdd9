/**
 * Published references: what readers find and writers replace.
 *
 * On one processor a reference is a variable that threads read; a plain one, because only this JavaScript thread sees it.
 * Between processors it is a word of machine memory (an offset, a COID, a frame number), published and read by atomics.
 */
import { InvalidArgumentError } from '../errors.ts';
import { type LocalDomain, machineDomain } from './domain.ts';
import { unguarded } from './guard.ts';
import { assertInsideAny, guardReference, isProving } from './prove.ts';

/** A reference on one processor: read with `rcuDereference`, replaced with `rcuAssign`. */
export class Published<T> {
  #value: T;
  readonly #domain: LocalDomain;

  /** @internal Use `publish` or `Domain.publish`. */
  constructor(value: T, domain: LocalDomain = machineDomain) {
    this.#value = value;
    this.#domain = domain;
  }

  /** @internal */
  read(): T {
    return isProving() ? guardReference(this.#domain.threads, this.#value) : this.#value;
  }

  /** @internal */
  exchange(value: T): T {
    const old = this.#value;
    // What was read from another reference is published itself, not the right of a thread to use it.
    this.#value = unguarded(value);
    return old;
  }
}

/**
 * Reads a published reference, inside a thread: what it gives may be used until the thread ends (or announces a
 * quiescent state). Or reads a published word of machine memory.
 * @throws OutsideThreadError in prove mode, where the caller is in no thread; and again whenever what was read is used
 *   after that thread has ended. Cost otherwise: a property; of a word, an atomic load (about 10 ns).
 */
export function rcuDereference<T>(reference: Published<T>): T;
export function rcuDereference(words: Int32Array, index: number): number;
export function rcuDereference<T>(reference: Published<T> | Int32Array, index = 0): T | number {
  if (reference instanceof Published) return reference.read();
  assertWord(reference, index);
  if (isProving()) assertInsideAny();
  // Pairs with rcuAssign: what the writer wrote before publishing is visible to whoever reads the word.
  return Atomics.load(reference, index);
}

/**
 * Replaces a published reference, or word of machine memory, and gives what it was: unlinked now, but in use by threads
 * that read it before; reclaim it after a grace period (`call`, `retire`, `synchronize`). Writers exclude each other by
 * other means.
 */
export function rcuAssign<T>(reference: Published<T>, value: T): T;
export function rcuAssign(words: Int32Array, index: number, value: number): number;
export function rcuAssign<T>(reference: Published<T> | Int32Array, a: T | number, b?: number): T | number {
  if (reference instanceof Published) return reference.exchange(a as T);
  const index = a as number;
  assertWord(reference, index);
  if (!Number.isInteger(b)) throw new InvalidArgumentError(`A published word is a 32-bit integer, not ${b}.`);
  // Publishes everything written before, and orders the unlinking before the grace period's look at the processors.
  return Atomics.exchange(reference, index, b as number);
}

function assertWord(words: Int32Array, index: number): void {
  if (!(words instanceof Int32Array) || !(words.buffer instanceof SharedArrayBuffer))
    throw new InvalidArgumentError(
      'A published word is a word of shared memory: an Int32Array on a SharedArrayBuffer.',
    );
  if (!Number.isInteger(index) || index < 0 || index >= words.length)
    throw new InvalidArgumentError(`No word ${index} in a view of ${words.length} words.`);
}
