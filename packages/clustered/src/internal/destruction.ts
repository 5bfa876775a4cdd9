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
import { DestroyDeadlineError, ObjectGoneError } from '../errors.ts';
import { Root } from '../root.ts';
import { Batch } from './batch.ts';
import { STATE } from './layout.ts';
import type { Objects } from './objects.ts';
import { addTo, type Named, Round } from './round.ts';

const RETIRE = 'clustered/retire';
const CLEAN_UP = 'clustered/clean-up';
const FORGET = 'clustered/forget';
const FREED = 'clustered/freed';

/** A destruction, on the processor that destroys. */
class Doomed implements Named {
  readonly coid: number;
  readonly sequence: number;
  /** The Root it had when it was marked, and this processor's view of it, if the implementation is loaded here. */
  word = 0n;
  root: Root<object> | undefined;
  /** The processors that had a slot when it was marked. */
  touched: readonly number[] = [];
  /** Called in the end: with nothing when the COID is free, or with what went wrong. */
  readonly over: (error?: unknown) => void;

  constructor(coid: number, sequence: number, over: (error?: unknown) => void) {
    this.coid = coid;
    this.sequence = sequence;
    this.over = over;
  }
}

export class Destruction {
  readonly #objects: Objects;
  readonly #processor: Processor;
  readonly #requested: Batch<Doomed> = new Batch((requested) => this.#markAll(requested));
  /** Of a dead destroyer. */
  readonly #resumed: Batch<Doomed> = new Batch((resumed) => this.#resumeAll(resumed));
  readonly #retireRound: Round<Doomed>;
  /** Let go of by all processors. */
  readonly #unreachable: Batch<Doomed> = new Batch((doomed) => this.#cleanUpAll(doomed));
  readonly #cleanUpRound: Round<Doomed>;
  readonly #cleanedUp: Batch<Doomed> = new Batch((doomed) => this.#reclaimAll(doomed));

