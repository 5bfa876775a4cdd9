/**
 * Goal: a call reaches the object it was meant for or finds it gone, whatever everybody else is doing, and a destroyed object is
 * reclaimed when nobody uses it and not before.
 * Method: scenes at chosen points (`torture/lives.ts`), then everything at random on four processors (`torture/stress.ts`).
 */
import { testScenarios } from './torture/short.ts';

testScenarios('stress.test.ts', {
  'life:goneEverywhere': 'a destroyed object is gone on every processor and for ever',
  'life:callsEndFirst': 'calls of every kind end before their object is reclaimed',
  'life:untouchedThreads': 'a number is not used again while a thread may have read it',
  'life:missesKeepWritersOut': 'nobody has an entry for writing during a miss',
  'life:writersKeepMissesOut': 'no miss gets in while somebody has the entry for writing',
  'life:wholeWhenFound': 'who finds an object finds it whole',
  'life:numbersOfTheGone': 'the number of an object that is gone names nothing',
  'life:stayWhatTheyAre': 'an object that was found is the same until the turn or the thread ends',
  stress: 'everything at random',
});
