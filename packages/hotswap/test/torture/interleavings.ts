/**
 * One schedule of calls and swaps on one processor, played, and what has to be true of it whatever the order.
 *
 * A move calls an object, opens a gate at which a call or a hook stands, begins a swap, gives it up, destroys the object, or lets
 * the event loop turn once. When all moves are made, everything is let go, and ends. Then the log is looked at: every call has run
 * once, in the order of its caller, on an object that was in force then; every swap has ended as it may; nothing is left.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Coid, create, DREF, destroy, handle, objectCounts } from '@k42/clustered';
import { spawn } from '@k42/rcu';
import { type SwapReport, swap, swapsInProgress } from '../../src/index.ts';
import {
  CELLS,
  type Cell,
  enter,
  type Happening,
  SYNC_CELLS,
  type SyncCell,
  World,
} from '../programs/interleaved.ts';
import { check, judgeFreezes, judgeTransfers } from './judging.ts';

/** Objects and callers by their places; a call's number is that of its move. */
export type Move =
  | { readonly do: 'turn'; readonly times: number }
  | { readonly do: 'open'; readonly which: number }
  | { readonly do: 'swap'; readonly object: number; readonly ifInProgress?: 'queue' }
  | { readonly do: 'abort' | 'destroy'; readonly object: number }
  | { readonly do: 'note' | 'gated' | 'tick' | 'thread'; readonly object: number; readonly caller: number }
  | { readonly do: 'nest'; readonly object: number; readonly other: number; readonly caller: number }
  | { readonly do: 'iterate' | 'finish'; readonly object: number; readonly caller: number };

export interface Play {
  readonly synchronous: boolean;
  readonly freezes: boolean;
  readonly objects: number;
}

interface Call {
  readonly number: number;
  readonly object: number;
  readonly caller: number;
  /** Order is kept among those that are asynchronous and of one caller. */
  readonly ordered: boolean;
  /** Whether its object may be gone: the schedule has destroyed one before, or the call is made later by a thread. */
  readonly mayBeGone: boolean;
  /** What it gave, or the code of what it failed with; undefined while it goes on. */
  outcome: { readonly value: unknown } | { readonly code: unknown } | undefined;
}

interface Swap {
  readonly object: number;
  readonly aborting: AbortController;
  report: SwapReport | undefined;
  code: string | undefined;
}

const GONE = 'K42_OBJECT_GONE';
/** Calls that a nesting call makes have numbers from here on. */
const INNER = 1000;

/** What has come of one schedule, or of many. */
export interface Counts {
  readonly completed: number;
  readonly givenUp: number;
  readonly destroyed: number;
  readonly forwarded: number;
  readonly queued: number;
}

/** Plays a schedule. @throws Error that says what must not be */
export function play(stage: Play, schedule: readonly Move[], endMs = 5000): Promise<Counts> {
  return new Run(stage).play(schedule, endMs);
}

function inUse(): string {
  const { objects, reps, bytes } = objectCounts();
  return `${objects} objects, ${reps} Reps, ${bytes} bytes`;
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : error;
}

class Run {
  readonly #world: World;
  readonly #stage: Play;
  readonly #coids: readonly Coid<Cell>[];
  readonly #calls: Call[] = [];
  readonly #swaps: Swap[] = [];
  readonly #iterators: { readonly caller: number; readonly items: IterableIterator<number> }[] = [];
  /** Objects that the schedule has had destroyed, and those whose destruction goes on. */
  readonly #destroyed = new Set<number>();
  readonly #destroying = new Set<number>();
  readonly #before = inUse();
  #isOver = false;

