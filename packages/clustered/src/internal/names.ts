/**
 * Machine-wide numbers for the names of interfaces and implementations.
 *
 * Whoever uses a name first gives it the next number; every processor then finds the same one. With the name goes what
 * tells definitions apart, so that two versions of a module under one name are refused, and the URL of the module, so that
 * a processor that lacks it can say where it comes from. Names are only added, and a count published by an atomic store
 * makes those before it readable without the mutex.
 */
import { Mutex, type Processor } from '@k42/rcu';
import { DefinitionMismatchError, NameError, NotLoadedError } from '../errors.ts';
import { type AnyInterface, interfaceNamed } from '../interfaces.ts';
import {
  NAME_ENTRY,
  NAME_ENTRY_BYTES,
  NAME_MAX,
  NAMES_BLOCK,
  NAMES_BYTES,
  NAMES_HEADER_BYTES,
  NAMES_MAX,
  URL_MAX,
} from './layout.ts';
import { type AnyImplementation, implementationNamed } from './registry.ts';

const encoder = new TextEncoder();
const decoder = new TextDecoder();

const KIND = { Interface: 1, Implementation: 2 } as const;
type Kind = keyof typeof KIND;

interface Definition {
  readonly name: string;
  readonly fingerprint: number;
  readonly module?: string | undefined;
}

export class Names {
  readonly #processor: Processor;
  readonly #memory: Processor['memory'];
  readonly #base: number;
  readonly #mutex: Mutex;
  /** By kind and name: all that have been given out. */
  readonly #numbers = new Map<string, number>();
  /** Of the definitions here, as far as they are the ones their numbers were given to. */
  readonly #agreed = new Map<Definition, number>();
  /** What the numbers mean here, as far as they have been looked up. */
  readonly #found: (AnyInterface | AnyImplementation | undefined)[] = [];
  /** Numbers read so far. */
  #count = 0;

  constructor(processor: Processor) {
    this.#processor = processor;
    this.#memory = processor.memory;
    this.#base = processor.memory.block(NAMES_BLOCK, NAMES_BYTES);
    this.#mutex = new Mutex(processor.memory.i32, this.#base / 4, processor.owner, {
      name: 'the directory of names',
      // A name is complete before it is counted: whoever died in between has changed nothing.
      repair: () => {},
    });
  }

  /** @throws NameError, DefinitionMismatchError */
  numberOfInterface(definition: AnyInterface): number {
    return this.#numberOf('Interface', definition);
  }

  /** @throws NameError, DefinitionMismatchError */
  numberOfImplementation(definition: AnyImplementation): number {
    return this.#numberOf('Implementation', definition);
  }

  /** @throws NotLoadedError, DefinitionMismatchError */
  interface(number: number): AnyInterface {
    const known = this.#found[number];
    return (known ?? this.#resolve(number, 'Interface', interfaceNamed)) as AnyInterface;
  }

  /** @throws NotLoadedError, DefinitionMismatchError */
  implementation(number: number): AnyImplementation {
    const known = this.#found[number];
    return (known ?? this.#resolve(number, 'Implementation', implementationNamed)) as AnyImplementation;
  }

  /** The name that has a number, whether or not it is loaded here. */
  nameOf(number: number): string {
    const at = this.#at(number);
    return this.#text(at, this.#memory.i32[at / 4 + NAME_ENTRY.NAME_BYTES] as number);
  }

  #resolve<D extends AnyInterface | AnyImplementation>(
    number: number,
    kind: Kind,
    find: (name: string) => D | undefined,
  ): D {
    const name = this.nameOf(number);
    const found = find(name);
    if (found === undefined)
      throw new NotLoadedError(kind, name, this.#processor.number, this.#moduleOf(number));
    this.#check(number, kind, found);
    this.#found[number] = found;
    return found;
  }

  /** Number of a name, given out now if it has none. */
  #numberOf(kind: Kind, definition: Definition): number {
    const known = this.#agreed.get(definition);
    if (known !== undefined) return known;
    const key = `${kind} ${definition.name}`;
    const number = this.#mutex.withLock(() => {
      this.#refresh();
      return this.#numbers.get(key) ?? this.#add(kind, key, definition);
    });
    this.#check(number, kind, definition);
    this.#agreed.set(definition, number);
    return number;
  }

  #add(kind: Kind, key: string, { name, fingerprint, module = '' }: Definition): number {
    const number = this.#count;
    if (number === NAMES_MAX)
      throw new NameError(`A machine has at most ${NAMES_MAX} interfaces and implementations.`);
    const { i32, u8 } = this.#memory;
    const at = this.#at(number);
    const encodedName = encoder.encode(name);
    const encodedUrl = encoder.encode(module);
    const url = encodedUrl.length <= URL_MAX ? encodedUrl : new Uint8Array();
    i32[at / 4 + NAME_ENTRY.KIND] = KIND[kind];
    i32[at / 4 + NAME_ENTRY.FINGERPRINT] = fingerprint;
    i32[at / 4 + NAME_ENTRY.NAME_BYTES] = encodedName.length;
    i32[at / 4 + NAME_ENTRY.URL_BYTES] = url.length;
    u8.set(encodedName, at + NAME_ENTRY.TEXT * 4);
    u8.set(url, at + NAME_ENTRY.TEXT * 4 + NAME_MAX);
    // Publishes the name: pairs with the load in #refresh().
    Atomics.store(i32, this.#base / 4 + 1, number + 1);
    this.#numbers.set(key, number);
    this.#count = number + 1;
    return number;
  }

  /** @throws DefinitionMismatchError if the number was given to another definition of that name */
  #check(number: number, kind: Kind, { name, fingerprint }: Definition): void {
    if (this.#memory.i32[this.#at(number) / 4 + NAME_ENTRY.FINGERPRINT] !== fingerprint)
      throw new DefinitionMismatchError(kind, name, this.#processor.number);
  }

  #refresh(): void {
    // Pairs with the store in #add(): everything about the names below the count is there.
    const count = Atomics.load(this.#memory.i32, this.#base / 4 + 1);
    for (; this.#count < count; this.#count++) {
      const isInterface = this.#memory.i32[this.#at(this.#count) / 4 + NAME_ENTRY.KIND] === KIND.Interface;
      this.#numbers.set(
        `${isInterface ? 'Interface' : 'Implementation'} ${this.nameOf(this.#count)}`,
        this.#count,
      );
    }
  }

  #moduleOf(number: number): string | undefined {
    const at = this.#at(number);
    const bytes = this.#memory.i32[at / 4 + NAME_ENTRY.URL_BYTES] as number;
    return bytes === 0 ? undefined : this.#text(at + NAME_MAX, bytes);
  }

  #text(at: number, bytes: number): string {
    const start = at + NAME_ENTRY.TEXT * 4;
    return decoder.decode(this.#memory.u8.slice(start, start + bytes));
  }

  /** Byte offset of a name. */
  #at(number: number): number {
    return this.#base + NAMES_HEADER_BYTES + number * NAME_ENTRY_BYTES;
  }
}
