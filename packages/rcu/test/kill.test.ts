/**
 * Goal: the death of a processor at any point hangs nobody, ends no grace period too early and loses no portable callback.
 * Method: deaths at chosen points, then threads terminated at random points while everybody works (`torture/kill.ts`); thousands
 * of them are for `pnpm torture kill`.
 */
import { testShortForms } from './torture/short.ts';

testShortForms('kill.test.ts', {
  death: 'deaths at chosen points: what waits for the dead, and what they leave behind',
  kill: 'deaths at random points',
});
