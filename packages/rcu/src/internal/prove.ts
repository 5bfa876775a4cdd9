/**
 * Prove mode: references are used inside threads only, or it throws (after Linux's PROVE_RCU).
 *
 * Every thread leaves a *proof* in the asynchronous context of its work. A reference is handed out only where a live
 * proof of its domain is found, as a proxy that asks again at every use whether that very thread still lasts and has not
 * announced a quiescent state since. None of this exists, and nothing is paid for it, unless the machine was booted with
 * `prove: true`; then a thread costs about a microsecond and a use of a reference some hundred nanoseconds.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { OutsideThreadError } from '../errors.ts';
import type { Thread } from './thread.ts';
import { isThenable, type Named, nameOf, type Threads } from './threads.ts';

/** What proves that work runs inside a thread. */
interface Proof {
  readonly threads: Threads;
  readonly name: string;
  readonly outer: Proof | undefined;
  isLive(): boolean;
  /** Changes when references obtained before may not be used any more although the thread goes on. */
  epoch: number;
  /** What has been handed out in this epoch, by what it guards: the same object is the same proxy. */
  guarded: WeakMap<object, object>;
}

const storage = new AsyncLocalStorage<Proof>();
let proving = false;

/** Whether this JavaScript thread proves. */
export function isProving(): boolean {
  return proving;
}

export function setProving(on: boolean): void {
  proving = on;
}

/** The innermost live thread of a domain that the running work belongs to. */
function proofOf(threads: Threads): Proof | undefined {
  for (let proof = storage.getStore(); proof !== undefined; proof = proof.outer)
    if (proof.threads === threads && proof.isLive()) return proof;
  return undefined;
}

/** Whether the running work belongs to a live thread of any domain. */
function isInsideAny(): boolean {
  for (let proof = storage.getStore(); proof !== undefined; proof = proof.outer)
    if (proof.isLive()) return true;
  return false;
}

/** Whether the running work belongs to a live thread of a domain. Known in prove mode only. */
export function isInsideProved(threads: Threads): boolean {
  return proving && proofOf(threads) !== undefined;
}

/** The proofs further out that still count: a chain of the dead would grow for ever. */
function outer(): Proof | undefined {
  let proof = storage.getStore();
  while (proof !== undefined && !proof.isLive()) proof = proof.outer;
  return proof;
}

/** Runs work as a thread that leaves its proof. */
export function runProved<R>(threads: Threads, work: () => R, source: Named): R {
  let live = true;
  const name = nameOf(source);
  const proof: Proof = {
    threads,
    name,
    outer: outer(),
    isLive: () => live,
    epoch: 0,
    guarded: new WeakMap(),
  };
  const end = (): void => {
    live = false;
  };
  // What it gives is kept aside: it may be a reference, which nobody may look at once the thread has ended.
  let result: R | undefined;
  const proved = (): Promise<unknown> | undefined => {
    try {
      result = storage.run(proof, work);
      if (isThenable(result)) return Promise.resolve(result).finally(end);
    } catch (error) {
      end();
      throw error;
    }
    end();
    return undefined;
  };
  return (threads.run(proved, source) ?? result) as R;
}

/** Leaves the proof of a thread held by hand in the running context, for what follows in it. */
export function proveThread(threads: Threads, thread: Thread): void {
  const proof: Proof = {
    threads,
    name: thread.name,
    outer: outer(),
    isLive: () => thread.active,
    epoch: 0,
    guarded: new WeakMap(),
  };
  thread.onQuiescent = () => {
    proof.epoch++;
    proof.guarded = new WeakMap();
  };
  storage.enterWith(proof);
}

/** @throws OutsideThreadError if the running work is in no thread of any domain: a word does not say whose it is */
export function assertInsideAny(): void {
  if (!isInsideAny()) throw new OutsideThreadError('A published word was read outside any thread');
}

/**
 * Guards a value that was read from a published reference: objects and functions become proxies, and so do those they
 * lead to, that may be used only while the thread that read them lasts. What their methods give is not guarded.
 * @throws OutsideThreadError if the running work is in no thread of the domain.
 */
export function guardReference<T>(threads: Threads, value: T): T {
  const proof = proofOf(threads);
  if (proof === undefined)
    throw new OutsideThreadError('A published reference was read outside any thread of its domain');
  return new Guard(proof).guard(value) as T;
}

const targets = new WeakMap<object, object>();

/** The object itself, of a proxy or not. */
export function unguarded<T>(value: T): T {
  return (targets.get(value as object) ?? value) as T;
}

/** Makes the proxies of one epoch of one thread. */
class Guard implements ProxyHandler<object> {
  readonly #proof: Proof;
  readonly #epoch: number;
  readonly #guarded: WeakMap<object, object>;

  constructor(proof: Proof) {
    this.#proof = proof;
    this.#epoch = proof.epoch;
    this.#guarded = proof.guarded;
  }

  guard(value: unknown): unknown {
    if ((typeof value !== 'object' || value === null) && typeof value !== 'function') return value;
    const itself = unguarded(value);
    let proxy = this.#guarded.get(itself);
    if (proxy === undefined) {
      proxy = new Proxy(itself, this);
      this.#guarded.set(itself, proxy);
      targets.set(proxy, itself);
    }
    return proxy;
  }

  #check(): void {
    const { name } = this.#proof;
    if (!this.#proof.isLive())
      throw new OutsideThreadError(`A reference was used after the thread that read it (${name}) had ended`);
    if (this.#proof.epoch !== this.#epoch)
      throw new OutsideThreadError(
        `A reference was used after a quiescent state of the thread that read it (${name})`,
      );
  }

  get(target: object, key: PropertyKey): unknown {
    // A promise that is resolved with a reference asks whether it is one itself; that is no use of it.
    if (key === 'then' && !(key in target)) return undefined;
    this.#check();
    const found: unknown = Reflect.get(target, key, target);
    const property = Reflect.getOwnPropertyDescriptor(target, key);
    // What is neither writable nor configurable must be given as it is.
    if (property !== undefined && !property.configurable && property.writable === false) return found;
    return this.guard(found);
  }

  set(target: object, key: PropertyKey, value: unknown): boolean {
    this.#check();
    return Reflect.set(target, key, unguarded(value), target);
  }

  has(target: object, key: PropertyKey): boolean {
    this.#check();
    return Reflect.has(target, key);
  }

  deleteProperty(target: object, key: PropertyKey): boolean {
    this.#check();
    return Reflect.deleteProperty(target, key);
  }

  ownKeys(target: object): ArrayLike<string | symbol> {
    this.#check();
    return Reflect.ownKeys(target);
  }

  getOwnPropertyDescriptor(target: object, key: PropertyKey): PropertyDescriptor | undefined {
    this.#check();
    return Reflect.getOwnPropertyDescriptor(target, key);
  }

  apply(target: object, self: unknown, args: unknown[]): unknown {
    this.#check();
    // A method runs on the object itself: its private fields and internal slots are not the proxy's.
    return Reflect.apply(target as (...args: unknown[]) => unknown, unguarded(self), args.map(unguarded));
  }

  construct(target: object, args: unknown[]): object {
    this.#check();
    return Reflect.construct(target as new (...args: unknown[]) => object, args.map(unguarded));
  }
}
