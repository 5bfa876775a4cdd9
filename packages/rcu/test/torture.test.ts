/**
 * Goal: whatever threads, waits and processors do at the same time, no grace period ends too early, none never ends, and no
 * callback is lost.
 * Method: the scenarios of `torture/` on real workers in their short form, each in a process of its own; the long form is
 * `pnpm torture`. A failure prints the seed and the command that replays it.
 */
import { testShortForms } from './torture/short.ts';

testShortForms('torture.test.ts', {
  pipe: 'no reader of any kind sees an element that has aged by a grace period, in any form of wait',
  'slow-readers': 'no wait in any form settles before the slowest reader ends, and all do then',
  pinned: 'a thread sees at most one swap fewer than there are generations',
  nested: 'guards 8192 deep, ended in any order, hold up a grace period until the last of them ends',
  flood: 'a flood of callbacks stays below the mark, in order, and is refused above the limit',
  barriers: "a barrier covers the callbacks of all processors, whoever's they are",
  teardown: 'a machine that closes runs all callbacks and settles all barriers',
  members: 'processors join and leave in bursts while the pipe goes on',
});
