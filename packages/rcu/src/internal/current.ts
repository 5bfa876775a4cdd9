/**
 * Which processor this JavaScript thread is.
 *
 * A thread belongs to at most one machine at a time, so "the current processor" is a variable of the module; every
 * thread has its own copy of the module, as every K42 processor has its own mapping of one address. A second copy of
 * the package in the same thread would break exactly that, and is refused when it loads.
 */
import { AlreadyAttachedError, DuplicatePackageError, NotAttachedError } from '../errors.ts';
import type { Processor } from './processor.ts';

let current: Processor | undefined;

const attachListeners: ((processor: Processor) => void)[] = [];

/** The processor this thread is. @throws NotAttachedError */
export function currentProcessor(): Processor {
  if (current === undefined) throw new NotAttachedError();
  return current;
}

/** The processor this thread is, if it is one. */
export function currentProcessorIfAny(): Processor | undefined {
  return current;
}

/**
 * Calls back now if this thread is a processor, and again each time it becomes one. A layer above uses it to set up
 * its share of a processor: tables, handlers of system messages.
 */
export function onAttach(listener: (processor: Processor) => void): void {
  attachListeners.push(listener);
  if (current !== undefined) listener(current);
}

/** Makes this thread that processor. @throws AlreadyAttachedError */
export function attach(processor: Processor): void {
  assertDetached();
  current = processor;
  for (const listener of attachListeners) listener(processor);
}

/** @throws AlreadyAttachedError if this thread is a processor already. */
export function assertDetached(): void {
  if (current !== undefined) throw new AlreadyAttachedError(current.number);
}

/** This thread is no processor any more. */
export function detach(): void {
  current = undefined;
}

/**
 * Refuses a second copy of a package in one thread. Every K42 package calls this once, when it loads.
 * @throws DuplicatePackageError naming both copies.
 */
export function claimPackage(name: string, url: string): void {
  const key = Symbol.for(`k42:package:${name}`);
  const registry = globalThis as { [key: symbol]: string | undefined };
  const first = registry[key];
  if (first !== undefined && first !== url) throw new DuplicatePackageError(name, first, url);
  registry[key] = url;
}

claimPackage('@k42/rcu', import.meta.url);
