/**
 * Grace periods of one domain, as one processor requests them.
 *
 * A grace period is a list of *targets*, one per processor that has a live thread: the number that the oldest generation
 * has there when every thread of now has ended (`threads.ts`). A processor that is idle, or goes away, needs none. The
 * requester asks each of those processors, by a system message, to say when it has got there; but the numbers are in
 * machine memory, so that a *cookie* (a list of targets) can be polled by anybody without asking, and one swap serves
 * all who wait for it, on whichever processor.
 *
 * **Sharing.** Requests made while a grace period is being waited for are collected and share the next one, which is
 * stamped (its targets are read) only after the last of them joined. None is ever added to a batch that has been stamped:
 * K42's call_rcu did that.
 *
 * **Idle machine.** Where nothing is live nothing is asked: a request ends in the microtask after it.
 */
import { channels } from './channels.ts';
import { DOMAIN, DOMAIN_LINE_BYTES } from './layout.ts';
import type { Processor } from './processor.ts';
import { runGuarded, type Threads } from './threads.ts';

export const ASK = 'rcu/grace-ask';
export const ANSWER = 'rcu/grace-answer';

/** Grace periods that end at once in a row before the event loop gets a turn in between. */
const IMMEDIATE_MAX = 256;

/** A processor's part of a grace period. Clonable. */
export interface Target {
  readonly processor: number;
  readonly incarnation: number;
  /** The processor's OLDEST when all threads of the moment have ended. */
  readonly oldest: number;
}

/**
 * A question: say when your OLDEST has reached this. And its answer, a fact about who gives it: my OLDEST has reached this.
 * So an answer is true whoever hears it, the successor of a dead processor that had asked included.
 */
export interface OldestMessage {
  readonly domain: string;
  readonly oldest: number;
}

/** Who waits for the end of a grace period. */
export interface Waiter {
  readonly resolve: () => void;
  /** The machine is over for this processor: nobody will ever know. */
  readonly reject: (error: Error) => void;
}

/** What shares the next grace period. */
export interface Batch {
  readonly waiters: Waiter[];
  readonly callbacks: (() => void)[];
}

/** What the domain does when something has come to pass. */
export interface GracePeriodHooks {
  /** The grace period of these callbacks has ended. */
  callbacksReady(batch: readonly (() => void)[]): void;
  /** One lasts longer than the machine's stall time. */
  stalled(waitingFor: number[]): void;
}

/** A grace period being waited for. */
interface GracePeriod {
  readonly waitingFor: Map<number, Target>;
  readonly beganAt: number;
  readonly waiter: Waiter;
}

/** One of the grace periods in progress, for diagnostics. */
export interface GracePeriodView {
  readonly id: number;
  readonly waitedMs: number;
  readonly waitingFor: readonly number[];
}

export class GracePeriods {
  readonly #processor: Processor;
  readonly #domain: string;
  readonly #threads: Threads;
  /** Byte offset of the domain's words in machine memory. */
  readonly #words: number;
  readonly #hooks: GracePeriodHooks;
  readonly #inProgress = new Map<number, GracePeriod>();
  /** The highest number each processor has been asked for and not answered: a question answers for lower ones. */
  readonly #asked = new Map<number, number>();
  /** Not stamped yet. */
  #collecting: Batch | undefined;
  /** Whether a batch has been stamped and its grace period has not ended. */
  #batchInProgress = false;
  #scheduled = false;
  #lastId = 0;
  #endedAtOnce = 0;
  #ended = 0;
  #failed: Error | undefined;
  #watching: NodeJS.Timeout | undefined;

  constructor(
    processor: Processor,
    domain: string,
    threads: Threads,
    words: number,
    hooks: GracePeriodHooks,
  ) {
    this.#processor = processor;
    this.#domain = domain;
    this.#threads = threads;
    this.#words = words;
    this.#hooks = hooks;
  }