  constructor(own: Objects) {
    this.#objects = own;
    const { processor } = own;
    this.#processor = processor;
    this.#retireRound = new Round(processor, own.members, RETIRE, (items, _from, answer) =>
      this.#retireHere(items, answer),
    );
    this.#cleanUpRound = new Round(processor, own.members, CLEAN_UP, (items, from, answer) =>
      this.#cleanUpHere(items, from, answer),
    );
    processor.onSystemMessage(FORGET, (_from, words) => {
      for (const word of words as bigint[]) own.records.forget(word);
    });
    processor.onSystemMessage(FREED, (_from, coids) => {
      for (const coid of coids as number[]) own.giveBack(coid);
    });
  }

  /** Settles when the object is reclaimed and its COID free. @throws ObjectGoneError, then and now */
  destroy(coid: number): Promise<void> {
    const sequence = this.#objects.sequenceOf(coid);
    return new Promise((resolve, reject) => {
      this.#requested.add(
        this.#begin(coid, sequence, (error) => (error === undefined ? resolve() : reject(error))),
      );
    });
  }

  /** The machine does not close before it is over. */
  #begin(coid: number, sequence: number, over: (error?: unknown) => void): Doomed {
    this.#objects.workBegins();
    return new Doomed(coid, sequence, (error) => {
      this.#objects.workEnds();
      over(error);
    });
  }

  /** What a destruction waits for at the moment, as an error. */
  late(coid: number, deadlineMs: number): DestroyDeadlineError {
    const retiring = this.#retireRound.waitingFor(coid);
    const processors = retiring.length === 0 ? this.#cleanUpRound.waitingFor(coid) : retiring;
    return new DestroyDeadlineError(coid, processors, deadlineMs);
  }

  /**
   * Goes on with the destruction of an object whose destroyer has died, from the step that its state names; in a turn of
   * its own, because it makes a view of the Root.
   */
  resume(coid: number): void {
    const { gtt, members } = this.#objects;
    const { number } = this.#processor;
    const doomed = this.#begin(coid, gtt.sequence(coid), (error) => {
      if (error !== undefined) warn(`Object ${coid} stays half destroyed: ${error}`);
    });
    doomed.word = gtt.root(coid);
    doomed.touched = [...new Set([...members.of(gtt.touched(coid)), number])];
    // Mine now: if the host dies as well, the machine is over.
    gtt.setState(coid, gtt.state(coid), number);
    this.#resumed.add(doomed);
  }

  #resumeAll(resumed: readonly Doomed[]): void {
    const inState = (state: number): Doomed[] =>
      resumed.filter(({ coid }) => this.#objects.gtt.state(coid) === state);
    // The last ones first: what goes on may change states.
    this.#returnAll(inState(STATE.RETIRED));
    this.#freeAll(inState(STATE.RECLAIMING));
    const destroying = inState(STATE.DESTROYING);
    for (const doomed of destroying) {
      try {
        doomed.root = this.#objects.records.view(doomed.word);
      } catch (error) {
        warn(
          `What object ${doomed.coid} owns is lost, as its destroyer died and its Root cannot be asked here: ${error}`,
        );
      }
    }
    this.#retireAll(destroying);
  }

  // Mark

  #markAll(requested: readonly Doomed[]): void {
    const marked: Doomed[] = [];
    for (const doomed of requested) {
      try {
        const isFree = this.#objects.gtt.tryWriteLocked(doomed.coid, () => this.#mark(doomed, marked));
        if (!isFree) void this.#markLater(doomed);
      } catch (error) {
        doomed.over(error);
      }
    }
    this.#retireAll(marked);
  }

  /** Misses are in progress on the object, or its Root holds it: this one waits for that, alone, however long it takes. */
  async #markLater(doomed: Doomed): Promise<void> {
    const marked: Doomed[] = [];
    const { gtt } = this.#objects;
    try {
      await gtt.writeLocked(doomed.coid, () => this.#mark(doomed, marked), Number.POSITIVE_INFINITY);
    } catch (error) {
      doomed.over(error);
    }
    this.#retireAll(marked);
  }

  /** Under the write lock: marks the entry, or waits for the Root to let go. */
  #mark(doomed: Doomed, marked: Doomed[]): void {
    const { coid, sequence } = doomed;
    const { gtt, records, members } = this.#objects;
    if (gtt.sequence(coid) !== sequence || gtt.state(coid) !== STATE.LIVE) throw new ObjectGoneError(coid);
    doomed.word = gtt.root(coid);
    doomed.root = records.view(doomed.word);
    // Asked like any other processor from here on: the view must not outlive what it shows.
    gtt.touch(coid);
    const hold = doomed.root.holdDestroy();
    if (hold !== undefined) {
      const again = (): void => void this.#markLater(doomed);
      hold.until.then(again, again);
      return;
    }
    gtt.setState(coid, STATE.DESTROYING, this.#processor.number);
    doomed.touched = members.of(gtt.touched(coid));
    marked.push(doomed);
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
      if (mine !== undefined) own.retire(mine);
      const open = mine?.$open;
      // Kept, so that it is known even if another one has to ask again: the slot is not in the table any more.
      if (open !== undefined && !open.isOver)
        own.keep(word, new Promise<void>((resolve) => open.whenOver(resolve)));
      if (own.isKept(word)) own.whenUnused([word], () => answer([coid]));
      else together.push(coid);
    }
    if (together.length !== 0) own.whenUnused([], () => answer(together));
  }

  // Clean up

  #cleanUpAll(doomed: readonly Doomed[]): void {
    const wanting = doomed.filter(wantsCleanUp);
    this.#cleanUpRound.ask(
      wanting,
      ({ touched }) => touched.filter((number) => this.#objects.members.has(number)),
      (each) => this.#cleanedUp.add(each),
    );
    this.#reclaimAll(doomed.filter((each) => !wantsCleanUp(each)));
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
    for (const { coid, root } of doomed) {
      // What the Root has freed when this processor dies nobody knows: then it is not freed again.
      gtt.setState(coid, STATE.RECLAIMING, this.#processor.number);
      if (root !== undefined) runGuarded(() => root.reclaim());
    }
    this.#freeAll(doomed);
  }

  /** The views of other processors show what is about to be freed. Nobody uses them any more. */
  #forgetElsewhere(doomed: readonly Doomed[]): void {
    const words = new Map<number, bigint[]>();
    for (const { word, touched } of doomed)
      for (const number of touched) if (number !== this.#processor.number) addTo(words, number, word);
    for (const [number, theirs] of words) this.#processor.post(number, FORGET, theirs);
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
        for (const { over } of doomed) over();
      });
    } catch (error) {
      for (const { over } of doomed) over(error);
    }
  }

  #giveBack(coids: readonly number[]): void {
    const { gtt } = this.#objects;
    const byHome = new Map<number, number[]>();
    for (const coid of coids) {
      // Pairs with the look of the region's next owner, if the present one dies before it has heard of it.
      gtt.setState(coid, STATE.FREED);
      const home = gtt.format.region(coid);
      if (home === this.#processor.number) this.#objects.giveBack(coid);
      else addTo(byHome, home, coid);
    }
    for (const [home, theirs] of byHome) this.#processor.post(home, FREED, theirs);
  }
}

function wantsCleanUp({ root }: Doomed): boolean {
  return root !== undefined && root.cleanUp !== Root.prototype.cleanUp;
}

function warn(what: string): void {
  process.emitWarning(what, 'K42Warning');
}
