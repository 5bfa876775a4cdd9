/**
 * Goal: each promise of a swap has a scene that fails when it alone is broken.
 * Method: scenes bring a swap to a chosen point with gates in machine memory (`torture/scenarios*.ts`). All of them pass on the
 * sources as they are; copies of the sources that are broken in one place each (`torture/mutants.ts`) run the scene that has to
 * fail, with what it has to say.
 */
import { describe, expect, test } from 'vitest';
import { runApart } from './torture/apart.ts';
import { MUTANTS } from './torture/mutants.ts';
import { scenarios } from './torture/scenarios.ts';
import { makeVariant } from './torture/variants.ts';

/** What hangs in a variant is given up after this; it is enough for what does not hang, on a busy machine. */
const MUTANT_WAIT_MS = 2000;
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

/** Scenes whose names begin alike run one after the other in one process: most of a scene is a process that starts. */
const groups = Map.groupBy(Object.keys(scenarios), (name) => name.slice(0, name.indexOf(':')));

describe.concurrent('as they are', () => {
  for (const [group, names] of groups) {
    test(group, { timeout: 150_000 }, () =>
      inTurn(async () => {
        expect(await runApart({ scenarios: names, deadlineMs: 120_000 })).toBeUndefined();
      }),
    );
  }
});

describe.concurrent('broken on purpose', () => {
  for (const [index, { name, scenario, seen, edits }] of MUTANTS.entries()) {
    test(`${name}: ${scenario}`, { timeout: 150_000 }, () =>
      inTurn(async () => {
        const root = makeVariant(`mutant-${index}`, edits);
        const said = await runApart({
          scenarios: [scenario],
          root,
          waitMs: MUTANT_WAIT_MS,
          deadlineMs: 60_000,
        });
        expect(said ?? 'Nothing was noticed.').toMatch(seen);
      }),
    );
  }
});
