/**
 * A processor's share of the object system: its Local Translation Table, its region of COIDs, its misses.
 */
import { currentProcessor, onAttach, type Processor, rcu, whenThreadsElapsed } from '@k42/rcu';
import { MissError, ObjectGoneError, RegionExhaustedError } from '../errors.ts';
import type { Interface } from '../interfaces.ts';
import type { Miss } from '../root.ts';
import { GlobalTranslationTable, liveMembers } from './gtt.ts';
import { REGION_ENTRIES, REGIONS_BYTES, REGIONS_NAME, STATE } from './layout.ts';
import { Names } from './names.ts';
import { installRecords, Records } from './records.ts';
import type { Implementation } from './registry.ts';
import type { Interceptor, Slot } from './slots.ts';

const RETIRE = 'clustered/retire';
const RETIRED = 'clustered/retired';
const FORGET = 'clustered/forget';
const FREED = 'clustered/freed';

type AnySlot = Slot<object>;
type Methods = Record<string, (...args: unknown[]) => unknown>;

/** Answers calls on an untouched slot: handles the miss, then restarts the call on the Rep it yields. */
class DefaultObject implements Interceptor {
  readonly #objects: Objects;
  readonly #slot: AnySlot;

  constructor(objects: Objects, slot: AnySlot) {
    this.#objects = objects;
    this.#slot = slot;
  }

  intercept(method: string, args: unknown[]): unknown {
    const rep = this.#objects.miss(this.#slot) as Methods;
    return (rep[method] as (...args: unknown[]) => unknown)(...args);
  }
}

/** Answers calls on a slot whose object is gone, for good. */
class GoneObject implements Interceptor {
  readonly #coid: number;

  constructor(coid: number) {
    this.#coid = coid;
  }

  intercept(): never {
    throw new ObjectGoneError(this.#coid);
  }
}

export class Objects {
  readonly processor: Processor;
  readonly gtt: GlobalTranslationTable;
  readonly names: Names;
  readonly records: Records;
  /** The Local Translation Table. Dense: an entry without a slot yet is `undefined`. */
  readonly ltt: (AnySlot | undefined)[];
  /** COIDs of this processor's region that are free again, last freed first. */
  readonly #free: number[] = [];
  #neverUsed: number;
  /** Word that keeps how much of the region has been used, beyond this processor's life. */
  readonly #used: number;
  readonly #regionEnd: number;
  /** Destructions under way, by COID: the processors that have not let go yet, and what to do when they have. */
  readonly #retiring = new Map<number, { waitingFor: Set<number>; done: () => void }>();
  readonly #pending = new Set<Promise<unknown>>();
  /** Roots that something on this processor still uses outside any thread, and until when. */
  readonly #kept = new Map<bigint, Promise<void>>();

