/**
 * Guards: proxies by which what a thread has obtained is used while the thread lasts, and not any longer.
 *
 * A thread holds a *lease*: it begins with the thread and is over when the thread ends or announces a quiescent state; then the
 * next one begins, if the thread goes on. An object is given out as a proxy, the same one throughout a lease, which asks at
 * every use whether its lease still runs. What a field leads to is guarded in turn. Methods run on the object itself, whose
 * private fields and internal slots are not the proxy's; what they give is the caller's own, not guarded.
 *
 * **Calls.** Where calls are watched, a call is in progress until the promise that the method gave has settled, and its
 * caller gets a promise that settles with it. If the lease is over first, the call has outlived its thread: that promise is
 * rejected then and there, with the place of the call, though the call itself goes on. An iterator that a method gave is
 * more of the method still to run: it is guarded as a field would be.
 */
import { OutsideThreadError } from '../errors.ts';
import { isThenable } from './threads.ts';

/** Why a lease is over. */
export type Ending = 'ended' | 'quiescent';

/** The right of a thread to use what it obtains from now on. */
export class Lease {
  /** Name of the thread. */
  readonly thread: string;
  #ending: Ending | undefined;
  /** The calls in progress, as what to do when they are overtaken. */
  readonly #calls = new Set<(ending: Ending) => void>();
  #references: Guard | undefined;
  #callees: Guard | undefined;

  constructor(thread: string) {
    this.thread = thread;
  }

  /** Why it is over; undefined while it runs. */
  get ending(): Ending | undefined {
    return this.#ending;
  }

  /** Guards an object or function, and lets anything else through. @param calls whether its calls are watched */
  guard<T>(value: T, calls: boolean): T {
    if (calls) this.#callees ??= new Guard(this, true);
    else this.#references ??= new Guard(this, false);
    return ((calls ? this.#callees : this.#references) as Guard).guard(value) as T;
  }

  /** Nothing obtained under it may be used from now on, and calls in progress have outlived it. */
  end(ending: Ending): void {
    if (this.#ending !== undefined) return;
    this.#ending = ending;
    for (const overtaken of this.#calls) overtaken(ending);
    this.#calls.clear();
  }

  /** Watches a call that has not ended: gives a promise that settles as it does, or is rejected when the lease is over. */
  watch(call: PromiseLike<unknown>, method: string, place: Error): Promise<unknown> {
    // It may have ended the thread itself.
    if (this.#ending !== undefined) return Promise.reject(this.#overtaken(this.#ending, method, place));
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const overtaken = (ending: Ending): void => reject(this.#overtaken(ending, method, place));
    this.#calls.add(overtaken);
    Promise.resolve(call)
      .finally(() => this.#calls.delete(overtaken))
      .then(resolve, reject);
    return promise;
  }

  #overtaken(ending: Ending, method: string, cause: Error): OutsideThreadError {
    const what =
      ending === 'ended'
        ? `Thread ${this.thread} ended before its call of ${method} did`
        : `Thread ${this.thread} announced a quiescent state before its call of ${method} had ended`;
    return new OutsideThreadError(what, { cause });
  }
}

const targets = new WeakMap<object, object>();

/** The object itself, of a proxy or not. */
export function unguarded<T>(value: T): T {
  return (targets.get(value as object) ?? value) as T;
}

/** Makes the proxies of one lease. */
class Guard implements ProxyHandler<object> {
  readonly #lease: Lease;
  readonly #watchesCalls: boolean;
  /** By what they guard: the same object is the same proxy. */
  readonly #proxies = new WeakMap<object, object>();

  constructor(lease: Lease, watchesCalls: boolean) {
    this.#lease = lease;
    this.#watchesCalls = watchesCalls;
  }

  guard(value: unknown): unknown {
    if (!isObject(value)) return value;
    const itself = unguarded(value);
    let proxy = this.#proxies.get(itself);
    if (proxy === undefined) {
      proxy = new Proxy(itself, this);
      this.#proxies.set(itself, proxy);
      targets.set(proxy, itself);
    }
    return proxy;
  }

  #check(): void {
    const { ending, thread } = this.#lease;
    if (ending === undefined) return;
    throw new OutsideThreadError(
      ending === 'ended'
        ? `A reference was used after the thread that obtained it (${thread}) had ended`
        : `A reference was used after a quiescent state of the thread that obtained it (${thread})`,
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
    const method = target as (...args: unknown[]) => unknown;
    const itself = unguarded(self);
    const result = Reflect.apply(method, itself, args.map(unguarded));
    if (!this.#watchesCalls || !isObject(result) || targets.has(result)) return result;
    // Its own object, whose caller knows it by its proxy only.
    if (result === itself || isIterator(result)) return this.guard(result);
    if (!isThenable(result)) return result;
    const name = method.name || '(anonymous)';
    const place = new Error(`${name} was called here`);
    // From the caller on: what is above it is this proxy.
    Error.captureStackTrace(place, this.apply);
    return this.#lease.watch(result, name, place);
  }

  construct(target: object, args: unknown[]): object {
    this.#check();
    return Reflect.construct(target as new (...args: unknown[]) => object, args.map(unguarded));
  }
}

function isObject(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}

function isIterator(value: object): boolean {
  return 'next' in value && (Symbol.iterator in value || Symbol.asyncIterator in value);
}
