/**
 * Root records and the per-processor views made from them.
 *
 * A *Root word* names a record and carries a stamp that no other record of the machine has: a compare-and-swap on it
 * cannot mistake a new Root for an old one whose memory it reuses. (Stamps are made of a count and the creating
 * processor's number, so giving one out touches nothing shared; after 2^26 creations on one processor they repeat.)
 *
 * Record, state and the words that lead to the shares are one block of the creator's arena. A share is made where and when
 * it is first used, from the arena of the processor that does.
 */
import { currentProcessor, InvalidArgumentError, isThenable, type Processor } from '@k42/rcu';
import type { AnyInterface } from '../interfaces.ts';
import type { Root, RootContext } from '../root.ts';
import type { Arena } from './arena.ts';
import {
  LINE_BYTES,
  RECORD,
  RECORD_BYTES,
  REGION,
  REGIONS_BYTES,
  REGIONS_NAME,
  regionAt,
  UNIT_BYTES,
} from './layout.ts';
import type { Names } from './names.ts';
import type { AnyImplementation, Implementation } from './registry.ts';
import { bit, members } from './sets.ts';

const STAMP_PROCESSORS = 64;

/** A record, with the numbers of the names in it. */
export interface RecordView {
  readonly implementation: number;
  readonly interface: number;
  readonly stateBytes: number;
  readonly standsIn: boolean;
  readonly reps: bigint;
}

export interface Departures {
  readonly departed: number;
  readonly inherited: number;
}

export class Records {
  readonly #processor: Processor;
  readonly #names: Names;
  readonly #arena: Arena;
  /** Counts the Reps of this processor. */
  readonly #repsWord: number;
  /** By record unit. A record that was freed and reused has another stamp, and its old view is replaced. */
  readonly #views = new Map<number, Root<object>>();
  /** Word in which this number's creations are counted, whoever has it. */
  readonly #createdWord: number;

  constructor(processor: Processor, names: Names, arena: Arena) {
    this.#processor = processor;
    this.#names = names;
    this.#arena = arena;
    const { memory, number } = processor;
    const region = regionAt(memory.block(REGIONS_NAME, REGIONS_BYTES) / 4, number);
    this.#repsWord = region + REGION.REPS;
    this.#createdWord = region + REGION.CREATED;
  }

