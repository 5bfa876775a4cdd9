/**
 * How a COID is made of a processor number and an index in its region: the number stands in the low bits.
 *
 * So the COIDs in use are the small numbers, whoever gives them out, and a table of them can be a plain array. How many bits
 * the number takes depends on how many processors the machine has room for, and is the same on all of them.
 */
import { COID_RANGE } from './layout.ts';

export class CoidFormat {
  readonly #processors: number;
  readonly #numberBits: number;
  readonly #numberMask: number;

  constructor(processors: number) {
    this.#processors = processors;
    this.#numberBits = Math.ceil(Math.log2(processors));
    this.#numberMask = (1 << this.#numberBits) - 1;
  }

  coid(region: number, index: number): number {
    return (index << this.#numberBits) | region;
  }

  /** The processor number whose region it is of. */
  region(coid: number): number {
    return coid & this.#numberMask;
  }

  index(coid: number): number {
    return coid >>> this.#numberBits;
  }

  /** Whether a number can be a COID at all. */
  couldBe(coid: number): boolean {
    return Number.isInteger(coid) && coid >= 0 && coid < COID_RANGE && this.region(coid) < this.#processors;
  }
}
