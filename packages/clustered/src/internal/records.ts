/**
 * Root records and the per-processor views made from them.
 *
 * A *Root word* names a record and carries a stamp that no other record of the machine has: a compare-and-swap on it
 * cannot mistake a new Root for an old one whose memory it reuses. (Stamps are made of a count and the creating
 * processor's number, so giving one out touches nothing shared; after 2^26 creations on one processor they repeat.)
 */
import { currentProcessor, type Processor } from '@k42/rcu';
import { NotLoadedError } from '../errors.ts';
import { type Interface, interfaceNamed } from '../interfaces.ts';
import type { Root, RootContext } from '../root.ts';
import { bit, members } from './gtt.ts';
import { RECORD, RECORD_BYTES, UNIT_BYTES } from './layout.ts';
import type { Names } from './names.ts';
import { type AnyImplementation, type Implementation, implementationNamed } from './registry.ts';

const STAMP_PROCESSORS = 64;

interface View {
  readonly word: bigint;
  readonly root: Root<object>;
}

export class Records {
  readonly #processor: Processor;
  readonly #names: Names;
  /** By record unit. A record that was freed and reused has another stamp, and its old view is replaced. */
  readonly #views = new Map<number, View>();
  #created = 0;

  constructor(processor: Processor, names: Names) {
    this.#processor = processor;
    this.#names = names;
  }

  /** Makes the record and state of a new Root, known to nobody yet. @throws what `initialise` throws; nothing is left. */
  create<T extends object, A>(
    implementation: Implementation<T, A>,
    asInterface: Interface<object>,
    argument: A,
  ): bigint {
    const { memory } = this.#processor;
    const stateBytes = implementation.stateBytes(argument);
    const implementationNumber = this.#names.numberOf(implementation.name);
    const interfaceNumber = this.#names.numberOf(asInterface.name);
    const record = memory.allocate(RECORD_BYTES);
    let state = 0;
    try {
      if (stateBytes > 0) state = memory.allocate(stateBytes);
      const stamp = (++this.#created * STAMP_PROCESSORS + this.#processor.number) | 0;
      const at = record / 4;
      // Plain stores: whoever puts the Root word where others find it publishes them with that atomic access.
      memory.i32[at + RECORD.STAMP] = stamp;
      memory.i32[at + RECORD.IMPLEMENTATION] = implementationNumber;
      memory.i32[at + RECORD.INTERFACE] = interfaceNumber;
      memory.i32[at + RECORD.STATE_UNIT] = state / UNIT_BYTES;
      memory.i32[at + RECORD.STATE_BYTES] = stateBytes;
      memory.i32[at + RECORD.CREATOR] = this.#processor.number;
      const word = (BigInt(stamp >>> 0) << 32n) | BigInt(record / UNIT_BYTES);
      implementation.initialise(this.#context(BigInt.asIntN(64, word)), argument);
      return BigInt.asIntN(64, word);
    } catch (error) {
      if (state !== 0) memory.free(state, stateBytes);
      memory.free(record, RECORD_BYTES);
      throw error;
    }
  }

  /** This processor's view of a Root. The caller keeps the record alive (entry lock, thread, or a swap in progress). */
  view(word: bigint): Root<object> {
    const unit = unitOf(word);
    const known = this.#views.get(unit);
    if (known !== undefined && known.word === word) return known.root;
    const root = new (this.implementation(word).Root)(this.#context(word));
    this.#views.set(unit, { word, root });
    return root;
  }

  /** The implementation of a Root. @throws NotLoadedError */
  implementation(word: bigint): AnyImplementation {
    const name = this.#names.nameOf(this.#field(word, RECORD.IMPLEMENTATION));
    const implementation = implementationNamed(name);
    if (implementation === undefined)
      throw new NotLoadedError(`Implementation ${name}`, this.#processor.number);
    return implementation;
  }

  /** The interface a Root serves. @throws NotLoadedError */
  interface(word: bigint): Interface<object> {
    const name = this.#names.nameOf(this.#field(word, RECORD.INTERFACE));
    const found = interfaceNamed(name);
    if (found === undefined) throw new NotLoadedError(`Interface ${name}`, this.#processor.number);
    return found;
  }

  /** Set of the processors on which a Root has made a Rep. */
  reps(word: bigint): bigint {
    return Atomics.load(this.#processor.memory.i64, this.#repsIndex(word));
  }

  /** Notes that the Root has a Rep on this processor. */
  markRep(word: bigint): void {
    Atomics.or(this.#processor.memory.i64, this.#repsIndex(word), bit(this.#processor.number));
  }

  /** Forgets this processor's view of a Root. */
  forget(word: bigint): void {
    const unit = unitOf(word);
    if (this.#views.get(unit)?.word === word) this.#views.delete(unit);
  }

  /** Frees a Root's record and state: nobody may reach them any more. */
  free(word: bigint): void {
    const { memory } = this.#processor;
    const stateBytes = this.#field(word, RECORD.STATE_BYTES);
    if (stateBytes > 0) memory.free(this.#field(word, RECORD.STATE_UNIT) * UNIT_BYTES, stateBytes);
    memory.free(unitOf(word) * UNIT_BYTES, RECORD_BYTES);
  }

  #context(word: bigint): RootContext {
    const { memory, number, processors } = this.#processor;
    return {
      memory,
      processor: number,
      processors,
      stateOffset: this.#field(word, RECORD.STATE_UNIT) * UNIT_BYTES,
      stateBytes: this.#field(word, RECORD.STATE_BYTES),
      rootWord: word,
    };
  }

  #field(word: bigint, field: number): number {
    return this.#processor.memory.i32[(unitOf(word) * UNIT_BYTES) / 4 + field] as number;
  }

  #repsIndex(word: bigint): number {
    return (unitOf(word) * UNIT_BYTES) / 8 + RECORD.REPS / 2;
  }
}

function unitOf(word: bigint): number {
  return Number(BigInt.asUintN(32, word));
}

const instances = new WeakMap<Processor, Records>();

/** Puts a processor's records where Roots find them. */
export function installRecords(processor: Processor, records: Records): void {
  instances.set(processor, records);
}

function records(): Records {
  return instances.get(currentProcessor()) as Records;
}

/** Notes that a Root has a Rep on the current processor. */
export function markRep(word: bigint): void {
  records().markRep(word);
}

/** Processors on which a Root has a Rep. */
export function repSet(word: bigint): number[] {
  return members(records().reps(word));
}

/** The current processor's view of a Root. */
export function viewOf(word: bigint): Root<object> {
  return records().view(word);
}
