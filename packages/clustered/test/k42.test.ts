/**
 * Goal: what K42's own object tests ask for, with the public interface only.
 * Method: objects on all processors, local, shared in order and shared at random, each phase ending with nothing left; numbers
 * across pages of the table, in every order (`torture/k42.ts`).
 */
import { testScenarios } from './torture/short.ts';

testScenarios('k42.test.ts', {
  phases: 'local, shared and random objects: every call is right, each is destroyed once, nothing is left',
  pages:
    'numbers across pages: at home with their creator, the last freed first, until the region is exhausted',
  large: 'a large state is counted and comes back',
});
