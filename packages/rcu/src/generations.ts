/**
 * Threads, generations and grace periods: read-copy-update by thread generations.
 *
 * A reader runs as a *thread* (`spawn`, `enter`) and may use whatever it finds until it ends. A writer unlinks something,
 * then waits for a *grace period* (`synchronize`, `call`, `retire`): after it no thread can still hold what was unlinked.
 * Readers take no lock and write nothing shared; see `internal/threads.ts` for how two generation swaps prove it.
 *
 * `rcu` is the machine's own domain. A *domain* of one's own has threads and grace periods that know nothing of others':
 * readers there hold up only what is retired there.
 */
import { DoubleRetireError, InvalidArgumentError } from './errors.ts';
import type { WaitOptions } from './internal/boundedWait.ts';
import type { CallbackLimits } from './internal/callbacks.ts';
import {
  type Cookie,
  type DomainView,
  type LocalDomain,
  localDomain,
  MACHINE_DOMAIN,
  machineDomain,
  type SynchronizeOptions,
} from './internal/domain.ts';
import { unguarded } from './internal/guard.ts';
import { NAME_BYTES_MAX } from './internal/layout.ts';
import { callPortable } from './internal/portable.ts';
import type { Target } from './internal/processor.ts';
import { guardReference, isInsideProved, isProving } from './internal/prove.ts';
import { Published } from './internal/references.ts';
import { importFunction } from './internal/remoteCalls.ts';
import type { Thread } from './internal/thread.ts';
import type { Generation, LiveThread } from './internal/threads.ts';

export type { WaitOptions } from './internal/boundedWait.ts';
export type { CallbackLimits } from './internal/callbacks.ts';
export type { Cookie, DomainView, SynchronizeOptions } from './internal/domain.ts';
export { isProving } from './internal/prove.ts';
export { Published, rcuAssign, rcuDereference } from './internal/references.ts';
export type { Blocker, ProcessorView, StallReport } from './internal/stall.ts';
export { Thread } from './internal/thread.ts';
export {
  GENERATIONS,
  type Generation,
  isThenable,
  type LiveThread,
  runGuarded,
  type ThreadsView,
} from './internal/threads.ts';

const NAME_MAX = NAME_BYTES_MAX - 'rcu/domain/'.length;

/** An RCU domain: threads, and grace periods that wait for just these. The same on every processor, by its name. */
export class Domain {
  readonly name: string;
  readonly #local: LocalDomain;

  private constructor(local: LocalDomain) {
    this.name = local.name;
    this.#local = local;
  }

  static readonly #known = new Map<string, Domain>();

  /**
   * The domain of that name on this JavaScript thread, made if there is none; other processors use it by the same name.
   * Costs 4 KiB of machine memory, for good. `limits`, if given, count for this processor from now on.
   * @throws InvalidArgumentError, TooManyNamesError (some 250 domains), OutOfMachineMemoryError
   */
  static named(name: string, limits?: Partial<CallbackLimits>): Domain {
    if (typeof name !== 'string' || !/^[\x21-\x7e]+$/.test(name) || name.length > NAME_MAX)
      throw new InvalidArgumentError(
        `A domain's name has 1 to ${NAME_MAX} printable ASCII characters: ${JSON.stringify(name)}.`,
      );
    const checked = checkedLimits(limits);
    const known = Domain.#known.get(name);
    const local = localDomain(name);
    if (checked !== undefined) local.limit(checked);
    const domain = known ?? new Domain(local);
    Domain.#known.set(name, domain);
    return domain;
  }

  // Readers

  /**
   * Runs `work` now, as a thread of this processor: it lasts until `work` returns or, if that is a promise, until the
   * promise settles. Returns what `work` returns (an equivalent promise for a promise) and throws what it throws.
   *
   * A thread must outlive the calls it makes: what it starts and does not await is outside it.
   * Cost: tens of nanoseconds when synchronous. Needs no machine: threads of a lone JavaScript thread count too.
   * @param source what gives the thread its name in reports, if not `work`
   */
  spawn<R>(work: () => R, source: { readonly name: string } = work): R {
    return this.#local.spawn(work, source);
  }

  /**
   * Begins a thread that lasts until it is disposed of: `using thread = rcu.enter('poller')`. For scopes that are no
   * function of their own, and for long-lived readers, which announce quiescent states or deactivate around waits.
   */
  enter(name = '(guard)'): Thread {
    return this.#local.enter(name);
  }

