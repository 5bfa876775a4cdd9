/** Seeded random numbers: the same seed gives the same choices. What runs in parallel still interleaves as it likes. */

export type Random = (below: number) => number;

/** Integers from 0 to below `below` (mulberry32). */
export function randomFrom(seed: number): Random {
  let state = seed | 0;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

/** A seed of its own for each of many that share one. */
export function seedOf(seed: number, ...path: readonly number[]): number {
  let mixed = seed | 0;
  for (const step of path) mixed = Math.imul(mixed ^ (step + 0x9e3779b9), 0x85ebca6b) ^ (mixed >>> 13);
  return mixed | 0;
}

export function pick<T>(random: Random, list: readonly T[]): T {
  return list[random(list.length)] as T;
}

/** The same list in a random order. */
export function shuffled<T>(random: Random, list: readonly T[]): T[] {
  const mixed = [...list];
  for (let index = mixed.length - 1; index > 0; index--) {
    const other = random(index + 1);
    [mixed[index], mixed[other]] = [mixed[other] as T, mixed[index] as T];
  }
  return mixed;
}
