/**
 * Goal: the torture tests notice what they are there to notice.
 * Method: copies of the sources that are broken in one place each (`torture/mutants.ts`) run the scenario that has to fail, with
 * what it has to say; the copy that is not broken passes all of them, and so does one with four generations.
 */
import { describe, expect, test } from 'vitest';
import { runApart } from './torture/apart.ts';
import { MUTANTS } from './torture/mutants.ts';
import { SEED, shortForm } from './torture/short.ts';
import { FOUR_GENERATIONS, makeVariant } from './torture/variants.ts';

/** Mutants that hang are given up after this; it is enough for what does not hang, on a busy machine. */
const MUTANT_WAIT_MS = 2500;
const AT_A_TIME = 2;

/** Lets so many go on at a time. */
let free = AT_A_TIME;
const queue: (() => void)[] = [];
async function inTurn<T>(work: () => Promise<T>): Promise<T> {
  if (free > 0) free--;
  else await new Promise<void>((go) => queue.push(go));
  try {
    return await work();
  } finally {
    const next = queue.shift();
    if (next === undefined) free++;
    else next();
  }
}

const scenarios = [...new Set(MUTANTS.map(({ scenario }) => scenario))];
const options = { timeout: 150_000 };

describe.concurrent('broken on purpose', () => {
  for (const [index, { name, scenario, seen, edits }] of MUTANTS.entries()) {
    test(`${name}: ${scenario}`, options, () =>
      inTurn(async () => {
        const root = makeVariant(`mutant-${index}`, edits);
        const { error = 'Nothing was noticed.' } = await runApart({
          scenario,
          seed: SEED,
          scale: 1,
          root,
          waitMs: MUTANT_WAIT_MS,
          deadlineMs: 30_000,
        });
        expect(error).toMatch(seen);
      }),
    );
  }
});

describe.concurrent.each([
  { name: 'not broken', edits: [] },
  { name: 'four generations', edits: FOUR_GENERATIONS },
])('$name', ({ name, edits }) => {
  const root = makeVariant(name.replaceAll(' ', '-'), edits);
  for (const scenario of scenarios) {
    test(scenario, options, () =>
      inTurn(async () => {
        // Deaths at random points have a test of their own.
        const scale = scenario === 'kill' ? 1 / 3 : 1;
        expect(await shortForm(scenario, 'mutants.test.ts', { root, scale })).toBeUndefined();
      }),
    );
  }
});
