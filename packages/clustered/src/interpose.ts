/**
 * `@k42/clustered/interpose`: what it takes to put another Root behind a COID that is in use.
 *
 * For layers that exchange implementations, such as `@k42/hotswap`. Nothing here checks that the exchange is safe:
 * quiescence, state and the fate of the old Root are the caller's business. All functions act on the calling
 * processor's view and need it attached.
 */

import { ObjectGoneError } from './errors.ts';
import type { AnyImplementation, Implementation } from './implementations.ts';
import type { AnyInterface } from './interfaces.ts';
import { STATE } from './internal/layout.ts';
import { OpenCalls } from './internal/openCalls.ts';
import { implementationNamed as registered } from './internal/registry.ts';
import { members } from './internal/sets.ts';
import { objects } from './internal/system.ts';
import type { Root } from './root.ts';

export type { AnyImplementation } from './implementations.ts';
export { type Around, countOpenIterator, OpenCalls } from './internal/openCalls.ts';
export { bit, members } from './internal/sets.ts';
export type { Interceptor } from './internal/slots.ts';

/** What an entry says while nothing can change it. */
export interface EntryView {
  readonly root: bigint;
  readonly sequence: number;
  /** Processors that ever had a slot of the object, as bits. */
  readonly touched: bigint;
}

/**
 * Makes a Root without a COID: record and state only. It serves `asInterface` (a mediator serves whichever interface
 * its target has).
 */
export function createRoot<A>(
  implementation: Implementation<object, A>,
  asInterface: AnyInterface,
  argument: A,
): bigint {
  return objects().records.create(implementation, asInterface, argument);
}

/** This processor's view of a Root, made if there is none. The caller keeps the Root from being reclaimed. */
export function rootView(word: bigint): Root<object> {
  return objects().records.view(word);
}

/** This processor's view of a Root, if it has one. */
export function rootViewIfAny(word: bigint): Root<object> | undefined {
  return objects().records.viewIfAny(word);
}

/** Name and classes of a Root's implementation. @throws NotLoadedError */
export function implementationOf(word: bigint): AnyImplementation {
  return objects().records.implementation(word);
}

/** The interface a Root serves. The caller keeps the Root from being reclaimed. @throws NotLoadedError */
export function interfaceServedBy(word: bigint): AnyInterface {
  return objects().records.interface(word);
}

/**
 * The Root word of an object, whose Root this processor may use until its turn ends: from now on nothing of the object is
 * reclaimed before this processor has been asked. @throws ObjectGoneError, NotLoadedError
 */
export function holdRoot(coid: number): bigint {
  // A slot makes the processor one of those that destruction and release ask.
  objects().slot(coid);
  return objects().gtt.root(coid);
}

/**
 * Runs `held` with the object's entry locked for writing (no miss in progress anywhere, and nothing on its way that a
 * departed processor has left; and `isReady` says so), in a turn of its own.
 * @throws ObjectGoneError if the object is not live; DeadlineError.
 */
export async function withEntryLocked<R>(
  coid: number,
  held: (entry: EntryView) => R,
  deadlineMs?: number,
  isReady: (entry: EntryView) => boolean = () => true,
): Promise<R> {
  const { gtt, records, inheriting } = objects();
  const sequence = objects().sequenceOf(coid);
  const view = (): EntryView => ({ root: gtt.root(coid), sequence, touched: gtt.touched(coid) });
  const isLive = (): boolean => gtt.sequence(coid) === sequence && gtt.state(coid) === STATE.LIVE;
  return gtt.writeLocked(
    coid,
    () => {
      if (!isLive()) throw new ObjectGoneError(coid);
      return held(view());
    },
    deadlineMs,
    () => {
      if (!isLive()) return true;
      if (!isReady(view())) return false;
      const { departed, inherited } = records.departures(gtt.root(coid));
      // One that was killed while it departed has left a count that never comes right.
      return departed === inherited || !inheriting.isAny();
    },
  );
}

/** The implementation of that name, if this thread has defined it. */
export function implementationNamed(name: string): AnyImplementation | undefined {
  return registered(name);
}

/** Swings the Root word by compare-and-swap; false if it no longer was `from`. */
export function swingRoot(coid: number, from: bigint, to: bigint): boolean {
  return objects().gtt.swing(coid, from, to);
}

/** The Root word just now. */
export function currentRoot(coid: number): bigint {
  return objects().gtt.root(coid);
}

/**
 * Puts the default object back into this processor's slot, if it has one of that sequence: the next call misses.
 * Between turns only; calls in flight are the caller's business. Gives the count of waiting calls and iterators that are
 * open until now, if there are any; later ones are counted elsewhere.
 */
export function resetSlot(coid: number, sequence: number): OpenCalls | undefined {
  const slot = objects().ltt.get(coid);
  if (slot === undefined || slot.$sequence !== sequence) return undefined;
  objects().reset(slot);
  const open = slot.$open;
  if (open === undefined || open.count === 0) return undefined;
  slot.$open = new OpenCalls(open);
  return open;
}

/**
 * Calls a method of the object as it is now on this processor: through the table, for Reps that have been replaced.
 * @throws ObjectGoneError if the object of that sequence number is gone
 */
export function redispatch(coid: number, sequence: number, method: string, args: unknown[]): unknown {
  return objects().redispatch(coid, sequence, method, args);
}

/** Frees a Root that nobody can reach any more, after its `reclaim` hook. */
export function reclaimRoot(word: bigint): void {
  objects().reclaim(word);
}

/** Frees a Root without looking at it: one that was never seen by anybody, or has nothing to reclaim. */
export function discardRoot(word: bigint): void {
  objects().discard(word);
}

/** Cleans up and forgets this processor's view of a Root that is about to be reclaimed by another. Not at a stop point. */
export function forgetRoot(word: bigint): void {
  objects().cleanUp(word);
  objects().records.forget(word);
}

/** The processors in a set that have Clustered Objects, ascending: numbers of the dead may have gone to others. */
export function membersOf(set: bigint): number[] {
  return objects().members.of(set);
}

/** Processors on which a Root has made a Rep, ascending. */
export function repProcessors(word: bigint): number[] {
  return members(objects().records.reps(word));
}

/** Keeps a Root from being reclaimed until a promise has settled, for use on this processor that is no thread. */
export function keepRoot(word: bigint, until: Promise<unknown>): void {
  objects().keep(word, until);
}

/** Calls back, between turns, when nothing on this processor can be using these Roots any more: no thread, no keeper. */
export function whenRootsUnused(words: readonly bigint[], callback: () => void): void {
  objects().whenUnused(words, callback);
}

/** Processors that ever had a slot of an object, ascending. May grow at any time. */
export function touchedProcessors(coid: number): number[] {
  return members(objects().gtt.touched(coid));
}

/** Keeps the machine from closing before `work` has settled. */
export function finishBeforeClose(work: Promise<unknown>): void {
  const own = objects();
  const ended = (): void => own.workEnds();
  own.workBegins();
  work.then(ended, ended);
}
