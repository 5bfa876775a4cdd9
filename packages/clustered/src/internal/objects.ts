/**
 * A processor's share of the object system: its Local Translation Table, its region of COIDs, its misses.
 */
import { isThenable, NotAttachedError, type Processor, runGuarded, whenThreadsElapsed } from '@k42/rcu';
import { MissError, ObjectGoneError, RegionExhaustedError } from '../errors.ts';
import type { AnyInterface } from '../interfaces.ts';
import type { Miss, Root } from '../root.ts';
import { Arena } from './arena.ts';
import { GlobalTranslationTable } from './gtt.ts';
import { Inheriting } from './inheriting.ts';
import {
  LINE_BYTES,
  REGION,
  REGION_CAPACITY,
  REGIONS_BYTES,
  REGIONS_CAPACITY,
  REGIONS_NAME,
  regionAt,
  STATE,
} from './layout.ts';
import { LocalTranslationTable } from './ltt.ts';
import { Members } from './members.ts';
import { Names } from './names.ts';
import { installRecords, Records } from './records.ts';
import type { Implementation } from './registry.ts';
import { type AnySlot, callMethod, type Interceptor, installedRep } from './slots.ts';

/** Answers calls that cannot be made: a method that gives promises gives one that is rejected. */
function refuse(served: AnyInterface, method: string, error: unknown): Promise<never> {
  if (served.methods[method]?.kind === 'async') return Promise.reject(error);
  throw error;
}

/** Answers calls on an untouched slot: handles the miss, then restarts the call on the Rep it yields. */
class DefaultObject implements Interceptor {
  readonly #objects: Objects;
  readonly #slot: AnySlot;

  constructor(objects: Objects, slot: AnySlot) {
    this.#objects = objects;
    this.#slot = slot;
  }

  intercept(method: string, args: unknown[]): unknown {
    let rep: object;
    try {
      rep = this.#objects.miss(this.#slot);
    } catch (error) {
      return refuse(this.#slot.$served, method, error);
    }
    return callMethod(rep, method, args);
  }
}

/** Answers calls on a slot that leads to no object any more, for good: with the error that says why. */
class DeadEnd implements Interceptor {
  readonly #served: AnyInterface;
  readonly #error: () => Error;

  constructor(served: AnyInterface, error: () => Error) {
    this.#served = served;
    this.#error = error;
  }

  intercept(method: string): unknown {
    return refuse(this.#served, method, this.#error());
  }
}

export class Objects {
  readonly processor: Processor;
  readonly gtt: GlobalTranslationTable;
  readonly ltt: LocalTranslationTable;
  readonly records: Records;
  readonly members: Members;
  readonly inheriting: Inheriting;
  /** First word of the regions' block. */
  readonly regions: number;
  /** First word of this processor's lines there. */
  readonly #region: number;
  readonly #words: Int32Array;
  /** COIDs of this processor's region that are free again, last freed first. */
  readonly #free: number[] = [];
  /** COIDs of the region that have ever been given out. */
  #used: number;
  /** How much has to be finished before the machine closes, and whom to tell. */
  #unfinished = 0;
  #whenFinished: (() => void) | undefined;
  /** Roots that something on this processor still uses outside any thread, and until when. */
  readonly #kept = new Map<bigint, Promise<void>>();
  readonly #proving: boolean;

