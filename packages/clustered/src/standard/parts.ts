/**
 * What the standard objects know of swaps. `@k42/hotswap` takes objects apart by methods that their Roots may have; which
 * ones, it says itself. This package does not import it.
 *
 * All state of a standard object is in machine memory, and whoever has the root part reaches all of it: it is the only part
 * that carries anything. What options say (a batch, a range, a budget) goes along with the state. An object made by a swap
 * keeps what its own argument says and takes the rest from the object before it; what it has no use for it keeps for the
 * next. `start` and the like, which say with what an object begins, mean nothing then: it begins with what the one before had.
 */

/** A piece of an object's state. */
export interface Part {
  readonly kind: string;
}

/** Whether a part is the one that carries the state. */
export function carriesState(part: Part): boolean {
  return part.kind === 'root';
}