  /** Makes a reference that threads of this domain read (`rcuDereference`) and writers replace (`rcuAssign`). */
  publish<T>(value: T): Published<T> {
    return new Published(value, this.#local);
  }

  // Writers

  /**
   * Settles once every thread of this domain that is live now, on any processor, has ended. A thread that begins later
   * is waited for only if it begins on a processor where an earlier grace period still waits for a thread, which keeps the
   * generations from being swapped: so a grace period lasts at most as long as two threads in a row. Requests made while a grace period is under way share the next one; `expedited` ones begin their
   * own at once. Cost: on an idle machine about a microsecond and no message, else one message to each processor
   * that has live threads, and its answer. Nothing is polled.
   * @throws GracePeriodDeadlockError inside a synchronous thread of the domain (in prove mode inside an asynchronous one
   *   as well); GracePeriodDeadlineError, which names the threads waited for; the signal's reason; MachineClosedError,
   *   NotAttachedError, InvalidArgumentError.
   */
  synchronize(options: SynchronizeOptions = {}): Promise<void> {
    return this.#local.synchronize(options);
  }

  /**
   * Has `callback` run on this processor once every thread of this domain that is live now, on any processor, has ended
   * (RCU's `call_rcu`). Callbacks run in the order in which they were handed in, in tasks of their own, at most a few
   * milliseconds at a time. One that throws becomes an uncaught exception and keeps no other from running.
   * `Machine.close` and `leave` wait for callbacks still pending; if this processor dies, they die with it: what must
   * happen all the same is handed in with `callPortable`.
   * @returns false above the high-water mark (100 000 pending): then await `drained` before handing in more.
   * @throws CallbackOverflowError, MachineClosedError, NotAttachedError, InvalidArgumentError; nothing is handed in then.
   */
  call(callback: () => void): boolean {
    if (typeof callback !== 'function') throw new InvalidArgumentError('call needs a function.');
    return this.#local.call(callback);
  }

  /**
   * As `call`, for an exported function and clonable arguments, which also runs (on the host, processor 0, after a grace
   * period of its own) if this processor is gone before it has begun it. Not run a second time: one that this processor
   * died in is reported on `k42:rcu:callback` and as a warning. Settles when it is handed in; its function, if it is
   * asynchronous, is not waited for. Cost: a message.
   * @throws what loading the module throws, NoSuchExportError, DataCloneError; as `call`.
   */
  async callPortable(target: Target, args: readonly unknown[] = []): Promise<boolean> {
    const named = this.#local.part.processor.resolve(target);
    const run = await importFunction(named);
    return callPortable(this.#local, named, run, args);
  }

  /**
   * Has `reclaim(object)` run after a grace period, as `call` does (C++26's `rcu_retire`).
   * @throws DoubleRetireError if the object is retired already and not reclaimed; as `call`.
   */
  retire<T extends object>(object: T, reclaim: (object: T) => void): boolean {
    if ((typeof object !== 'object' && typeof object !== 'function') || object === null)
      throw new InvalidArgumentError('Only an object can be retired.');
    if (typeof reclaim !== 'function')
      throw new InvalidArgumentError('retire needs a function that reclaims.');
    const { retired } = this.#local.part;
    // In prove mode it may have been read in a thread: what is retired is the object itself.
    const itself = unguarded(object);
    if (retired.has(itself)) throw new DoubleRetireError();
    const more = this.#local.call(() => {
      retired.delete(itself);
      reclaim(itself);
    });
    retired.add(itself);
    return more;
  }

  /**
   * Settles when fewer than half the high-water mark of this processor's callbacks are pending. Outside threads of the
   * domain: their grace period would wait for the thread. @throws as `synchronize`
   */
  drained(options: WaitOptions = {}): Promise<void> {
    return this.#local.drained(options);
  }

  /** Callbacks handed in on this processor that have not run. */
  get callbacksPending(): number {
    return this.#local.partIfAny?.callbacks.pending ?? 0;
  }

  /**
   * Settles when every callback of this domain that has been handed in until now, on any processor, has run, those
   * inherited from dead processors included (RCU's `rcu_barrier`). Does not wait for those handed in later.
   * @throws as `synchronize`
   */
  barrier(options: WaitOptions = {}): Promise<void> {
    return this.#local.barrier(options);
  }

  // Polling

  /** Starts a grace period and gives a cookie by which anybody may ask whether it is over. Clonable. @throws NotAttachedError */
  startPoll(): Cookie {
    const { gracePeriods } = this.#local.part;
    const cookie: Cookie = { domain: this.name, targets: gracePeriods.targets() };
    // So that it comes to an end without anybody waiting. Stamped later, hence at least as far.
    gracePeriods.join();
    return cookie;
  }

