/**
 * Goal: the reliability tests notice what they are there to notice.
 * Method: copies of the sources that are broken in one place each (`torture/mutants.ts`) run the scenario that has to fail, with
 * what it has to say. That the scenarios pass on sources that are not broken is said by the tests they belong to.
 */
import { describe, expect, test } from 'vitest';
import { runApart } from './torture/apart.ts';
import { MUTANTS } from './torture/mutants.ts';
import { makeVariant } from './torture/variants.ts';

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

describe.concurrent('broken on purpose', () => {
  for (const [index, { name, scenario, seen, edits }] of MUTANTS.entries()) {
    test(`${name}: ${scenario}`, { timeout: 150_000 }, () =>
      inTurn(async () => {
        const root = makeVariant(`mutant-${index}`, edits);
        const said = await runApart({ scenario, root, waitMs: MUTANT_WAIT_MS, deadlineMs: 30_000 });
        expect(said ?? 'Nothing was noticed.').toMatch(seen);
      }),
    );
  }
});