  constructor(processor: Processor) {
    const { memory, number } = processor;
    this.processor = processor;
    this.#words = memory.i32;
    this.#proving = memory.proving;
    this.regions = memory.block(REGIONS_NAME, REGIONS_BYTES) / 4;
    this.#region = regionAt(this.regions, number);
    this.members = new Members(processor);
    this.inheriting = new Inheriting(processor);
    this.gtt = new GlobalTranslationTable(processor);
    this.ltt = new LocalTranslationTable();
    this.records = new Records(processor, new Names(processor), new Arena(processor));
    installRecords(processor, this.records);
    this.#used = Atomics.load(this.#words, this.#region + REGION.USED);
    if (processor.incarnation !== 1) this.#forgetPredecessor();
    this.#collectFree();
    this.members.join();
    processor.onClose(async () => {
      while (this.#unfinished !== 0)
        await new Promise<void>((resolve) => {
          this.#whenFinished = resolve;
        });
    });
    // Nobody asks this thread any more before an object is reclaimed: handles that it keeps must not reach one.
    processor.onClosed(() => {
      for (const slot of this.ltt.slots()) this.#end(slot, () => new NotAttachedError());
      this.ltt.clear();
    });
  }

  // Creation

  /** COIDs that a region may give out. */
  get capacity(): number {
    const configured = Atomics.load(this.#words, this.regions + REGIONS_CAPACITY);
    return configured === 0 ? REGION_CAPACITY : configured;
  }

  set capacity(capacity: number) {
    Atomics.store(this.#words, this.regions + REGIONS_CAPACITY, capacity);
  }

  /** Makes an object: Root first, entry last, so that nobody finds a half-made one. */
  create<A>(implementation: Implementation<object, A>, argument: A): number {
    this.#assertRoom();
    const word = this.records.create(implementation, implementation.interface, argument);
    try {
      // Only now is the COID taken: `initialise` may have failed, and may have made objects of its own.
      const coid = this.#take();
      this.gtt.publish(coid, word, STATE.LIVE);
      return coid;
    } catch (error) {
      this.reclaim(word);
      throw error;
    }
  }

  /** A free COID, the one freed last if there is one. @throws RegionExhaustedError, OutOfMachineMemoryError */
  #take(): number {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    this.#assertRoom();
    // The first entry is nobody's.
    const coid = this.#coidAt(this.#used + 1);
    this.gtt.addPage(coid);
    this.#used++;
    // Before it is given out: a processor that has this number later finds it used.
    Atomics.store(this.#words, this.#region + REGION.USED, this.#used);
    return coid;
  }

  #coidAt(index: number): number {
    return this.gtt.format.coid(this.processor.number, index);
  }

  #assertRoom(): void {
    if (this.#free.length !== 0 || this.#used < this.capacity) return;
    throw new RegionExhaustedError(this.processor.number, this.capacity);
  }

  /** A COID of this region that may be given out again; ignored if it has been told before. */
  giveBack(coid: number): void {
    if (this.gtt.state(coid) !== STATE.FREED) return;
    // Once around: the number has had all the lives that can be told apart, and is given up.
    if (this.gtt.sequence(coid) === 0) return;
    this.gtt.setState(coid, STATE.FREE);
    this.#free.push(coid);
  }

  /** Slots and Reps of an earlier processor of this number went with it. */
  #forgetPredecessor(): void {
    const { gtt, records, processor } = this;
    const { number } = processor;
    Atomics.store(this.#words, this.#region + REGION.REPS, 0);
    for (const coid of this.coids()) {
      if (!gtt.isTouchedBy(coid, number)) continue;
      gtt.forgetTouch(coid, number);
      if (!records.mayHaveRep(gtt.root(coid), number)) continue;
      // The lock keeps the record; beyond LIVE nobody asks for Reps any more.
      gtt.readLock(coid);
      if (gtt.state(coid) === STATE.LIVE) records.forgetRep(gtt.root(coid), number);
      gtt.readUnlock(coid);
    }
  }

  /** Finds the free COIDs of an earlier processor of this number. */
  #collectFree(): void {
    for (let index = this.#used; index > 0; index--) {
      const coid = this.#coidAt(index);
      this.giveBack(coid);
      if (this.gtt.state(coid) === STATE.FREE && this.#free.at(-1) !== coid) this.#free.push(coid);
    }
  }

  /** COIDs that have ever been given out, of all regions: most of them in use, if not all. */
  *coids(): Iterable<number> {
    for (let region = 0; region < this.processor.processors; region++) {
      // Pairs with the store in #take(): their pages are there.
      const used = Atomics.load(this.#words, regionAt(this.regions, region) + REGION.USED);
      for (let index = 1; index <= used; index++) yield this.gtt.format.coid(region, index);
    }
  }

  /** What all processors together have in use, and have reserved. A moment's figures. */
  usage(): { reps: number; bytes: number; reservedBytes: number } {
    let [reps, lines, reservedLines] = [0, 0, 0];
    for (let region = 0; region < this.processor.processors; region++) {
      const at = regionAt(this.regions, region);
      if (this.members.has(region)) reps += Atomics.load(this.#words, at + REGION.REPS);
      lines += Atomics.load(this.#words, at + REGION.ARENA_LINES);
      reservedLines += Atomics.load(this.#words, at + REGION.RESERVED_LINES);
    }
    return { reps, bytes: lines * LINE_BYTES, reservedBytes: reservedLines * LINE_BYTES };
  }

  /** Sequence number of the object that has a COID now. @throws ObjectGoneError if none has it */
  sequenceOf(coid: number): number {
    if (!this.gtt.has(coid)) throw new ObjectGoneError(coid);
    // In this order: an object that lives then has this number or a later one, and is told apart by it.
    const sequence = this.gtt.sequence(coid);
    if (this.gtt.state(coid) !== STATE.LIVE) throw new ObjectGoneError(coid);
    return sequence;
  }

  // Slots and misses

  /** The slot of a COID on this processor, made if there is none. @throws ObjectGoneError, NotLoadedError */
  slot(coid: number): AnySlot {
    return this.ltt.get(coid) ?? this.#makeSlot(coid);
  }

  #makeSlot(coid: number): AnySlot {
    if (!this.gtt.has(coid)) throw new ObjectGoneError(coid);
    this.gtt.readLock(coid);
    try {
      if (this.gtt.state(coid) !== STATE.LIVE) throw new ObjectGoneError(coid);
      const served = this.records.interface(this.gtt.root(coid));
      // From here on a destruction or swap asks this processor too, whether or not the slot is ever called.
      this.gtt.touch(coid);
      const SlotOf = this.#proving ? served.ProvingSlot : served.Slot;
      const slot = new SlotOf(coid, this.gtt.sequence(coid));
      this.ltt.set(coid, slot);
      this.reset(slot);
      return slot;
    } finally {
      this.gtt.readUnlock(coid);
    }
  }

  /** Puts a Rep into a slot. Where the machine proves, `DREF` has to ask the slot for a guarded one each time. */
  #install(slot: AnySlot, rep: object): void {
    slot.$install(rep);
    if (!this.#proving) this.ltt.setRep(slot, rep);
  }

  /** Puts the default object back into a slot: the next call misses. */
  reset(slot: AnySlot): void {
    this.#install(slot, new slot.$served.Interceptor(new DefaultObject(this, slot)));
  }

  /** Takes a slot out of the table for good: every call through it finds the object gone. */
  retire(slot: AnySlot): void {
    this.#end(slot, () => new ObjectGoneError(slot.$coid));
    this.ltt.remove(slot);
  }

  #end(slot: AnySlot, error: () => Error): void {
    this.#install(slot, new slot.$served.Interceptor(new DeadEnd(slot.$served, error)));
  }

  /** The Rep of a COID on this processor, made if there is none. @throws ObjectGoneError, NotLoadedError, MissError */
  rep(coid: number): object {
    const slot = this.slot(coid);
    const rep = installedRep(slot);
    return rep instanceof slot.$served.Interceptor ? this.miss(slot) : rep;
  }

  /** Handles a miss: gives the Rep to run the call on, installed unless the Root said otherwise. */
  miss(slot: AnySlot): object {
    const coid = slot.$coid;
    const { gtt } = this;
    gtt.readLock(coid);
    try {
      // Retired slots have no default object: this only holds where a retirement is still on its way.
      if (gtt.sequence(coid) !== slot.$sequence || gtt.state(coid) !== STATE.LIVE)
        throw new ObjectGoneError(coid);
      const word = gtt.root(coid);
      const { rep, install } = this.#handleMiss(word, coid);
      if (install) this.#install(slot, rep);
      return rep;
    } finally {
      gtt.readUnlock(coid);
    }
  }

  #handleMiss(word: bigint, coid: number): { rep: object; install: boolean } {
    // Lacking here is said as it is.
    const { name } = this.records.implementation(word);
    const miss: Miss = { coid, processor: this.processor.number, install: true };
    let rep: object | undefined;
    try {
      rep = this.records.view(word).handleMiss(miss);
    } catch (error) {
      throw new MissError(coid, name, { cause: error });
    }
    if (typeof rep !== 'object' || rep === null || isThenable(rep)) throw new MissError(coid, name);
    return { rep, install: miss.install };
  }

  /** Calls a method of the object as it is now on this processor. @throws ObjectGoneError if that object is gone */
  redispatch(coid: number, sequence: number, method: string, args: unknown[]): unknown {
    const slot = this.slot(coid);
    if (slot.$sequence !== sequence) throw new ObjectGoneError(coid);
    return callMethod(installedRep(slot), method, args);
  }

  // Use outside threads

  /** Keeps the machine from closing before as many ends. */
  workBegins(): void {
    this.#unfinished++;
  }

  workEnds(): void {
    if (--this.#unfinished !== 0) return;
    this.#whenFinished?.();
    this.#whenFinished = undefined;
  }

  /** Keeps a Root from being reclaimed until a promise has settled, for use that is no thread. */
  keep(word: bigint, until: Promise<unknown>): void {
    const kept = Promise.allSettled([this.#kept.get(word), until]).then(() => {
      if (this.#kept.get(word) === kept) this.#kept.delete(word);
    });
    this.#kept.set(word, kept);
  }

  /** Whether something on this processor uses a Root outside any thread. */
  isKept(word: bigint): boolean {
    return this.#kept.has(word);
  }

  /** Calls back, between turns, when nothing on this processor can be using these Roots any more. */
  whenUnused(words: readonly bigint[], callback: () => void): void {
    const kept = words.map((word) => this.#kept.get(word)).filter((until) => until !== undefined);
    if (kept.length === 0) whenThreadsElapsed(callback);
    else void Promise.all(kept).then(() => this.whenUnused(words, callback));
  }

  /** Frees a Root nobody can reach any more: its own resources, then its record and state. */
  reclaim(word: bigint): void {
    this.cleanUp(word);
    const root = this.#viewToReclaim(word);
    if (root !== undefined) runGuarded(() => root.reclaim());
    this.discard(word);
  }

  /** A view that cannot be made has been seen to fail before: what its Root would have freed is lost. */
  #viewToReclaim(word: bigint): Root<object> | undefined {
    try {
      return this.records.view(word);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      process.emitWarning(`An object's Root cannot be made to free what it has: ${message}`, 'K42Warning');
      return undefined;
    }
  }

  /** Has this processor's view of a Root that nobody uses any more, if there is one, free what it holds here. */
  cleanUp(word: bigint): void {
    const root = this.records.viewIfAny(word);
    if (root !== undefined) runGuarded(() => root.cleanUp());
  }

  /** Frees the record and state of a Root nobody can reach any more, and nothing that it owns. */
  discard(word: bigint): void {
    this.records.forget(word);
    this.records.free(word);
  }
}
