/**
 * Goal: the memory orderings that a grace period promises.
 * Method: Linux's litmus patterns with synchronize_rcu, played in hundreds of rounds by real threads (`torture/litmus.ts`); the
 * outcome that is forbidden is never seen, though readers were often in a position to see it.
 */
import { testShortForms } from './torture/short.ts';

testShortForms('litmus.test.ts', {
  'message-passing': 'message passing: who sees the second message has seen the first',
  'remove-reuse': 'publish, remove, reuse: a reader finds an element whole, and it stays so',
  'phased-change': 'phased change of state: nobody is quick while maintenance is under way',
  ring: 'store buffering: two grace periods and two readers close no ring',
});
