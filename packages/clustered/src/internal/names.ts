/**
 * Machine-wide numbers for the names of interfaces and implementations.
 *
 * Whoever uses a name first gives it the next number; every processor then finds the same one. Names are only added,
 * and a count published by an atomic store makes those before it readable without the mutex.
 */
import { Mutex, type Processor } from '@k42/rcu';
import { NameError } from '../errors.ts';
import { NAME_WORDS, NAMES_BLOCK, NAMES_BYTES, NAMES_HEADER_WORDS, NAMES_MAX } from './layout.ts';

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export class Names {
  readonly #memory: Processor['memory'];
  readonly #base: number;
  readonly #mutex: Mutex;
  readonly #numbers = new Map<string, number>();
  readonly #names: string[] = [];

  constructor(processor: Processor) {
    this.#memory = processor.memory;
    this.#base = processor.memory.block(NAMES_BLOCK, NAMES_BYTES) / 4;
    this.#mutex = new Mutex(processor.memory.i32, this.#base, processor.owner, {
      name: 'the directory of names',
      // A name is complete before it is counted: whoever died in between has changed nothing.
      repair: () => {},
    });
  }

  /** Number of a name, given out now if it has none. */
  numberOf(name: string): number {
    const known = this.#numbers.get(name);
    if (known !== undefined) return known;
    return this.#mutex.withLock(() => {
      this.#refresh();
      const found = this.#numbers.get(name);
      if (found !== undefined) return found;
      const number = this.#names.length;
      if (number === NAMES_MAX)
        throw new NameError(`A machine has at most ${NAMES_MAX} interfaces and implementations.`);
      const at = this.#at(number);
      const encoded = encoder.encode(name);
      this.#memory.i32[at] = encoded.length;
      this.#memory.u8.set(encoded, (at + 1) * 4);
      // Publishes the name's bytes: pairs with the load in #refresh().
      Atomics.store(this.#memory.i32, this.#base + 1, number + 1);
      this.#refresh();
      return number;
    });
  }

  /** Name of a number that some processor has given out. */
  nameOf(number: number): string {
    if (number >= this.#names.length) this.#refresh();
    const name = this.#names[number];
    if (name === undefined) throw new Error(`@k42/clustered invariant: no name has number ${number}`);
    return name;
  }

  #refresh(): void {
    // Pairs with the store in numberOf(): the bytes of all names below the count are there.
    const count = Atomics.load(this.#memory.i32, this.#base + 1);
    for (let number = this.#names.length; number < count; number++) {
      const at = this.#at(number);
      const start = (at + 1) * 4;
      const name = decoder.decode(this.#memory.u8.slice(start, start + (this.#memory.i32[at] as number)));
      this.#names.push(name);
      this.#numbers.set(name, number);
    }
  }

  #at(number: number): number {
    return this.#base + NAMES_HEADER_WORDS + number * NAME_WORDS;
  }
}
