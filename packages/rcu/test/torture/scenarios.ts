/** All scenarios, by name. */
import { barriers, flood, teardown } from './callbacks.ts';
import { death } from './death.ts';
import { nested, pinned, slowReaders } from './guards.ts';
import type { Scenario } from './harness.ts';
import { kill } from './kill.ts';
import { litmusScenarios } from './litmus.ts';
import { members } from './members.ts';
import { pipe } from './torture.ts';

export const scenarios: Readonly<Record<string, Scenario>> = {
  pipe,
  'slow-readers': slowReaders,
  pinned,
  nested,
  flood,
  barriers,
  teardown,
  members,
  death,
  kill,
  ...litmusScenarios,
};
