/**
 * Destruction, deferred until nobody can be using the object.
 *
 *     mark      write-lock the entry, DESTROYING: no miss finds the object any more
 *     retire    every processor that has a slot replaces its Rep by one that throws, and answers when all threads that were
 *               live then have ended, and all waiting calls and iterators on the object
 *     clean up  if the Root wants it, every such processor frees what it holds in its own heap
 *     reclaim   RECLAIMING: the Root frees what it owns; RETIRED, with the next sequence number: record and state are freed
 *     free      after one more grace period FREED: whoever read the entry just before has seen the number change; the
 *               region may give the COID out again
 *
 * What is asked for in one turn is done as one batch: one message to each processor concerned, one grace period. What runs
 * user code runs in a turn of its own, since the answers that lead to it may be received at a stop point.
 *
 * From DESTROYING on the entry says who destroys. If that processor dies, the host goes on with its destructions
 * (`orphans.ts`) where it finds them: until RECLAIMING everything can be done again.
 */
import { type Processor, rcu, runGuarded } from '@k42/rcu';
import { DefinitionMismatchError, DestroyDeadlineError, NotLoadedError, ObjectGoneError } from '../errors.ts';
import { Root } from '../root.ts';
import { Batch } from './batch.ts';
import { REGION_LOG2, STATE } from './layout.ts';
import type { Objects } from './objects.ts';
import { type Named, Round } from './round.ts';
import { liveMembers } from './sets.ts';

const RETIRE = 'clustered/retire';
const CLEAN_UP = 'clustered/clean-up';
const FORGET = 'clustered/forget';
const FREED = 'clustered/freed';

/** A destruction that somebody has asked for. */
interface Request {
  readonly coid: number;
  readonly sequence: number;
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
}

/** A destruction under way, on the processor that destroys. */
interface Doomed extends Named, Request {
  /** The processors that had a slot when it was marked. */
  readonly touched: readonly number[];
}

export class Destruction {
  readonly #objects: Objects;
  readonly #processor: Processor;
  readonly #requested: Batch<Request> = new Batch((requests) => this.#markAll(requests));
  readonly #retireRound: Round<Doomed>;
  /** Let go of by all processors. */
  readonly #unreachable: Batch<Doomed> = new Batch((doomed) => this.#cleanUpAll(doomed));
  readonly #cleanUpRound: Round<Doomed>;
  readonly #cleanedUp: Batch<Doomed> = new Batch((doomed) => this.#reclaimAll(doomed));

