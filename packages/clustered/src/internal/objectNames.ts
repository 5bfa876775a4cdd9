/**
 * Well-known names of objects, the same on every processor: a table in machine memory, under one mutex.
 *
 * A name goes with its object: an entry whose sequence number is no longer the object's counts as free, and is used again. So
 * nothing has to be taken back when an object is destroyed, by whomever.
 */
import { Mutex, type Processor } from '@k42/rcu';
import { NameError } from '../errors.ts';
import { fingerprint } from './fingerprint.ts';
import {
  OBJECT_NAME,
  OBJECT_NAME_BYTES,
  OBJECT_NAMES_BLOCK,
  OBJECT_NAMES_BYTES,
  OBJECT_NAMES_HEADER_BYTES,
  OBJECT_NAMES_MAX,
} from './layout.ts';

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** No object's stored COID. */
const NOBODY = -1;

export class ObjectNames {
  readonly #memory: Processor['memory'];
  readonly #base: number;
  readonly #mutex: Mutex;
  /** Whether a stored COID's object is still there. */
  readonly #isLive: (stored: number) => boolean;

  constructor(processor: Processor, isLive: (stored: number) => boolean) {
    this.#memory = processor.memory;
    this.#isLive = isLive;
    this.#base = processor.memory.block(OBJECT_NAMES_BLOCK, OBJECT_NAMES_BYTES);
    this.#mutex = new Mutex(processor.memory.i32, this.#base / 4, processor.owner, {
      name: 'the table of object names',
      // An entry counts by its stored COID, which is written last: whoever died has named an object or has not.
      repair: () => {},
    });
  }

  /** The stored COID of the object of that name; undefined if there is none. */
  find(name: string): number | undefined {
    return this.#mutex.withLock(() => this.#find(name));
  }

  /** Gives a name to an object. @throws NameError if another object has it, or the table is full */
  bind(name: string, stored: number): void {
    if (this.bindOrFind(name, stored) !== stored)
      throw new NameError(`Another object is named ${JSON.stringify(name)}.`);
  }

  /** Gives a name to an object, unless another has it; the one that has it then. @throws NameError if the table is full */
  bindOrFind(name: string, stored: number): number {
    return this.#mutex.withLock(() => {
      const known = this.#find(name);
      if (known === undefined) this.#write(this.#freeEntry(), name, stored);
      return known ?? stored;
    });
  }

  /** Takes a name back; whether there was an object of that name. */
  unbind(name: string): boolean {
    return this.#mutex.withLock(() => {
      const entry = this.#entryOf(name);
      if (entry === undefined) return false;
      const wasLive = this.#isLive(this.#stored(entry));
      this.#memory.f64[entry / 8 + OBJECT_NAME.COID] = NOBODY;
      this.#memory.i32[entry / 4 + OBJECT_NAME.LENGTH] = 0;
      return wasLive;
    });
  }

  /** All names of live objects, with the stored COIDs. */
  all(): { name: string; stored: number }[] {
    return this.#mutex.withLock(() => {
      const names: { name: string; stored: number }[] = [];
      for (const entry of this.#entries()) {
        const stored = this.#stored(entry);
        if (this.#length(entry) !== 0 && this.#isLive(stored))
          names.push({ name: this.#name(entry), stored });
      }
      return names;
    });
  }

  #find(name: string): number | undefined {
    const entry = this.#entryOf(name);
    if (entry === undefined) return undefined;
    const stored = this.#stored(entry);
    return this.#isLive(stored) ? stored : undefined;
  }

  #entryOf(name: string): number | undefined {
    const hash = fingerprint(name);
    for (const entry of this.#entries())
      if (this.#memory.i32[entry / 4 + OBJECT_NAME.HASH] === hash && this.#name(entry) === name) return entry;
    return undefined;
  }

  /** An entry that has no name, or whose object is gone. @throws NameError */
  #freeEntry(): number {
    for (const entry of this.#entries())
      if (this.#length(entry) === 0 || !this.#isLive(this.#stored(entry))) return entry;
    const used = this.#used();
    if (used === OBJECT_NAMES_MAX)
      throw new NameError(`A machine has at most ${OBJECT_NAMES_MAX} names of objects.`);
    this.#memory.i32[this.#base / 4 + 1] = used + 1;
    return this.#at(used);
  }

  /** Plain, as everything here: the mutex orders it. */
  #write(entry: number, name: string, stored: number): void {
    const encoded = encoder.encode(name);
    const { i32, f64, u8 } = this.#memory;
    // What the entry said before ends first, what it says now begins last.
    f64[entry / 8 + OBJECT_NAME.COID] = NOBODY;
    u8.set(encoded, entry + OBJECT_NAME.TEXT * 4);
    i32[entry / 4 + OBJECT_NAME.LENGTH] = encoded.length;
    i32[entry / 4 + OBJECT_NAME.HASH] = fingerprint(name);
    f64[entry / 8 + OBJECT_NAME.COID] = stored;
  }

  *#entries(): Iterable<number> {
    const used = this.#used();
    for (let index = 0; index < used; index++) yield this.#at(index);
  }

  #used(): number {
    return this.#memory.i32[this.#base / 4 + 1] as number;
  }

  #at(index: number): number {
    return this.#base + OBJECT_NAMES_HEADER_BYTES + index * OBJECT_NAME_BYTES;
  }

  #stored(entry: number): number {
    return this.#memory.f64[entry / 8 + OBJECT_NAME.COID] as number;
  }

  #length(entry: number): number {
    return this.#memory.i32[entry / 4 + OBJECT_NAME.LENGTH] as number;
  }

  #name(entry: number): string {
    const start = entry + OBJECT_NAME.TEXT * 4;
    return decoder.decode(this.#memory.u8.slice(start, start + this.#length(entry)));
  }
}
