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
  const proof: Proof = { threads, name, outer: outer(), isLive: () => live, epoch: 0 };
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
  };
  thread.onQuiescent = () => {
    proof.epoch++;
  };
  storage.enterWith(proof);
}

/**
 * Guards a value that was read from a published reference: objects and functions become proxies that may be used only
 * while the thread that read them lasts. @throws OutsideThreadError if the running work is in no thread of the domain.
 */
export function guardReference<T>(threads: Threads, value: T): T {
  const proof = proofOf(threads);
  if (proof === undefined)
    throw new OutsideThreadError('A published reference was read outside any thread of its domain');
  if ((typeof value !== 'object' || value === null) && typeof value !== 'function') return value;
  const { epoch, name } = proof;
  const check = (): void => {
    if (!proof.isLive())
      throw new OutsideThreadError(`A reference was used after the thread that read it (${name}) had ended`);
    if (proof.epoch !== epoch)
      throw new OutsideThreadError(
        `A reference was used after a quiescent state of the thread that read it (${name})`,
      );
  };
  return new Proxy(value as object, checkingHandler(check)) as T;
}

function checkingHandler(check: () => void): ProxyHandler<object> {
  return {
    get(target, key) {
      check();
      const found: unknown = Reflect.get(target, key, target);
      if (typeof found !== 'function') return found;
      const property = Reflect.getOwnPropertyDescriptor(target, key);
      // What is neither writable nor configurable must be given as it is.
      if (property !== undefined && !property.configurable && property.writable === false) return found;
      // Methods run on the object itself: its private fields and internal slots are not the proxy's.
      return (...args: unknown[]) => {
        check();
        return Reflect.apply(found, target, args);
      };
    },
    set(target, key, value) {
      check();
      return Reflect.set(target, key, value, target);
    },
    has(target, key) {
      check();
      return Reflect.has(target, key);
    },
    deleteProperty(target, key) {
      check();
      return Reflect.deleteProperty(target, key);
    },
    ownKeys(target) {
      check();
      return Reflect.ownKeys(target);
    },
    getOwnPropertyDescriptor(target, key) {
      check();
      return Reflect.getOwnPropertyDescriptor(target, key);
    },
    apply(target, self, args) {
      check();
      return Reflect.apply(target as (...args: unknown[]) => unknown, self, args);
    },
  };
}