  /** Makes the record and state of a new Root, known to nobody yet. @throws what `initialise` throws; nothing is left. */
  create<A>(implementation: Implementation<object, A>, asInterface: AnyInterface, argument: A): bigint {
    const { memory } = this.#processor;
    const stateBytes = checkedBytes(implementation, 'stateBytes', implementation.stateBytes(argument));
    const shareBytes = checkedBytes(implementation, 'shareBytes', implementation.shareBytes(argument));
    const { clusterSize } = implementation;
    const implementationNumber = this.#names.numberOfImplementation(implementation);
    const interfaceNumber = this.#names.numberOfInterface(asInterface);
    const shares = shareBytes === 0 ? 0 : Math.ceil(this.#processor.processors / clusterSize);
    const record = this.#arena.allocate(blockBytes(stateBytes, shares));
    const stamp = this.#nextStamp();
    const at = record / 4;
    // Plain stores: whoever puts the Root word where others find it publishes them with that atomic access.
    memory.i32[at + RECORD.STAMP] = stamp;
    memory.i32[at + RECORD.IMPLEMENTATION] = implementationNumber;
    memory.i32[at + RECORD.INTERFACE] = interfaceNumber;
    memory.i32[at + RECORD.STATE_BYTES] = stateBytes;
    memory.i32[at + RECORD.SHARE_BYTES] = shareBytes;
    memory.i32[at + RECORD.CLUSTER_SIZE] = clusterSize;
    memory.i32[at + RECORD.STANDS_IN] = implementation.standsIn ? 1 : 0;
    const word = BigInt.asIntN(64, (BigInt(stamp >>> 0) << 32n) | BigInt(record / UNIT_BYTES));
    const context = new Context(this.#processor, this.#arena, word);
    const allocated = context.recordAllocations();
    try {
      const initialised: unknown = implementation.initialise(context, argument);
      if (isThenable(initialised))
        throw new InvalidArgumentError(
          `initialise of ${implementation.name} is asynchronous; it must not be.`,
        );
    } catch (error) {
      for (const [offset, bytes] of allocated) this.#arena.free(offset, bytes);
      this.free(word);
      throw error;
    }
    context.forgetAllocations();
    return word;
  }

  #nextStamp(): number {
    const { i32 } = this.#processor.memory;
    // Plain: nobody else writes it, and whoever has the number next comes later.
    const created = ((i32[this.#createdWord] as number) + 1) | 0;
    i32[this.#createdWord] = created;
    return Math.imul(created, STAMP_PROCESSORS) | this.#processor.number;
  }

  /** This processor's view of a Root. The caller keeps the record alive (entry lock, thread, or a swap in progress). */
  view(word: bigint): Root<object> {
    const unit = unitOf(word);
    const known = this.#views.get(unit);
    if (known !== undefined && known.context.rootWord === word) return known;
    const root = new (this.implementation(word).Root)(new Context(this.#processor, this.#arena, word));
    // The record has been freed and given out again before this processor was told to forget the old view.
    if (known !== undefined) this.forget(known.context.rootWord);
    this.#views.set(unit, root);
    return root;
  }

  /** This processor's view of a Root, if it has one. */
  viewIfAny(word: bigint): Root<object> | undefined {
    const known = this.#views.get(unitOf(word));
    return known?.context.rootWord === word ? known : undefined;
  }

  /** The implementation of a Root. @throws NotLoadedError, DefinitionMismatchError */
  implementation(word: bigint): AnyImplementation {
    return this.#names.implementation(this.#field(word, RECORD.IMPLEMENTATION));
  }

  /** The interface a Root serves. @throws NotLoadedError, DefinitionMismatchError */
  interface(word: bigint): AnyInterface {
    return this.#names.interface(this.#field(word, RECORD.INTERFACE));
  }

  /** What a record says, whoever has it by now: a caller that does not keep it has to look whether it was the right one. */
  peek(word: bigint): RecordView {
    return {
      implementation: this.#field(word, RECORD.IMPLEMENTATION),
      interface: this.#field(word, RECORD.INTERFACE),
      stateBytes: this.#field(word, RECORD.STATE_BYTES),
      standsIn: this.#field(word, RECORD.STANDS_IN) === 1,
      reps: this.reps(word),
    };
  }

  /** The name that has a number, whether or not what it names is loaded here. */
  nameOf(number: number): string {
    return this.#names.nameOf(number);
  }

  /** Set of the processors on which a Root has made a Rep. */
  reps(word: bigint): bigint {
    return Atomics.load(this.#processor.memory.i64, this.#repsIndex(word));
  }

  /** Notes that the Root has a Rep on this processor. */
  markRep(word: bigint): void {
    // Read by whoever gathers, on any processor, and by swaps: they ask this processor then.
    Atomics.or(this.#processor.memory.i64, this.#repsIndex(word), bit(this.#processor.number));
    this.#noteRep(word, true);
  }

  /** Notes that it has none here any more. */
  unmarkRep(word: bigint): void {
    Atomics.and(this.#processor.memory.i64, this.#repsIndex(word), ~bit(this.#processor.number));
    this.#noteRep(word, false);
  }

  /** Whether a processor may have a Rep. A look at a record that may be somebody else's by now. */
  mayHaveRep(word: bigint, number: number): boolean {
    const at = this.#repsIndex(word) * 2 + (number >>> 5);
    return ((this.#processor.memory.i32[at] as number) & (1 << (number & 31))) !== 0;
  }

  /** Notes that a processor that is gone has no Rep any more. */
  forgetRep(word: bigint, number: number): void {
    Atomics.and(this.#processor.memory.i64, this.#repsIndex(word), ~bit(number));
  }

  #noteRep(word: bigint, hasRep: boolean): void {
    const view = this.viewIfAny(word);
    if (view === undefined || view.repNoted === hasRep) return;
    view.repNoted = hasRep;
    this.#countReps(hasRep ? 1 : -1);
  }

  /** How many Reps have departed with something to hand over, and of how many the host has it. */
  departures(word: bigint): Departures {
    const { i32 } = this.#processor.memory;
    const at = recordOf(word) / 4;
    const inherited = Atomics.load(i32, at + RECORD.INHERITED);
    return { departed: Atomics.load(i32, at + RECORD.DEPARTED), inherited };
  }

  /** Notes that what this processor's Rep had is about to be handed over: pairs with the looks of a gather. */
  markDeparted(word: bigint): void {
    Atomics.add(this.#processor.memory.i32, recordOf(word) / 4 + RECORD.DEPARTED, 1);
  }

  /** Notes that the host has it. */
  markInherited(word: bigint): void {
    Atomics.add(this.#processor.memory.i32, recordOf(word) / 4 + RECORD.INHERITED, 1);
  }

  /** Forgets this processor's view of a Root, and its Rep with it. */
  forget(word: bigint): void {
    const known = this.viewIfAny(word);
    if (known === undefined) return;
    this.#views.delete(unitOf(word));
    if (known.repNoted) this.#countReps(-1);
  }

  /** Frees a Root's record, state and shares: nobody may reach them any more. */
  free(word: bigint): void {
    const shareBytes = this.#field(word, RECORD.SHARE_BYTES);
    const context = new Context(this.#processor, this.#arena, word);
    const offsets = context.shareOffsets();
    for (const offset of offsets) this.#arena.free(offset, shareBytes);
    this.#arena.free(recordOf(word), blockBytes(context.stateBytes, context.shares));
  }

  #countReps(by: number): void {
    // Written by this processor only; read, for the sum of all, by others.
    Atomics.add(this.#processor.memory.i32, this.#repsWord, by);
  }

  #field(word: bigint, field: number): number {
    return this.#processor.memory.i32[recordOf(word) / 4 + field] as number;
  }

  #repsIndex(word: bigint): number {
    return recordOf(word) / 8 + RECORD.REPS / 2;
  }
}

/** A Root's machine memory as one processor sees it. */
class Context implements RootContext {
  readonly memory: Processor['memory'];
  readonly processor: number;
  readonly processors: number;
  readonly stateOffset: number;
  readonly stateBytes: number;
  readonly shareBytes: number;
  readonly clusterSize: number;
  readonly rootWord: bigint;
  readonly #arena: Arena;
  #shareOffset = 0;
  /** Blocks by offset, where somebody wants to know. */
  #allocated: Map<number, number> | undefined;

  constructor({ memory, number, processors }: Processor, arena: Arena, word: bigint) {
    const record = recordOf(word);
    this.memory = memory;
    this.processor = number;
    this.processors = processors;
    this.rootWord = word;
    this.#arena = arena;
    this.stateBytes = memory.i32[record / 4 + RECORD.STATE_BYTES] as number;
    this.stateOffset = this.stateBytes === 0 ? 0 : record + RECORD_BYTES;
    this.shareBytes = memory.i32[record / 4 + RECORD.SHARE_BYTES] as number;
    this.clusterSize = memory.i32[record / 4 + RECORD.CLUSTER_SIZE] as number;
  }

  /** How many shares there may be. */
  get shares(): number {
    return this.shareBytes === 0 ? 0 : Math.ceil(this.processors / this.clusterSize);
  }

  get shareOffset(): number {
    if (this.#shareOffset === 0 && this.shareBytes !== 0)
      this.#shareOffset = this.#share(Math.floor(this.processor / this.clusterSize));
    return this.#shareOffset;
  }

  shareOffsetOf(share: number): number {
    if (this.shareBytes === 0) return 0;
    if (!Number.isInteger(share) || share < 0 || share >= this.shares)
      throw new InvalidArgumentError(`There are shares 0 to ${this.shares - 1}, and none ${share}.`);
    return this.#share(share);
  }

  /** Finds a share, or makes it. */
  #share(share: number): number {
    const { i32 } = this.memory;
    const at = this.#shareWord(share);
    const found = Atomics.load(i32, at);
    if (found !== 0) return found * UNIT_BYTES;
    const made = this.#arena.allocate(this.shareBytes);
    // Publishes zeroed bytes: pairs with the loads. Another processor may have been faster.
    const before = Atomics.compareExchange(i32, at, 0, made / UNIT_BYTES);
    if (before === 0) return made;
    this.#arena.free(made, this.shareBytes);
    return before * UNIT_BYTES;
  }

  shareOffsets(): number[] {
    return this.allShares().map(({ offset }) => offset);
  }

  allShares(): { share: number; offset: number }[] {
    const found: { share: number; offset: number }[] = [];
    for (let share = 0; share < this.shares; share++) {
      const unit = Atomics.load(this.memory.i32, this.#shareWord(share));
      if (unit !== 0) found.push({ share, offset: unit * UNIT_BYTES });
    }
    return found;
  }

  /** From now on notes what is allocated and not freed. */
  recordAllocations(): ReadonlyMap<number, number> {
    this.#allocated = new Map();
    return this.#allocated;
  }

  forgetAllocations(): void {
    this.#allocated = undefined;
  }

  allocate(bytes: number): number {
    if (!Number.isInteger(bytes) || bytes <= 0)
      throw new InvalidArgumentError(`A block has a positive size, not ${bytes}.`);
    const offset = this.#arena.allocate(bytes);
    this.#allocated?.set(offset, bytes);
    return offset;
  }

  free(offset: number, bytes: number): void {
    if (!this.#arena.couldFree(offset, bytes))
      throw new InvalidArgumentError(`Nobody has been given a block of ${bytes} bytes at ${offset}.`);
    this.#arena.free(offset, bytes);
    this.#allocated?.delete(offset);
  }

  #shareWord(index: number): number {
    return (recordOf(this.rootWord) + RECORD_BYTES + wholeLines(this.stateBytes)) / 4 + index;
  }
}

function checkedBytes({ name }: AnyImplementation, field: string, bytes: number): number {
  if (!Number.isInteger(bytes) || bytes < 0 || bytes > 2 ** 30)
    throw new InvalidArgumentError(
      `${field} of ${name} must be a whole number of bytes to 2^30, not ${bytes}.`,
    );
  return bytes;
}

function wholeLines(bytes: number): number {
  return Math.ceil(bytes / LINE_BYTES) * LINE_BYTES;
}

function blockBytes(stateBytes: number, shares: number): number {
  return RECORD_BYTES + wholeLines(stateBytes) + shares * 4;
}

function unitOf(word: bigint): number {
  return Number(BigInt.asUintN(32, word));
}

/** Byte offset of the record a Root word names. */
function recordOf(word: bigint): number {
  return unitOf(word) * UNIT_BYTES;
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

/** Notes that a Root has no Rep on the current processor any more. */
export function unmarkRep(word: bigint): void {
  records().unmarkRep(word);
}

/** Processors on which a Root has a Rep. */
export function repSet(word: bigint): number[] {
  return members(records().reps(word));
}

/** Reps of a Root that have departed, and those of which the host has what they had. */
export function departuresOf(word: bigint): Departures {
  return records().departures(word);
}

/** The current processor's view of a Root, if it has one. */
export function viewIfAny(word: bigint): Root<object> | undefined {
  return records().viewIfAny(word);
}