  constructor(stage: Play) {
    this.#stage = stage;
    this.#world = new World(stage.freezes);
    enter(this.#world);
    const [first] = this.#versions;
    this.#coids = Array.from({ length: stage.objects }, (_, object) => create(first, object));
    for (const coid of this.#coids) void handle(coid).value();
  }

  get #versions(): typeof CELLS & readonly [(typeof CELLS)[0], (typeof CELLS)[0]] {
    return (this.#stage.synchronous ? SYNC_CELLS : CELLS) as never;
  }

  async play(schedule: readonly Move[], endMs: number): Promise<Counts> {
    for (const [number, move] of schedule.entries()) {
      if (move.do !== 'turn') this.#make(move, number);
      else for (let turn = 0; turn < move.times; turn++) await nextTurn();
    }
    try {
      await Promise.race([this.#letGo(endMs), this.#close()]);
      await this.#nothingLeft(endMs);
    } finally {
      this.#isOver = true;
    }
    this.#judge();
    const reports = this.#swaps.flatMap(({ report }) => (report === undefined ? [] : [report]));
    return {
      completed: reports.length,
      givenUp: this.#swaps.filter(({ code }) => code === 'K42_SWAP_ABORTED').length,
      destroyed: this.#destroyed.size,
      forwarded: reports.reduce((sum, { forwarded }) => sum + forwarded, 0),
      queued: reports.reduce((sum, { queued }) => sum + queued, 0),
    };
  }

  #make(move: Exclude<Move, { do: 'turn' }>, number: number): void {
    switch (move.do) {
      case 'open':
        this.#world.open(move.which);
        break;
      case 'swap':
        this.#swap(move.object, move.ifInProgress);
        break;
      case 'abort':
        this.#world.log.push({ what: 'abort', object: move.object });
        this.#swaps.findLast(({ object }) => object === move.object)?.aborting.abort();
        break;
      case 'destroy':
        if (this.#destroyed.has(move.object)) return;
        this.#world.log.push({ what: 'destroy', object: move.object });
        this.#destroyed.add(move.object);
        void this.#destroy(move.object);
        break;
      case 'finish':
        this.#finish(move.caller);
        break;
      default:
        this.#call(move, number);
    }
  }

  #swap(object: number, ifInProgress: 'queue' | undefined): void {
    const earlier = this.#swaps.filter((other) => other.object === object).length;
    const to = this.#versions[(earlier + 1) % 2] as (typeof CELLS)[0];
    const begun: Swap = { object, aborting: new AbortController(), report: undefined, code: undefined };
    this.#swaps.push(begun);
    const options = {
      argument: object,
      signal: begun.aborting.signal,
      ...(ifInProgress && { ifInProgress }),
    };
    swap(this.#coids[object] as Coid<Cell>, to, options).then(
      (report) => {
        begun.report = report;
      },
      (error: unknown) => {
        begun.code = String(codeOf(error));
      },
    );
  }

  #call(move: Extract<Move, { caller: number }>, number: number): void {
    const { object, caller } = move;
    const coid = this.#coids[object] as Coid<SyncCell>;
    const call: Call = {
      number,
      object,
      caller,
      ordered: move.do === 'note' || move.do === 'gated' || move.do === 'nest',
      mayBeGone: this.#destroyed.size !== 0 || move.do === 'thread',
      outcome: undefined,
    };
    this.#calls.push(call);
    const settled = (outcome: NonNullable<Call['outcome']>): void => {
      call.outcome = outcome;
    };
    try {
      const result = this.#result(move, coid, number);
      Promise.resolve(result).then(
        (value) => settled({ value }),
        (error: unknown) => settled({ code: codeOf(error) }),
      );
    } catch (error) {
      settled({ code: codeOf(error) });
    }
  }

  #result(move: Extract<Move, { caller: number }>, coid: Coid<SyncCell>, number: number): unknown {
    switch (move.do) {
      case 'tick':
        return handle(coid).tick(number);
      case 'note':
      case 'gated':
        return handle(coid)[move.do](number);
      case 'nest':
        return handle(coid).nest(number, this.#coids[move.other] as Coid<Cell>, INNER + number);
      case 'thread':
        return spawn(async () => {
          const rep = DREF(coid);
          await this.#world.gate();
          return rep.note(number);
        });
      default: {
        const items = handle(coid).items(number);
        this.#iterators.push({ caller: move.caller, items });
        return items.next().value;
      }
    }
  }

  #finish(caller?: number): void {
    const at = this.#iterators.findIndex((one) => caller === undefined || one.caller === caller);
    if (at !== -1) this.#iterators.splice(at, 1)[0]?.items.return?.();
  }

  /** Lets everything go that stands somewhere, or comes to stand, until the end. @throws Error if that is late */
  async #letGo(endMs: number): Promise<void> {
    for (const giveUpAt = performance.now() + endMs; !this.#isOver; ) {
      await nextTurn();
      this.#world.open(0);
      this.#finish();
      check(performance.now() < giveUpAt, `${this.#open().join(', ')} did not end`);
    }
  }

  /** What goes on. */
  #open(): string[] {
    return [
      ...this.#calls.filter(({ outcome }) => outcome === undefined).map(({ number }) => `call ${number}`),
      ...this.#swaps
        .filter(({ report, code }) => report === undefined && code === undefined)
        .map(({ object }) => `a swap of object ${object}`),
      ...[...this.#destroying].map((object) => `the destruction of object ${object}`),
    ];
  }

