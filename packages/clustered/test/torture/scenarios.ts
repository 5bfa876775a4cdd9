/** All scenarios, by name. */
import { arena, arenaDeath } from './arena.ts';
import { coids, names } from './coids.ts';
import { deaths } from './deaths.ts';
import type { Scenario } from './harness.ts';
import { large, pages, phases } from './k42.ts';
import { lives } from './lives.ts';
import { kills, stress } from './stress.ts';

export const scenarios: Readonly<Record<string, Scenario>> = {
  phases,
  pages,
  large,
  arena,
  arenaDeath,
  coids,
  names,
  ...lives,
  ...deaths,
  stress,
  kills,
};
