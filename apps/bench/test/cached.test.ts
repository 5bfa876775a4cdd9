/**
 * Goal: PostMark through the file cache is PostMark, on real processors, in every mode; a fleet ends when an instance fails.
 * Method: verified runs with golden counts; an instance whose directory is missing beside one that would run for hours.
 */
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openFleet } from '../src/fleet.ts';
import type { InstanceResult } from '../src/instanceTypes.ts';
import { CACHE_MODES, type Mode } from '../src/modes.ts';
import { GOLDEN_ROWS } from '../src/postmark/golden.ts';
import { DEFAULT_OPTIONS } from '../src/postmark/options.ts';
import { runPostmark } from '../src/suites/postmark.ts';
import { plainSpec, silentContext, temporaryDirectory } from './support.ts';

describe.each([...CACHE_MODES, 'plain' as const])('mode %s', (mode: Mode) => {
  test.each([1, 2])('on %i processors: golden, verified, nothing left', async (processors) => {
    const parent = temporaryDirectory();
    const request = {
      options: DEFAULT_OPTIONS,
      modes: [mode],
      processors,
      parent,
      keep: false,
      verify: true,
    };
    const { document, failure } = await runPostmark(request, { ...silentContext(), openFleet });
    expect(failure).toBeUndefined();
    const runs = document.runs as InstanceResult[];
    expect(runs[0]?.counts).toEqual(GOLDEN_ROWS[0]?.counts);
    expect(readdirSync(parent)).toEqual([]);
    const swaps = runs.flatMap((run) => run.swaps);
    if (mode !== 'hotswap') {
      expect(swaps).toEqual([]);
      return;
    }
    const own = swaps.filter((swap) => swap.file === 'own');
    expect(own.length).toBeGreaterThan(5 * processors);
    expect(own.some((swap) => swap.forwarded + swap.queued > 0)).toBe(true);
    expect(swaps.filter((swap) => swap.file === 'journal').length).toBeGreaterThan(10);
  });
});

test.each(CACHE_MODES)('mode %s: an instance that fails ends the others', async (mode) => {
  const directory = temporaryDirectory();
  const endless = plainSpec({ transactions: 1_000_000 }, { mode, processors: 2, directory });
  const failing = { ...endless, processor: 1, directory: join(directory, 'missing') };
  writeFileSync(endless.journal, '');
  const fleet = await openFleet(2);
  const running = fleet.runInstance(0, endless).catch((error: unknown) => error);
  await expect(fleet.runInstance(1, failing)).rejects.toMatchObject({ code: 'ENOENT' });
  await fleet.close();
  expect(await running).toMatchObject({ code: 'K42_BENCH_STOPPED' });
});

test.each(CACHE_MODES)('mode %s: instances that have not begun yet are stopped', async (mode) => {
  const directory = temporaryDirectory();
  const endless = plainSpec({ transactions: 1_000_000 }, { mode, processors: 2, directory });
  const fleet = await openFleet(2);
  const running = [0, 1].map((processor) => fleet.runInstance(processor, { ...endless, processor }));
  const ended = Promise.allSettled(running);
  await fleet.close();
  for (const { reason } of (await ended) as PromiseRejectedResult[])
    expect(reason).toMatchObject({ code: 'K42_BENCH_STOPPED' });
});