  /** Waits for the end of everything, looks at what the objects know, and destroys them. */
  async #close(): Promise<void> {
    while (this.#open().length !== 0 && !this.#isOver) await nextTurn();
    for (const [object, coid] of this.#coids.entries()) {
      if (this.#destroyed.has(object)) continue;
      const value = await handle(coid).value();
      const begun = this.#world.log.filter(
        (entry) => entry.what === 'begin' && entry.object === object,
      ).length;
      check(value === begun, `object ${object} knows of ${value} calls, and ${begun} have begun`);
      await this.#destroy(object);
    }
  }

  async #destroy(object: number): Promise<void> {
    this.#destroying.add(object);
    await destroy(this.#coids[object] as Coid<Cell>);
    this.#destroying.delete(object);
  }

  async #nothingLeft(endMs: number): Promise<void> {
    for (const giveUpAt = performance.now() + endMs; ; ) {
      const [now, swaps] = [inUse(), await swapsInProgress()];
      if (now === this.#before && swaps.length === 0) return;
      check(
        performance.now() < giveUpAt,
        `there was ${this.#before}, there is ${now}, and ${swaps.length} swaps`,
      );
      await nextTurn();
    }
  }

  #judge(): void {
    for (const call of this.#calls) this.#judgeCall(call);
    for (const begun of this.#swaps) this.#judgeSwap(begun);
    for (const object of this.#coids.keys()) {
      const log = this.#world.log.filter((entry) => entry.object === object);
      const completed = this.#swaps.filter((one) => one.object === object && one.report !== undefined).length;
      const adopted = log.filter(({ what }) => what === 'adopt').length;
      check(
        adopted === completed,
        `${completed} swaps of object ${object} went through, and ${adopted} took effect`,
      );
      judgeTransfers(log, object);
      if (this.#stage.freezes) judgeFreezes(log, object);
      this.#judgeOrder(log, object);
    }
  }

  #judgeCall({ number, object, mayBeGone, outcome }: Call): void {
    const ran = (what: string, call: number): number =>
      this.#world.log.filter((entry) => entry.what === what && 'call' in entry && entry.call === call).length;
    const begun = ran('begin', number);
    if (outcome !== undefined && 'code' in outcome) {
      check(outcome.code === GONE && this.#destroyed.size !== 0, `call ${number} failed: ${outcome.code}`);
      // It may have begun, and called another object that was gone.
      check(begun <= 1, `call ${number} ran ${begun} times`);
      check(
        mayBeGone || begun === 1,
        `call ${number} found object ${object} gone, which was there when it was made`,
      );
      return;
    }
    check(begun === 1 && ran('end', number) === 1, `call ${number} ran ${begun} times`);
    check(outcome?.value === number, `call ${number} gave ${outcome?.value}`);
    check(ran('begin', INNER + number) <= 1, `what call ${number} called ran twice`);
  }

  #judgeSwap({ object, code }: Swap): void {
    const { log } = this.#world;
    const asked = (what: Happening['what']): boolean =>
      log.some((entry) => entry.what === what && entry.object === object);
    const isRefused =
      code === 'K42_SWAP_IN_PROGRESS' && this.#swaps.filter((one) => one.object === object).length > 1;
    const isAborted = code === 'K42_SWAP_ABORTED' && asked('abort');
    const isDestroyed = (code === 'K42_SWAP_DESTROYED' || code === GONE) && asked('destroy');
    check(
      code === undefined || isRefused || isAborted || isDestroyed,
      `a swap of object ${object} failed: ${code}`,
    );
  }

  /** Asynchronous calls of one caller on one object begin in the order in which they were made. */
  #judgeOrder(log: readonly Happening[], object: number): void {
    const ordered = this.#calls.filter((call) => call.ordered && call.object === object);
    for (const caller of new Set(ordered.map((call) => call.caller))) {
      const made = ordered.filter((call) => call.caller === caller).map(({ number }) => number);
      const ran = log.flatMap((entry) =>
        entry.what === 'begin' && made.includes(entry.call) ? [entry.call] : [],
      );
      const sorted = ran.toSorted((a, b) => a - b);
      check(ran.join() === sorted.join(), `the calls of caller ${caller} ran in the order ${ran.join()}`);
    }
  }
}