  constructor(own: Objects) {
    this.#objects = own;
    const { processor } = own;
    this.#processor = processor;
    this.#retireRound = new Round(processor, RETIRE, (items, _from, answer) =>
      this.#retireHere(items, answer),
    );
    this.#cleanUpRound = new Round(processor, CLEAN_UP, (items, from, answer) =>
      this.#cleanUpHere(items, from, answer),
    );
    processor.onSystemMessage(FORGET, (_from, words) => {
      for (const word of words as bigint[]) own.records.forget(word);
    });
    processor.onSystemMessage(FREED, (_from, coids) => {
      for (const coid of coids as number[]) own.giveBack(coid);
    });
  }

  /** Settles when the object is reclaimed and its COID free. */
  destroy(coid: number): Promise<void> {
    const { gtt } = this.#objects;
    if (!gtt.has(coid)) return Promise.reject(new ObjectGoneError(coid));
    const sequence = gtt.sequence(coid);
    return this.#tracked((done, failed) => this.#requested.add({ coid, sequence, done, failed }));
  }

  /** What a destruction waits for at the moment, as an error. */
  late(coid: number, deadlineMs: number): DestroyDeadlineError {
    const retiring = this.#retireRound.waitingFor(coid);
    const processors = retiring.length === 0 ? this.#cleanUpRound.waitingFor(coid) : retiring;
    return new DestroyDeadlineError(coid, processors, deadlineMs);
  }

  /** Goes on with the destruction of an object, from the step that its state names. For one whose destroyer has died. */
  resume(coid: number): void {
    const { gtt } = this.#objects;
    const state = gtt.state(coid);
    const { number } = this.#processor;
    const named: Named = { coid, sequence: gtt.sequence(coid), word: gtt.root(coid) };
    void this.#tracked((done, failed) => {
      const touched = [...new Set([...liveMembers(gtt.touched(coid)), number])];
      const doomed: Doomed = { ...named, touched, done, failed };
      // Mine now: if the host dies as well, the machine is over.
      gtt.setState(coid, state, number);
      if (state === STATE.DESTROYING) this.#retireAll([doomed]);
      else if (state === STATE.RECLAIMING) this.#freeAll([doomed]);
      else this.#returnAll([doomed]);
    });
  }

  /** A promise that the machine does not close before. */
  #tracked(begin: (done: () => void, failed: (error: unknown) => void) => void): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#objects.track(promise);
    begin(resolve, reject);
    return promise;
  }

  // Mark

  #markAll(requests: readonly Request[]): void {
    const marked: Doomed[] = [];
    for (const request of requests) {
      try {
        const isFree = this.#objects.gtt.tryWriteLocked(request.coid, () => this.#mark(request, marked));
        if (!isFree) void this.#markLater(request);
      } catch (error) {
        request.failed(error);
      }
    }
    this.#retireAll(marked);
  }

  /** Misses are in progress on the object, or its Root holds it: this one waits for that, alone. */
  async #markLater(request: Request): Promise<void> {
    const marked: Doomed[] = [];
    try {
      await this.#objects.gtt.writeLocked(request.coid, () => this.#mark(request, marked));
    } catch (error) {
      request.failed(error);
    }
    this.#retireAll(marked);
  }

  /** Under the write lock: marks the entry, or waits for the Root to let go. */
  #mark(request: Request, marked: Doomed[]): void {
    const { coid, sequence } = request;
    const { gtt, records } = this.#objects;
    if (gtt.sequence(coid) !== sequence || gtt.state(coid) !== STATE.LIVE) throw new ObjectGoneError(coid);
    const word = gtt.root(coid);
    const root = records.view(word);
    // Asked like any other processor from here on: the view must not outlive what it shows.
    gtt.touch(coid);
    const hold = root.holdDestroy();
    if (hold !== undefined) {
      const again = (): void => void this.#markLater(request);
      hold.then(again, again);
      return;
    }
    gtt.setState(coid, STATE.DESTROYING, this.#processor.number);
    marked.push({ ...request, word, touched: liveMembers(gtt.touched(coid)) });
  }

  // Retire

  #retireAll(doomed: readonly Doomed[]): void {
    this.#retireRound.ask(
      doomed,
      ({ touched }) => touched,
      (each) => this.#unreachable.add(each),
    );
  }

  /** Lets go of destroyed objects on this processor: no later call reaches them, and calls in flight end first. */
  #retireHere(items: readonly Named[], answer: (coids: readonly number[]) => void): void {
    const own = this.#objects;
    const together: number[] = [];
    for (const { coid, sequence, word } of items) {
      const slot = own.ltt.get(coid);
      const mine = slot?.$sequence === sequence ? slot : undefined;
      if (mine !== undefined) own.retire(mine, own.records.interface(word));
      const open = mine?.$open;
      if (open === undefined && !own.isKept(word)) {
        together.push(coid);
        continue;
      }
      const unused = (): void => own.whenUnused([word], () => answer([coid]));
      if (open === undefined) unused();
      else open.whenNone(unused);
    }
    if (together.length !== 0) own.whenUnused([], () => answer(together));
  }

  // Clean up

  #cleanUpAll(doomed: readonly Doomed[]): void {
    const wanting = doomed.filter(({ word }) => this.#wantsCleanUp(word));
    this.#cleanUpRound.ask(
      wanting,
      ({ touched }) => touched.filter((number) => this.#processor.isLive(number)),
      (each) => this.#cleanedUp.add(each),
    );
    this.#reclaimAll(doomed.filter(({ word }) => !this.#wantsCleanUp(word)));
  }

  #wantsCleanUp(word: bigint): boolean {
    const root = this.#viewIfLoaded(word);
    return root !== undefined && root.cleanUp !== Root.prototype.cleanUp;
  }

  /** The host goes on with destructions of objects that it may know nothing about. */
  #viewIfLoaded(word: bigint): Root<object> | undefined {
    try {
      return this.#objects.records.view(word);
    } catch (error) {
      if (error instanceof NotLoadedError || error instanceof DefinitionMismatchError) return undefined;
      throw error;
    }
  }

  #cleanUpHere(items: readonly Named[], from: number, answer: (coids: readonly number[]) => void): void {
    const { records } = this.#objects;
    const cleanUp = (): void => {
      for (const { word } of items) {
        const root = records.viewIfAny(word);
        if (root !== undefined) runGuarded(() => root.cleanUp());
        // Whoever destroys needs its view once more.
        if (from !== this.#processor.number) records.forget(word);
      }
      answer(items.map(({ coid }) => coid));
    };
    if (from === this.#processor.number) cleanUp();
    else setImmediate(cleanUp);
  }

  // Reclaim

  #reclaimAll(doomed: readonly Doomed[]): void {
    const { gtt } = this.#objects;
    this.#forgetElsewhere(doomed);
    for (const { coid, word } of doomed) {
      // What the Root has freed when this processor dies nobody knows: then it is not freed again.
      gtt.setState(coid, STATE.RECLAIMING, this.#processor.number);
      const root = this.#viewIfLoaded(word);
      if (root !== undefined) runGuarded(() => root.reclaim());
      else this.#warnOfLoss(coid, word);
    }
    this.#freeAll(doomed);
  }

  #warnOfLoss(coid: number, word: bigint): void {
    const { records, processor } = this.#objects;
    const name = records.nameOf(records.peek(word).implementation);
    process.emitWarning(
      `What object ${coid} owned is lost: its destroyer died, and ${name} is not loaded on processor ${processor.number}.`,
      'K42Warning',
    );
  }

  /** The views of other processors show what is about to be freed. Nobody uses them any more. */
  #forgetElsewhere(doomed: readonly Doomed[]): void {
    const words = new Map<number, bigint[]>();
    for (const { word, touched } of doomed)
      for (const number of touched) {
        const known = words.get(number);
        if (known === undefined) words.set(number, [word]);
        else known.push(word);
      }
    for (const [number, theirs] of words)
      if (number !== this.#processor.number) this.#processor.post(number, FORGET, theirs);
  }

  #freeAll(doomed: readonly Doomed[]): void {
    const { gtt } = this.#objects;
    for (const { coid, word } of doomed) {
      // First: if this processor dies in between, the record is lost and not freed twice.
      gtt.retire(coid, STATE.RETIRED);
      this.#objects.discard(word);
    }
    this.#returnAll(doomed);
  }

  // Free

  #returnAll(doomed: readonly Doomed[]): void {
    if (doomed.length === 0) return;
    try {
      rcu.call(() => {
        this.#giveBack(doomed.map(({ coid }) => coid));
        for (const { done } of doomed) done();
      });
    } catch (error) {
      for (const { failed } of doomed) failed(error);
    }
  }

  #giveBack(coids: readonly number[]): void {
    const { gtt } = this.#objects;
    const byHome = new Map<number, number[]>();
    for (const coid of coids) {
      // Pairs with the look of the region's next owner, if the present one dies before it has heard of it.
      gtt.setState(coid, STATE.FREED);
      const home = coid >>> REGION_LOG2;
      if (home === this.#processor.number) {
        this.#objects.giveBack(coid);
        continue;
      }
      const known = byHome.get(home);
      if (known === undefined) byHome.set(home, [coid]);
      else known.push(coid);
    }
    for (const [home, theirs] of byHome) this.#processor.post(home, FREED, theirs);
  }
}