  /** The batch that the next grace period will serve: what is put into it now is stamped later. */
  join(): Batch {
    let batch = this.#collecting;
    if (batch === undefined) {
      batch = { waiters: [], callbacks: [] };
      this.#collecting = batch;
      this.#schedule();
    }
    return batch;
  }

  /**
   * Begins a grace period of the caller's own, between turns, without waiting for the one in progress. Gives the function
   * that gives it up.
   */
  expedite(waiter: Waiter): () => void {
    let id: number | undefined;
    let givenUp = false;
    this.#soon(() => {
      if (!givenUp) id = this.#begin(waiter);
    });
    return () => {
      givenUp = true;
      if (id !== undefined) this.#inProgress.delete(id);
    };
  }

  /** Waits for a grace period that begins now; `waiter` may be told at once. */
  #begin(waiter: Waiter): number | undefined {
    if (this.#failed !== undefined) {
      waiter.reject(this.#failed);
      return undefined;
    }
    const waitingFor = new Map<number, Target>();
    for (const target of this.targets()) waitingFor.set(target.processor, target);
    if (waitingFor.size === 0) {
      this.#ended++;
      this.#endedAtOnce++;
      runGuarded(waiter.resolve);
      return undefined;
    }
    this.#endedAtOnce = 0;
    const id = ++this.#lastId;
    const targets = [...waitingFor.values()];
    this.#inProgress.set(id, { waitingFor, waiter, beganAt: performance.now() });
    this.#watch();
    if (channels.gracePeriod.hasSubscribers)
      this.#publish({ id, phase: 'begin', waitingFor: [...waitingFor.keys()] });
    for (const target of targets) this.#ask(target);
    // One that was there above may have gone before its message: it will not answer, and its death may be known already.
    for (const { processor, incarnation } of targets)
      if (!this.#processor.isPresent(processor, incarnation)) this.#elapsed(id, processor);
    return id;
  }

  #ask({ processor, oldest }: Target): void {
    if ((this.#asked.get(processor) ?? -1) >= oldest) return;
    this.#asked.set(processor, oldest);
    if (processor === this.#processor.number)
      this.#threads.whenReached(oldest, () => this.reached(processor, oldest));
    else this.#processor.post(processor, ASK, { domain: this.#domain, oldest } satisfies OldestMessage);
  }

  /** A processor's OLDEST has reached a number. */
  reached(processor: number, oldest: number): void {
    if ((this.#asked.get(processor) ?? Number.POSITIVE_INFINITY) <= oldest) this.#asked.delete(processor);
    for (const [id, { waitingFor }] of [...this.#inProgress]) {
      const target = waitingFor.get(processor);
      if (target !== undefined && target.oldest <= oldest) this.#elapsed(id, processor);
    }
  }

  /** The targets of a grace period that begins now. */
  targets(): Target[] {
    const { memory, number } = this.#processor;
    const targets: Target[] = [];
    for (const { processor, incarnation } of this.#processor.present()) {
      if (processor === number) {
        // Its own counts tell; what is on the stack now is a thread of its own, or none.
        if (this.#threads.live !== 0)
          targets.push({ processor, incarnation, oldest: this.#threads.elapsedAt });
        continue;
      }
      const line = this.#words + processor * DOMAIN_LINE_BYTES;
      // After whatever the caller unlinked: pairs with the stores in Threads.begin() and end(). Zero: no thread is live
      // there that began before the unlinking was visible.
      if (Atomics.load(memory.i32, (line + DOMAIN.BUSY) / 4) === 0) continue;
      // Pairs with the store in Threads: whoever may hold the unlinked began in a generation of this number at most.
      const swaps = Number(Atomics.load(memory.i64, (line + DOMAIN.SWAPS) / 8));
      targets.push({ processor, incarnation, oldest: swaps + 1 });
    }
    return targets;
  }

  /** Whether the threads that a target stands for have all ended. Asks nobody. */
  isReached({ processor, incarnation, oldest }: Target): boolean {
    if (!this.#processor.isPresent(processor, incarnation)) return true;
    const { memory } = this.#processor;
    const line = this.#words + processor * DOMAIN_LINE_BYTES;
    // As in targets(): idle now means that all older threads have ended.
    if (Atomics.load(memory.i32, (line + DOMAIN.BUSY) / 4) === 0) return true;
    return Number(Atomics.load(memory.i64, (line + DOMAIN.OLDEST) / 8)) >= oldest;
  }

  /** A processor has no thread left that a grace period waits for. */
  #elapsed(id: number, processor: number): void {
    const period = this.#inProgress.get(id);
    if (period === undefined || !period.waitingFor.delete(processor) || period.waitingFor.size !== 0) return;
    this.#inProgress.delete(id);
    this.#ended++;
    if (channels.gracePeriod.hasSubscribers)
      this.#publish({ id, phase: 'end', waitedMs: performance.now() - period.beganAt });
    runGuarded(period.waiter.resolve);
  }

  /** A processor has gone, and its threads with it. */
  processorGone(processor: number): void {
    this.#asked.delete(processor);
    for (const id of [...this.#inProgress.keys()]) this.#elapsed(id, processor);
  }

  /** The machine is over for this processor: whoever waits is told. */
  fail(error: Error): void {
    this.#failed = error;
    clearTimeout(this.#watching);
    const waiters = [...this.#inProgress.values()].map((period) => period.waiter);
    this.#inProgress.clear();
    waiters.push(...(this.#collecting?.waiters ?? []));
    this.#collecting = undefined;
    for (const waiter of waiters) waiter.reject(error);
  }

  /** Processors that hold up the grace periods in progress. */
  waitingFor(): number[] {
    return [...new Set([...this.#inProgress.values()].flatMap((period) => [...period.waitingFor.keys()]))];
  }

  view(): GracePeriodView[] {
    const now = performance.now();
    return [...this.#inProgress].map(([id, { waitingFor, beganAt }]) => ({
      id,
      waitedMs: now - beganAt,
      waitingFor: [...waitingFor.keys()],
    }));
  }

  /** Grace periods that have ended since the processor attached. */
  get ended(): number {
    return this.#ended;
  }

  /** Reports grace periods that last too long, as long as there are any. One timer, which holds nobody up. */
  #watch(): void {
    const { stallMs } = this.#processor.memory;
    if (stallMs === 0) return;
    this.#watching ??= setTimeout(() => {
      this.#watching = undefined;
      if (this.#inProgress.size === 0) return;
      this.#watch();
      const [oldest] = this.#inProgress.values();
      if (oldest !== undefined && performance.now() - oldest.beganAt >= stallMs)
        this.#hooks.stalled(this.waitingFor());
    }, stallMs).unref();
  }

  #publish(event: object): void {
    channels.gracePeriod.publish({ processor: this.#processor.number, domain: this.#domain, ...event });
  }

  #schedule(): void {
    if (this.#scheduled || this.#batchInProgress) return;
    this.#scheduled = true;
    this.#soon(() => {
      this.#scheduled = false;
      this.#start();
    });
  }

  /**
   * Runs something between turns: in a microtask, but now and then in a task, or a loop of waits on an idle machine would
   * keep the event loop from ever getting its turn.
   */
  #soon(start: () => void): void {
    if (this.#endedAtOnce < IMMEDIATE_MAX) queueMicrotask(start);
    else {
      this.#endedAtOnce = 0;
      setImmediate(start);
    }
  }

  /** Stamps the collected batch: from here on nothing is added to it. */
  #start(): void {
    const batch = this.#collecting;
    if (batch === undefined || this.#batchInProgress) return;
    this.#collecting = undefined;
    this.#batchInProgress = true;
    this.#begin({
      resolve: () => {
        this.#batchInProgress = false;
        for (const waiter of batch.waiters) runGuarded(waiter.resolve);
        this.#hooks.callbacksReady(batch.callbacks);
        if (this.#collecting !== undefined) this.#schedule();
      },
      reject: (error) => {
        for (const waiter of batch.waiters) waiter.reject(error);
      },
    });
  }
}