  constructor(processor: Processor) {
    this.processor = processor;
    this.gtt = new GlobalTranslationTable(processor);
    this.names = new Names(processor);
    this.records = new Records(processor, this.names);
    installRecords(processor, this.records);
    this.ltt = new Array<AnySlot | undefined>(this.gtt.entries).fill(undefined);
    const { memory, number } = processor;
    const used = memory.block(REGIONS_NAME, REGIONS_BYTES) / 4 + number;
    // What an earlier processor of this number has given out may still be in use.
    this.#used = used;
    this.#neverUsed = number * REGION_ENTRIES + Atomics.load(memory.i32, used);
    this.#regionEnd = (number + 1) * REGION_ENTRIES;
    processor.onSystemMessage(RETIRE, (from, payload) =>
      this.#retire(from, payload as { coid: number; sequence: number; word: bigint }),
    );
    processor.onSystemMessage(RETIRED, (from, coid) => this.#retired(coid as number, from));
    processor.onSystemMessage(FORGET, (_from, word) => this.records.forget(word as bigint));
    processor.onSystemMessage(FREED, (_from, coid) => this.#free.push(coid as number));
    processor.onGone((number) => {
      for (const coid of [...this.#retiring.keys()]) this.#retired(coid, number);
    });
    processor.onClose(async () => {
      while (this.#pending.size !== 0) await Promise.allSettled(this.#pending);
    });
  }

  /** Makes an object: Root first, entry last, so that nobody finds a half-made one. */
  create<T extends object, A>(implementation: Implementation<T, A>, argument: A): number {
    this.#assertRoom();
    const word = this.records.create(
      implementation,
      implementation.interface as unknown as Interface<object>,
      argument,
    );
    // Only now is the COID taken: `initialise` may have failed, and may have made objects of its own.
    try {
      this.#assertRoom();
    } catch (error) {
      this.reclaim(word);
      throw error;
    }
    const coid = this.#free.pop() ?? this.#firstUse();
    this.gtt.publish(coid, word, STATE.LIVE);
    return coid;
  }

  /** A COID that has never been used. */
  #firstUse(): number {
    const coid = this.#neverUsed++;
    // Before it is given out: a processor that has this number later finds it used.
    const { number, memory } = this.processor;
    Atomics.store(memory.i32, this.#used, this.#neverUsed - number * REGION_ENTRIES);
    return coid;
  }

  #assertRoom(): void {
    if (this.#free.length === 0 && this.#neverUsed === this.#regionEnd)
      throw new RegionExhaustedError(this.processor.number, REGION_ENTRIES);
  }

  /** The slot of a COID on this processor, made if there is none. @throws ObjectGoneError, NotLoadedError */
  slot(coid: number): AnySlot {
    return this.ltt[coid] ?? this.#makeSlot(coid);
  }

  #makeSlot(coid: number): AnySlot {
    if (!this.gtt.inRange(coid)) throw new ObjectGoneError(coid);
    this.gtt.readLock(coid);
    try {
      if (this.gtt.state(coid) !== STATE.LIVE) throw new ObjectGoneError(coid);
      // From here on a destruction or swap asks this processor too, whether or not the slot is ever called.
      this.gtt.touch(coid);
      const served = this.records.interface(this.gtt.root(coid));
      const slot = new served.Slot(coid, this.gtt.sequence(coid)) as AnySlot;
      this.reset(slot, served);
      this.ltt[coid] = slot;
      return slot;
    } finally {
      this.gtt.readUnlock(coid);
    }
  }

  /** Puts the default object back into a slot: the next call misses. */
  reset(slot: AnySlot, served: Interface<object>): void {
    slot.$rep = new served.Interceptor(new DefaultObject(this, slot));
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
      if (install) slot.$rep = rep;
      return rep;
    } finally {
      gtt.readUnlock(coid);
    }
  }

  #handleMiss(word: bigint, coid: number): { rep: object; install: boolean } {
    const root = this.records.view(word);
    const miss: Miss = { coid, processor: this.processor.number, install: true };
    let rep: object | undefined;
    try {
      rep = root.handleMiss(miss);
    } catch (error) {
      throw new MissError(coid, this.records.implementation(word).name, { cause: error });
    }
    if (typeof rep !== 'object' || rep === null)
      throw new MissError(coid, this.records.implementation(word).name);
    return { rep, install: miss.install };
  }

  /** Settles when the object is reclaimed. See `destroy` in `objects.ts`. */
  destroy(coid: number): Promise<void> {
    const destroyed = this.#destroy(coid);
    this.track(destroyed);
    return destroyed;
  }

  /** Keeps the machine from closing before `work` has settled. */
  track(work: Promise<unknown>): void {
    this.#pending.add(work);
    const done = (): void => void this.#pending.delete(work);
    work.then(done, done);
  }

  async #destroy(coid: number): Promise<void> {
    if (!this.gtt.inRange(coid)) throw new ObjectGoneError(coid);
    const sequence = this.gtt.sequence(coid);
    for (;;) {
      const taken = await this.gtt.writeLocked(coid, () => this.#takeForDestruction(coid, sequence));
      if (!('hold' in taken)) {
        await this.#retireEverywhere(coid, sequence, taken);
        return;
      }
      await taken.hold;
    }
  }

  /** Under the write lock: marks the entry, or says what to wait for first. */
  #takeForDestruction(
    coid: number,
    sequence: number,
  ): { hold: Promise<void> } | { word: bigint; touched: number[] } {
    const { gtt } = this;
    if (gtt.sequence(coid) !== sequence || gtt.state(coid) !== STATE.LIVE) throw new ObjectGoneError(coid);
    // Asked like any other processor from here on: the view made below must not outlive what it shows.
    gtt.touch(coid);
    const word = gtt.root(coid);
    const hold = this.records.view(word).holdDestroy();
    if (hold !== undefined) return { hold };
    gtt.setState(coid, STATE.DESTROYING);
    return { word, touched: liveMembers(gtt.touched(coid)) };
  }

  async #retireEverywhere(
    coid: number,
    sequence: number,
    taken: { word: bigint; touched: number[] },
  ): Promise<void> {
    await new Promise<void>((done) => {
      // Always this processor too: its view of the Root is what reclaims.
      const waitingFor = new Set([...taken.touched, this.processor.number]);
      this.#retiring.set(coid, { waitingFor, done });
      for (const number of waitingFor)
        this.processor.post(number, RETIRE, { coid, sequence, word: taken.word });
      for (const number of waitingFor) if (!this.processor.isLive(number)) this.#retired(coid, number);
    });
    // Only now: a call in flight anywhere may have asked for the share of any Rep.
    for (const number of taken.touched) {
      if (number !== this.processor.number) this.processor.post(number, FORGET, taken.word);
    }
    this.reclaim(taken.word);
    this.gtt.retire(coid, STATE.FREE);
    // One more round before the number is used again: whoever read the entry just before finds the sequence changed.
    await new Promise<void>((resolve) => void rcu.call(resolve));
    const home = Math.floor(coid / REGION_ENTRIES);
    if (home === this.processor.number) this.#free.push(coid);
    else this.processor.post(home, FREED, coid);
  }

