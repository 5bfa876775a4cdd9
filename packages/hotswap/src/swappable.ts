/**
 * What an implementation adds to be swappable: the protocols it speaks, and a Root that can be taken apart and put
 * together again in parts.
 *
 * A transfer is a list of *parts*, one per block of the old object:
 *
 * | part | how often | moved by |
 * |---|---|---|
 * | root | once, also of an object nobody ever called | any participant |
 * | share | for each share in machine memory that exists, those of departed processors included | any participant |
 * | rep | for each processor that has a Rep of the old object | that processor |
 *
 * A part that carries nothing exports `undefined` and is not imported. Parts are moved on all participants in parallel.
 */
import type { AnyImplementation, Root } from '@k42/clustered';

/** A piece of an object's state. `share` is the number of a processor or cluster, `offset` where its bytes are. */
export type Part =
  | { readonly kind: 'root' }
  | { readonly kind: 'share'; readonly share: number; readonly offset: number }
  | { readonly kind: 'rep'; readonly processor: number };

/**
 * Methods of a swappable Root. All of them may call other objects. For interfaces that have synchronous methods or iterators
 * they must be synchronous (`freeze` and `thaw` need not): they run while the processors are stopped. For interfaces of
 * asynchronous methods only they may return promises.
 */
export interface SwappableRoot {
  /**
   * Gives a part of the state in the protocol agreed on. Changes nothing in this object: the swap may yet be aborted.
   * By reference (offsets in machine memory, structures of the same thread, resolvers of transferable waiting calls) beats
   * by value.
   */
  exportPart(protocol: string, part: Part): unknown;
  /**
   * Takes a part in, aside: neither modifies nor owns what it is given by reference. Imports of different parts run
   * concurrently on different processors; what other processors' views must see goes into machine memory.
   */
  importPart(protocol: string, part: Part, exported: unknown): unknown;
  /**
   * On the new Root, on every participant, when every part has been imported: throws (or rejects), or gives `false`, if
   * the new object is not as it should be. Then the swap is aborted.
   */
  validate?(protocol: string): unknown;
  /** Bytes that an exported part was copied to, for the report. Default: those of a buffer, a view or a string. */
  bytesOf?(protocol: string, part: Part, exported: unknown): number;
  /**
   * On the new Root, after the swap is decided: it owns now what it took in by reference. It hands over ownership, not
   * readiness: on other processors calls may have begun already. Runs once; a second time, on another processor, if the one
   * that ran it died before it had said that it is done. Must not throw.
   */
  adopt?(): void;
  /** On the old Root, after `adopt`, likewise: it no longer owns what it gave by reference. Must not throw. */
  relinquish?(): void;
  /**
   * On the old Root, on every participant, before it becomes ready: stops background work (timers, write-back), which is no
   * call and which nobody waits for. Calls may still come until the transfer begins; they must start none. May be asynchronous.
   */
  freeze?(): unknown;
  /** On the old Root, where `freeze` has succeeded, after an abort: background work goes on. */
  thaw?(): unknown;
}

/** Static side of a swappable Root class: protocols by name and version (`"counter/total@1"`), best first. */
export interface SwappableRootClass {
  readonly exports?: readonly string[];
  readonly imports?: readonly string[];
  /** Whether this class's imports must not begin before all parts of the old object have been exported. Default false. */
  readonly importsAfterAllExports?: boolean;
}

/** Protocols in which an implementation can give its state, best first; none if it cannot be swapped out. */
export function exportsOf(implementation: Pick<AnyImplementation, 'Root'>): readonly string[] {
  return (implementation.Root as SwappableRootClass).exports ?? [];
}

/** Protocols in which an implementation can take state, best first. */
export function importsOf(implementation: Pick<AnyImplementation, 'Root'>): readonly string[] {
  return (implementation.Root as SwappableRootClass).imports ?? [];
}

/** Whether imports into this Root wait for all exports. */
export function importsAfterAllExports(root: Root<object>): boolean {
  return (root.constructor as SwappableRootClass).importsAfterAllExports === true;
}

/** A Root as a swappable one. @throws TypeError if it lacks the methods its class's protocols promise. */
export function asSwappable(root: Root<object>): Root<object> & SwappableRoot {
  const candidate = root as Root<object> & Partial<SwappableRoot>;
  if (typeof candidate.exportPart !== 'function' || typeof candidate.importPart !== 'function') {
    throw new TypeError(`${root.constructor.name} has no exportPart and importPart.`);
  }
  return candidate as Root<object> & SwappableRoot;
}

/** A part, in words. */
export function partToString(part: Part): string {
  switch (part.kind) {
    case 'root':
      return 'the root part';
    case 'share':
      return `share ${part.share}`;
    case 'rep':
      return `the Rep of processor ${part.processor}`;
  }
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
