/**
 * What an implementation adds to be swappable: the protocols it speaks, and a Root that can be taken apart and put
 * together again in parts.
 *
 * A transfer is a list of *parts*. Every object has a root part, done once, by any one processor; and a rep part for
 * each processor that has a Rep of the old object, done there, in parallel. A part that carries nothing exports
 * `undefined` and is not imported.
 */
import type { AnyImplementation, Root } from '@k42/clustered';

/** A piece of an object's state. */
export type Part = { readonly kind: 'root' } | { readonly kind: 'rep'; readonly processor: number };

/**
 * Methods of a swappable Root. For interfaces with synchronous methods `exportPart` and `importPart` must be
 * synchronous too: they run while the processors are stopped. For interfaces of asynchronous methods only they may
 * return promises.
 */
export interface SwappableRoot {
  /**
   * Gives a part of the state in the protocol agreed on. Changes nothing in this object: the swap may yet be aborted.
   * By reference (offsets in machine memory, structures of the same thread) beats by value.
   */
  exportPart(protocol: string, part: Part): unknown;
  /**
   * Takes a part in, aside: neither modifies nor owns what it is given by reference. Imports of different parts run
   * concurrently on different processors; what other processors' views must see goes into machine memory.
   */
  importPart(protocol: string, part: Part, exported: unknown): unknown;
  /**
   * On the new Root, once, after the swap is decided: it owns now what it took in by reference. It hands over ownership,
   * not readiness: on other processors calls may have begun already. Must not throw.
   */
  adopt?(): void;
  /** On the old Root, once, after the swap is decided: it no longer owns what it gave by reference. Must not throw. */
  relinquish?(): void;
}

/** Static side of a swappable Root class: protocols by name and version (`"counter/total@1"`), best first. */
export interface SwappableRootClass {
  readonly exports?: readonly string[];
  readonly imports?: readonly string[];
}

/** Protocols in which an implementation can give its state, best first; none if it cannot be swapped out. */
export function exportsOf(implementation: Pick<AnyImplementation, 'Root'>): readonly string[] {
  return (implementation.Root as SwappableRootClass).exports ?? [];
}

/** Protocols in which an implementation can take state, best first. */
export function importsOf(implementation: Pick<AnyImplementation, 'Root'>): readonly string[] {
  return (implementation.Root as SwappableRootClass).imports ?? [];
}

/** A Root as a swappable one. @throws TypeError if it lacks the methods its class's protocols promise. */
export function asSwappable(root: Root<object>): Root<object> & SwappableRoot {
  const candidate = root as Root<object> & Partial<SwappableRoot>;
  if (typeof candidate.exportPart !== 'function' || typeof candidate.importPart !== 'function') {
    throw new TypeError(`${root.constructor.name} has no exportPart and importPart.`);
  }
  return candidate as Root<object> & SwappableRoot;
}

/**
 * The protocol two implementations agree on: of those in both lists, the one whose two places add up to the least,
 * so that both sides' wishes count alike; of equals, the one the exporter likes better.
 */
export function negotiate(exports: readonly string[], imports: readonly string[]): string | undefined {
  const common = exports.filter((protocol) => imports.includes(protocol));
  const rank = (protocol: string): number => exports.indexOf(protocol) + imports.indexOf(protocol);
  return common.toSorted((a, b) => rank(a) - rank(b) || exports.indexOf(a) - exports.indexOf(b))[0];
}
