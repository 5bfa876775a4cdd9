/**
 * Goal: the arena, the numbers and the names of objects do what plain models of them do, whatever the order.
 * Method: properties with fast-check (`torture/arena.ts`, `torture/coids.ts`); a failure comes with the shortest sequence of
 * steps that shows it.
 */
import { testScenarios } from './torture/short.ts';

testScenarios('model.test.ts', {
  arena: 'two arenas over one memory, and their successors, give out what is free, whole and zeroed',
  arenaDeath: 'an owner that dies while it takes in freed blocks costs one at most',
  coids: 'numbers: the last freed is given out first, and a stored one leads to its object or nowhere',
  names: 'names lead to the object they were given to, as long as it lives',
});
