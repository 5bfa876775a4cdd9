/**
 * Goal: the death of a processor at any point keeps nobody from going on, frees nothing too early and loses a block at most.
 * Method: deaths at chosen points, where the dead stands at a gate (`torture/deaths.ts`), then workers killed at random moments
 * while everybody does everything (`torture/stress.ts`).
 */
import { testScenarios } from './torture/short.ts';

testScenarios('kill.test.ts', {
  'death:inMiss': 'in a miss, while a destruction waits',
  'death:inMissOfItsOwn': 'in a miss on an object of its own',
  'death:holdingAnEntry': 'with an entry held for writing, while a miss waits',
  'death:inInitialise': 'while it makes an object',
  'death:whileOthersRetire': 'having marked an object that a call elsewhere still uses',
  'death:withOpenCallsElsewhere': 'having marked objects with open calls, iterators and keepers elsewhere',
  'death:inCleanUp': 'while it cleans up',
  'death:inReclaim': 'in reclaim',
  'death:inLastGracePeriod': 'before a number is free',
  'death:asked': 'asked to let go of what its own thread uses',
  'death:atHome': 'at the home of numbers that were freed before, while and after it died',
  'death:leavesObjects': 'leaving objects with names and shares behind',
  kills: 'at random moments, sixteen times',
});
