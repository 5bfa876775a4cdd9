/**
 * A domain on this JavaScript thread: its threads, its callbacks, its part in grace periods.
 *
 * Domains are known by name throughout the machine. A processor makes its part of one when it first uses it, or when
 * another asks for a grace period there. The threads exist without a machine; everything that concerns other processors
 * (`DomainPart`) exists while this thread is attached to one.
 */
import { GracePeriodDeadlockError, MachineClosedError, NotAttachedError } from '../errors.ts';
import { BoundedWait, type WaitOptions } from './boundedWait.ts';
import { CALLBACK_LIMITS, type CallbackLimits, Callbacks } from './callbacks.ts';
import { currentProcessorIfAny, onAttach } from './current.ts';
import { ANSWER, ASK, GracePeriods, type OldestMessage, type Target } from './gracePeriods.ts';
import { DOMAIN, DOMAIN_BYTES, DOMAIN_LINE_BYTES } from './layout.ts';
import type { MachineMemory } from './memory.ts';
import type { Processor } from './processor.ts';
import { isInsideProved, isProving, proveThread, runProved } from './prove.ts';
import { warnOfStall } from './stall.ts';
import { Thread } from './thread.ts';
import { type Named, Threads, type ThreadsView } from './threads.ts';

const BARRIER = 'rcu/barrier';
const BARRIER_DONE = 'rcu/barrier-done';

/** A question about the callbacks handed in so far, and its answer. */
interface BarrierMessage {
  readonly domain: string;
  readonly id: number;
}

/** A processor that is to say that its callbacks have run. */
interface PendingBarrier {
  readonly waitingFor: number;
  readonly done: () => void;
  readonly failed: (error: Error) => void;
}

/** The domain that every thread belongs to unless it says otherwise. */
export const MACHINE_DOMAIN = 'machine';

/** A moment that can be asked about later: see `Domain.startPoll`. Clonable; good on every processor of the machine. */
export interface Cookie {
  readonly domain: string;
  readonly targets: readonly Target[];
}

export interface SynchronizeOptions extends WaitOptions {
  /** Begin a grace period of one's own at once, instead of sharing the next one. Default false. */
  readonly expedited?: boolean;
}

/** One domain on one processor, for diagnostics. */
export interface DomainView extends ThreadsView {
  readonly name: string;
  readonly callbacksPending: number;
  readonly gracePeriods: readonly { readonly waitedMs: number; readonly waitingFor: readonly number[] }[];
  readonly gracePeriodsEnded: number;
}

const BLOCK_PREFIX = 'rcu/domain/';

/**
 * Forgets what an earlier processor of a number has left in the words of all domains: its successor may never use some of
 * them, and has no thread there. Before it is live; the guardian has read what it needs.
 */
export function clearDomains(memory: MachineMemory, number: number): void {
  for (const words of memory.blocksNamed(BLOCK_PREFIX)) {
    const line = words + number * DOMAIN_LINE_BYTES;
    // Nobody looks at them before the processor is live: its exchange of the state publishes these stores.
    for (let word = line / 4; word < (line + DOMAIN_LINE_BYTES) / 4; word++)
      Atomics.store(memory.i32, word, 0);
  }
}

/** What a domain has to do with the other processors, while this thread is one. */
export class DomainPart {
  readonly processor: Processor;
  readonly callbacks: Callbacks;
  readonly gracePeriods: GracePeriods;
  /** Byte offset of this processor's line of the domain's words. */
  readonly line: number;
  readonly #name: string;
  /** Retired objects that have not been reclaimed. */
  readonly retired: WeakSet<object> = new WeakSet();
  readonly #barriers = new Map<number, PendingBarrier>();
  #lastBarrier = 0;

  constructor(processor: Processor, name: string, threads: Threads, limits: CallbackLimits) {
    this.processor = processor;
    this.#name = name;
    const { memory } = processor;
    const words = memory.block(BLOCK_PREFIX + name, DOMAIN_BYTES);
    this.line = words + processor.number * DOMAIN_LINE_BYTES;
    threads.attach(memory.buffer, {
      busy: this.line + DOMAIN.BUSY,
      swaps: this.line + DOMAIN.SWAPS,
      oldest: this.line + DOMAIN.OLDEST,
    });
    this.callbacks = new Callbacks(limits);
    this.gracePeriods = new GracePeriods(processor, name, threads, words, {
      callbacksReady: (batch) => this.callbacks.ready(batch),
      stalled: (waitingFor) => void warnOfStall(processor, name, waitingFor),
    });
  }

