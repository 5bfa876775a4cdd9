/**
 * Goal: a system that is swapped for ever serves for ever: no call is ever lost, doubled or out of order, and nothing grows.
 * Method: `torture/soak.ts`, in a process of its own whose heap can be collected at will: a thousand swaps of each kind of object
 * here, ten thousand in all by `node --conditions=@k42/source --expose-gc test/torture/soak.ts`.
 */
import { join } from 'node:path';
import { runNode } from '@k42/tooling/apart';
import { expect, test } from 'vitest';

const PACKAGE = join(import.meta.dirname, '..');
const SWAPS = 2000;
const DEADLINE_MS = 110_000;

test('swap after swap, under load from three processors', { timeout: DEADLINE_MS + 5000 }, async () => {
  const { death, out, err } = await runNode(
    ['--conditions=@k42/source', '--expose-gc', join(PACKAGE, 'test/torture/soak.ts'), String(SWAPS)],
    { packageFolder: PACKAGE, deadlineMs: DEADLINE_MS, env: {} },
  );
  expect(death, err).toBeUndefined();
  const { calm, sync } = JSON.parse(out);
  for (const { calls, forwarded, lost } of [calm, sync]) {
    expect(calls).toBeGreaterThan(SWAPS * 10);
    expect(forwarded).toBeGreaterThan(0);
    expect(lost).toBe(0);
  }
});
