/**
 * Program of K42's own object tests: cells (those of the stress tests), listed in machine memory where every processor finds them
 * and one takes each to destroy it.
 */
import { currentProcessor, spawn } from '@k42/rcu';
import { randomFrom, shuffled } from '@k42/tooling/random';
import { DREF, destroy, handle, reviveCoid, type StoredCoid } from '../../src/index.ts';
import { CELLS, type Cell, Common, createCell, identityOf } from './stress.ts';

/** Makes so many cells, of all implementations in turn, and lists them from a place on. */
export function makeCells(first: number, count: number): void {
  const common = new Common(currentProcessor().memory);
  for (let index = 0; index < count; index++) {
    const stored = createCell(CELLS[index % CELLS.length] as (typeof CELLS)[number]);
    common.exchange(first + index, identityOf(stored));
  }
}

/** Calls so many cells, in order or at random, in every way; gives the failures. */
export async function callCells(
  first: number,
  count: number,
  times: number,
  seed: number,
): Promise<string[]> {
  const common = new Common(currentProcessor().memory);
  const failures: string[] = [];
  const is = (way: string, found: number, expected: number): void => {
    if (found !== expected) failures.push(`${way}: ${found} answered for ${expected}`);
  };
  const places = Array.from({ length: count }, (_none, index) => first + index);
  for (let time = 0; time < times; time++) {
    for (const place of seed === 0 ? places : shuffled(randomFrom(seed + time), places)) {
      const expected = common.at(place);
      const coid = reviveCoid((expected - 1) as StoredCoid<Cell>);
      try {
        is('handle', handle(coid).identity(), expected);
        spawn(() => is('DREF', DREF(coid).identity(), expected));
        is('later', await handle(coid).later(1), expected);
        for (const found of await handle(coid).everywhere()) is('everywhere', found, expected);
      } catch (error) {
        failures.push(`${expected}: ${error}`);
      }
    }
  }
  return failures;
}

/** Takes every cell that nobody else has taken, and destroys it; gives how many. All processors may do it at once. */
export async function destroyOnce(first: number, count: number, seed: number): Promise<number> {
  const common = new Common(currentProcessor().memory);
  const places = Array.from({ length: count }, (_none, index) => first + index);
  const taken = shuffled(randomFrom(seed), places)
    .map((place) => common.exchange(place, 0))
    .filter((identity) => identity !== 0);
  await Promise.all(taken.map((identity) => destroy(reviveCoid((identity - 1) as StoredCoid<Cell>))));
  return taken.length;
}