  /** Asks a processor to say when the callbacks it has been handed so far have run. Settles too if it goes. */
  askBarrier(processor: number): Promise<void> {
    return new Promise((done, failed) => {
      const id = ++this.#lastBarrier;
      this.#barriers.set(id, { waitingFor: processor, done, failed });
      this.processor.post(processor, BARRIER, { domain: this.#name, id } satisfies BarrierMessage);
      if (!this.processor.isLive(processor)) this.barrierDone(id);
    });
  }

  barrierDone(id: number): void {
    const barrier = this.#barriers.get(id);
    this.#barriers.delete(id);
    barrier?.done();
  }

  processorGone(number: number): void {
    this.gracePeriods.processorGone(number);
    for (const [id, { waitingFor }] of [...this.#barriers]) if (waitingFor === number) this.barrierDone(id);
  }

  /** Settles when every callback handed in so far, and every one those hand in, has run. */
  async drained(): Promise<void> {
    while (this.callbacks.hasWork) await this.callbacks.all();
  }

  fail(error: Error): void {
    this.gracePeriods.fail(error);
    this.callbacks.fail(error);
    const barriers = [...this.#barriers.values()];
    this.#barriers.clear();
    for (const barrier of barriers) barrier.failed(error);
  }
}

/** The part of a domain that belongs to this JavaScript thread; `Domain` in `generations.ts` is its public face. */
export class LocalDomain {
  readonly name: string;
  readonly threads: Threads = new Threads();
  #limits: CallbackLimits = CALLBACK_LIMITS;
  #part: DomainPart | undefined;

  constructor(name: string) {
    this.name = name;
  }

  /** Limits the callbacks of this processor from now on. */
  limit(limits: CallbackLimits): void {
    this.#limits = limits;
    this.#part?.callbacks.limit(limits);
  }

  /** @throws NotAttachedError */
  get part(): DomainPart {
    if (this.#part === undefined) throw new NotAttachedError();
    return this.#part;
  }

  get partIfAny(): DomainPart | undefined {
    return this.#part;
  }

  attach(processor: Processor): void {
    this.#part = new DomainPart(processor, this.name, this.threads, this.#limits);
  }

  detach(error: Error): void {
    const part = this.#part;
    this.#part = undefined;
    this.threads.detach();
    part?.fail(error);
  }

  spawn<R>(work: () => R, source: Named = work): R {
    return isProving() ? runProved(this.threads, work, source) : this.threads.run(work, source);
  }

  enter(name: string): Thread {
    const thread = new Thread(this.threads, name);
    if (isProving()) proveThread(this.threads, thread);
    return thread;
  }

  /** @throws MachineClosedError, CallbackOverflowError (unless it is inherited), NotAttachedError */
  call(callback: () => void, inherited = false): boolean {
    const { callbacks, gracePeriods, processor } = this.part;
    if (processor.closed) throw new MachineClosedError('handing in a callback');
    const more = callbacks.admit(inherited);
    gracePeriods.join().callbacks.push(callback);
    return more;
  }

  /** As `call`, for a callback of a dead processor, which may take turns to begin: a barrier waits until it has. */
  inherit(callback: () => Promise<void>): void {
    const { callbacks } = this.part;
    this.call(() => callbacks.hold(callback()), true);
  }

  async synchronize(options: SynchronizeOptions): Promise<void> {
    this.#assertOutside();
    const { gracePeriods, processor } = this.part;
    if (processor.closed) throw new MachineClosedError('waiting for a grace period');
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const wait = new BoundedWait(reject, options, processor, this.name, () => gracePeriods.waitingFor());
    let giveUp: (() => void) | undefined;
    if (options.expedited === true) giveUp = gracePeriods.expedite({ resolve, reject });
    else gracePeriods.join().waiters.push({ resolve, reject });
    // Watched only if it does not end at once, which on an idle machine it does: timers cost more than that.
    queueMicrotask(() => queueMicrotask(() => wait.watch()));
    try {
      await promise;
    } finally {
      wait.end();
      giveUp?.();
    }
  }

  async barrier(options: WaitOptions): Promise<void> {
    const { part } = this;
    await this.#bounded(
      options,
      () => part.processor.liveProcessors(),
      () => this.#barrier(part),
    );
  }

  async drained(options: WaitOptions): Promise<void> {
    const { callbacks, processor } = this.part;
    await this.#bounded(
      options,
      () => [processor.number],
      () => callbacks.drained(),
    );
  }

  /** Waits for callbacks, in time. @throws as a wait for a grace period */
  async #bounded(
    options: WaitOptions,
    waitingFor: () => number[],
    begin: () => Promise<void>,
  ): Promise<void> {
    this.#assertOutside();
    const { promise: failed, reject } = Promise.withResolvers<never>();
    const wait = new BoundedWait(reject, options, this.part.processor, this.name, waitingFor);
    wait.watch();
    try {
      await Promise.race([failed, begin()]);
    } finally {
      wait.end();
    }
  }

  /** @throws GracePeriodDeadlockError where the caller is known to be inside a thread it would wait for */
  #assertOutside(): void {
    if (this.threads.insideThread || isInsideProved(this.threads)) throw new GracePeriodDeadlockError();
  }

  async #barrier(part: DomainPart): Promise<void> {
    const { processor } = part;
    const others = processor.liveProcessors().filter((number) => number !== processor.number && number !== 0);
    await Promise.all([part.callbacks.all(), ...others.map((number) => part.askBarrier(number))]);
    // The host last: what those who died meanwhile have left behind is its to run.
    if (processor.number === 0) await answerBarrier(this.name, processor);
    else await part.askBarrier(0);
  }

  view(): DomainView {
    const part = this.#part;
    return {
      ...this.threads.view(),
      name: this.name,
      callbacksPending: part?.callbacks.pending ?? 0,
      gracePeriods: part?.gracePeriods.view() ?? [],
      gracePeriodsEnded: part?.gracePeriods.ended ?? 0,
    };
  }
}

const domains = new Map<string, LocalDomain>();

/** This JavaScript thread's part of a domain, made if there is none. @throws TooManyNamesError, OutOfMachineMemoryError */
export function localDomain(name: string): LocalDomain {
  const known = domains.get(name);
  if (known !== undefined) return known;
  const domain = new LocalDomain(name);
  const processor = currentProcessorIfAny();
  // Known only if that has succeeded: one without words would keep its threads from everybody.
  if (processor !== undefined) domain.attach(processor);
  domains.set(name, domain);
  return domain;
}

export function localDomains(): LocalDomain[] {
  return [...domains.values()];
}

/** The machine's own domain: one per copy of the module, whether or not a machine is attached yet. */
export const machineDomain: LocalDomain = localDomain(MACHINE_DOMAIN);

/** Answers a barrier: settles when the callbacks here have run, and those that dead processors left to this one. */
async function answerBarrier(name: string, processor: Processor): Promise<void> {
  await processor.burials();
  if (processor.closed) throw new MachineClosedError('waiting for callbacks to run');
  await domains.get(name)?.partIfAny?.callbacks.all();
  if (processor.closed) throw new MachineClosedError('waiting for callbacks to run');
}

onAttach((processor) => {
  for (const domain of domains.values()) domain.attach(processor);
  processor.onSystemMessage(ASK, (from, payload) => {
    const { domain, oldest } = payload as OldestMessage;
    // Handlers run between turns, so an idle processor swaps and answers here and now. Whoever hears the answer, if it
    // is another processor by then, hears what is true.
    localDomain(domain).threads.whenReached(oldest, () => processor.post(from, ANSWER, payload));
  });
  processor.onSystemMessage(ANSWER, (from, payload) => {
    const { domain, oldest } = payload as OldestMessage;
    domains.get(domain)?.partIfAny?.gracePeriods.reached(from, oldest);
  });
  processor.onSystemMessage(BARRIER, (from, payload) => {
    const reply = processor.replyTo(from);
    answerBarrier((payload as BarrierMessage).domain, processor).then(
      () => reply(BARRIER_DONE, payload),
      // Over for this processor: whoever asked learns of that.
      () => {},
    );
  });
  processor.onSystemMessage(BARRIER_DONE, (_from, payload) => {
    const { domain, id } = payload as BarrierMessage;
    domains.get(domain)?.partIfAny?.barrierDone(id);
  });
  processor.onGone((number) => {
    for (const domain of domains.values()) domain.partIfAny?.processorGone(number);
  });
  processor.onClose(async () => {
    // Callbacks of one domain may hand in some of another.
    const parts = (): DomainPart[] => [...domains.values()].map((domain) => domain.part);
    while (!processor.closed && parts().some((part) => part.callbacks.hasWork))
      for (const part of parts()) await part.drained();
  });
  processor.onClosed(() => {
    const error = new MachineClosedError('waiting for a grace period or for callbacks');
    for (const domain of domains.values()) domain.detach(error);
  });
});