  /**
   * Whether every thread that was live when the cookie was made has ended. Does not wait; once it has said no, this
   * processor sees to it that the grace period comes to an end. Cost: some atomic loads per processor.
   * @throws InvalidArgumentError, NotAttachedError
   */
  poll(cookie: Cookie): boolean {
    if (cookie.domain !== this.name)
      throw new InvalidArgumentError(`This cookie is of domain ${cookie.domain}, not of ${this.name}.`);
    const { gracePeriods } = this.#local.part;
    if (cookie.targets.every((target) => gracePeriods.isReached(target))) return true;
    // Whoever has started it may be gone: from now on this processor sees to it that it comes to an end.
    gracePeriods.join();
    return false;
  }

  /** Settles once `poll` says so: at once where it is over already, else after a grace period. @throws as `synchronize` */
  async conditional(cookie: Cookie, options: SynchronizeOptions = {}): Promise<void> {
    if (!this.poll(cookie)) await this.synchronize(options);
  }

  // Looking

  /** Threads of this domain that are live on this processor, those counted by hand included. */
  get liveThreads(): number {
    return this.#local.threads.live;
  }

  /** Live threads of this processor that are known by name: asynchronous ones and guards, oldest first. */
  namedThreads(): LiveThread[] {
    return this.#local.threads.named();
  }

  /** This processor's part of the domain. */
  view(): DomainView {
    return this.#local.view();
  }

  /** In prove mode: whether the running work is inside a live thread of this domain. @throws InvalidArgumentError otherwise */
  isInsideThread(): boolean {
    if (!isProving()) throw new InvalidArgumentError('Only a machine booted with prove: true knows that.');
    return this.#local.threads.insideThread || isInsideProved(this.#local.threads);
  }
}

function checkedLimits(limits: Partial<CallbackLimits> | undefined): CallbackLimits | undefined {
  if (limits === undefined) return undefined;
  const { highWaterMark = 100_000, max = 16_777_216 } = limits;
  for (const limit of [highWaterMark, max]) {
    if (!Number.isInteger(limit) || limit < 2)
      throw new InvalidArgumentError(`A limit of callbacks is an integer from 2, not ${limit}.`);
  }
  return { highWaterMark, max };
}

/** The machine's own domain. */
export const rcu: Domain = Domain.named(MACHINE_DOMAIN);

/** Runs a function as a thread of the machine's domain: `rcu.spawn`. */
export function spawn<R>(work: () => R): R {
  return machineDomain.spawn(work);
}

/** A function each of whose calls is a thread: for callbacks and request handlers. Keeps `this`. */
export function asThread<This, A extends unknown[], R>(
  work: (this: This, ...args: A) => R,
  domain: Domain = rcu,
): (this: This, ...args: A) => R {
  return function (this: This, ...args: A): R {
    return domain.spawn(() => work.apply(this, args), work);
  };
}

/** A reference of the machine's domain: `rcu.publish`. */
export function publish<T>(value: T): Published<T> {
  return new Published(value);
}

export interface GuardOptions {
  /**
   * Watch calls of its methods: a promise that one gives is rejected with an OutsideThreadError (whose `cause` is the place
   * of the call) if the thread ends, or announces a quiescent state, before the call is done; an iterator that one gives
   * may be advanced only while the thread lasts. Default false: what methods give is not followed.
   */
  readonly calls?: boolean;
}

/**
 * For layers that give out references of their own: in prove mode gives a stand-in for an object, by which it may be used
 * only while the thread of the machine's domain that runs now lasts; else the value itself, at the cost of a look at a
 * variable. The same object is the same stand-in while no quiescent state is announced. Fields it leads to are guarded as
 * well; methods run on the object itself. With `calls`, a promise that a method gives is another one for its caller, and
 * one that nobody handles is an unhandled rejection when the thread ends first.
 * @throws OutsideThreadError in prove mode, where the caller is in no thread spawned or entered; a thread counted by hand
 *   (`beginThread`) does not show.
 */
export function guardInThread<T>(value: T, options: GuardOptions = {}): T {
  return isProving() ? guardReference(machineDomain.threads, value, options.calls === true) : value;
}

/** Counts a thread in by hand; pair it with exactly one `endThread`. For layers that count calls; prefer `spawn`. */
export function beginThread(): Generation {
  return machineDomain.threads.begin();
}

/** Counts a thread out of the generation that `beginThread` returned. */
export function endThread(generation: Generation): void {
  machineDomain.threads.end(generation);
}

/**
 * Calls back, in a task of its own, when all threads that are live now on *this* processor have ended, wherever the
 * others are. Never before the current turn is over. Cost: one task of the event loop when there are none.
 */
export function whenThreadsElapsed(callback: () => void): void {
  machineDomain.threads.whenElapsed(() => setImmediate(callback));
}
