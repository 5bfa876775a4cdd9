/**
 * Goal: the main job interleaves its repeats, compares within a repeat, and leaves a report that stands alone.
 * Method: the job on one thread with invented speeds for the modes of the file cache, in a fixed order of calls.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runInstance } from '../src/instance.ts';
import { MODES, type Mode } from '../src/modes.ts';
import { DEFAULT_OPTIONS } from '../src/postmark/options.ts';
import type { Cell } from '../src/report/cell.ts';
import { runMainJob } from '../src/suites/mainJob.ts';
import { silentContext, temporaryDirectory } from './support.ts';

const SPEEDS: Record<Mode, number> = { plain: 1000, shared: 900, distributed: 800, hotswap: 850 };

const request = (report: string, parent: string): Parameters<typeof runMainJob>[0] => ({
  options: { ...DEFAULT_OPTIONS, number: 10, transactions: 20 },
  modes: MODES,
  processors: [1, 2],
  repeatsMax: 3,
  budgetMs: 60_000,
  parent,
  report,
});

test('interleaves, compares with plain, and reports', async () => {
  const order: string[] = [];
  const context = silentContext(async (spec) => {
    if (spec.processor === 0) order.push(`${spec.mode}-${spec.processors}`);
    const result = await runInstance({ ...spec, mode: 'plain' });
    const swap = {
      file: 'journal',
      participants: spec.processors,
      forwarded: 2,
      queued: 1,
      milliseconds: 1,
    } as const;
    // The whole machine is slower in later repeats; the ratios must not notice.
    const slower = 1 + Math.floor((order.length - 1) / 8);
    const transactionsPerSecond = SPEEDS[spec.mode] / slower;
    return {
      ...result,
      mode: spec.mode,
      transactionsPerSecond,
      swaps: spec.mode === 'hotswap' ? [swap] : [],
    };
  });
  const [parent, report] = [temporaryDirectory(), temporaryDirectory()];
  const { document, text, failure } = await runMainJob(request(report, parent), context);

  expect(failure).toBeUndefined();
  expect(readdirSync(parent)).toEqual([]);
  // A warm-up and three repeats, each of all eight cells, each begun with another one.
  expect(order.length).toBe(4 * 8);
  for (let repeat = 0; repeat < 4; repeat++)
    expect(new Set(order.slice(8 * repeat, 8 * repeat + 8)).size).toBe(8);
  expect(new Set([order[0], order[8], order[16], order[24]]).size).toBe(4);

  const cells = document.summary as Cell[];
  expect(cells.map((cell) => cell.samples.length)).toEqual(new Array(8).fill(3));
  for (const { mode, ratioToPlain } of cells) {
    const ratio = SPEEDS[mode] / SPEEDS.plain;
    expect(ratioToPlain?.min).toBeCloseTo(ratio);
    expect(ratioToPlain?.max).toBeCloseTo(ratio);
  }
  expect(document.claims.map((claim) => claim.id)).toEqual([
    'main.counts',
    'main.journal',
    'main.deleted',
    'main.swaps-in-use',
    ...[1, 2].flatMap((processors) => [
      `main.shared-to-plain.${processors}`,
      `main.distributed-to-plain.${processors}`,
      `main.hotswap-to-plain.${processors}`,
      `main.distributed-to-shared.${processors}`,
      `main.hotswap-to-shared.${processors}`,
    ]),
  ]);
  expect(document.claims.every((claim) => claim.holds)).toBe(true);
  const ratio = document.claims.find((claim) => claim.id === 'main.hotswap-to-shared.2');
  expect(ratio?.value).toBeCloseTo(SPEEDS.hotswap / SPEEDS.shared);
  expect(text).toContain(
    '1 processor: plain, 11 % ahead of shared, 18 % ahead of hotswap, 25 % ahead of distributed',
  );

  const page = readFileSync(join(report, 'index.html'), 'utf8');
  expect(page).not.toMatch(/(src|href)=|@import|url\(/);
  for (const { statement } of document.claims) expect(page).toContain(statement);
  expect(JSON.parse(readFileSync(join(report, 'results.json'), 'utf8'))).toMatchObject({ suite: 'main' });
});

test('repeats at least once, and not beyond the budget', async () => {
  const [parent, report] = [temporaryDirectory(), temporaryDirectory()];
  const plain = { modes: ['plain'] as const, processors: [1], budgetMs: 0 };
  const { document } = await runMainJob({ ...request(report, parent), ...plain }, silentContext());
  expect((document.summary as Cell[]).map((cell) => cell.samples.length)).toEqual([1]);
});

test('a report directory that cannot be is noticed before the work', async () => {
  const context = silentContext();
  const parent = temporaryDirectory();
  await expect(runMainJob(request('/dev/null/report', parent), context)).rejects.toMatchObject({
    code: 'K42_BENCH_DIRECTORY',
  });
  expect(context.fleets).toEqual([]);
});
