/**
 * Prove mode: references are used inside threads only, or it throws (after Linux's PROVE_RCU).
 *
 * Every thread leaves a *proof* in the asynchronous context of its work. A reference is handed out only where a live
 * proof of its domain is found, as a proxy that asks again at every use whether that very thread still lasts and has not
 * announced a quiescent state since (`guard.ts`). None of this exists, and nothing is paid for it, unless the machine was
 * booted with `prove: true`; then a thread costs about a microsecond and a use of a reference some hundred nanoseconds.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { OutsideThreadError } from '../errors.ts';
import { Lease } from './guard.ts';
import type { Thread } from './thread.ts';
import { isThenable, type Named, nameOf, type Threads } from './threads.ts';

/** What proves that work runs inside a thread. */
interface Proof {
  readonly threads: Threads;
  readonly outer: Proof | undefined;
  isLive(): boolean;
  /** Another one when the references obtained before may not be used any more although the thread goes on. */
  lease: Lease;
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
  const lease = new Lease(nameOf(source));
  const proof: Proof = { threads, outer: outer(), isLive: () => lease.ending === undefined, lease };
  const end = (): void => lease.end('ended');
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
  const lease = new Lease(thread.name);
  const proof: Proof = { threads, outer: outer(), isLive: () => thread.active, lease };
  thread.onVoid = (ending) => {
    proof.lease.end(ending);
    proof.lease = new Lease(thread.name);
  };
  storage.enterWith(proof);
}

/** @throws OutsideThreadError if the running work is in no thread of any domain: a word does not say whose it is */
export function assertInsideAny(): void {
  if (!isInsideAny()) throw new OutsideThreadError('A published word was read outside any thread');
}

/**
 * Guards a value that the running work has obtained: objects and functions become proxies, and so do those they lead to,
 * that may be used only while the thread that obtained them lasts (`guard.ts`).
 * @param calls whether its calls, too, are seen to end before the thread does
 * @throws OutsideThreadError if the running work is in no thread of the domain.
 */
export function guardReference<T>(threads: Threads, value: T, calls = false): T {
  const proof = proofOf(threads);
  if (proof === undefined)
    throw new OutsideThreadError('A reference was obtained outside any thread of its domain');
  return proof.lease.guard(value, calls);
}