  /** Keeps a Root from being reclaimed until a promise has settled, for use that is no thread. */
  keep(word: bigint, until: Promise<unknown>): void {
    const kept = Promise.allSettled([this.#kept.get(word), until]).then(() => {
      if (this.#kept.get(word) === kept) this.#kept.delete(word);
    });
    this.#kept.set(word, kept);
  }

  /** Calls back, between turns, when nothing on this processor can be using these Roots any more. */
  whenUnused(words: readonly bigint[], callback: () => void): void {
    const kept = words.map((word) => this.#kept.get(word)).filter((until) => until !== undefined);
    if (kept.length === 0) whenThreadsElapsed(callback);
    else void Promise.all(kept).then(() => this.whenUnused(words, callback));
  }

  /** Frees a Root nobody can reach any more: its own resources, then its record and state. */
  reclaim(word: bigint): void {
    this.records.view(word).reclaim();
    this.records.forget(word);
    this.records.free(word);
  }

  /** Lets go of a destroyed object on this processor: no later call reaches it, and calls in flight end first. */
  #retire(from: number, { coid, sequence, word }: { coid: number; sequence: number; word: bigint }): void {
    const slot = this.ltt[coid];
    if (slot !== undefined && slot.$sequence === sequence) {
      const served = this.records.interface(word);
      slot.$rep = new served.Interceptor(new GoneObject(coid));
      this.ltt[coid] = undefined;
    }
    const reply = this.processor.replyTo(from);
    this.whenUnused([word], () => reply(RETIRED, coid));
  }

  #retired(coid: number, processor: number): void {
    const retiring = this.#retiring.get(coid);
    if (retiring === undefined || !retiring.waitingFor.delete(processor) || retiring.waitingFor.size !== 0)
      return;
    this.#retiring.delete(coid);
    retiring.done();
  }
}

let current: Objects | undefined;
/** The current processor's Local Translation Table; a module variable because `DREF` reads it on every call. */
export let table: (AnySlot | undefined)[] = [];

onAttach((processor) => {
  current = new Objects(processor);
  table = current.ltt;
});

/** The object system of the current processor. @throws NotAttachedError */
export function objects(): Objects {
  const processor = currentProcessor();
  if (current === undefined || current.processor !== processor)
    throw new Error('@k42/clustered invariant: no object system');
  return current;
}
