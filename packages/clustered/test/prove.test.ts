/**
 * Goal: in prove mode a Rep is used inside the thread that found it, or it throws; handles are unaffected.
 * Method: every wrong use once, on the host and on a worker of a machine that proves.
 */
import { Machine } from '@k42/rcu';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { create, handle } from '../src/index.ts';
import { LocalQueue } from './programs/features.ts';

const program = new URL('./programs/features.ts', import.meta.url);
let machine: Machine;
beforeAll(async () => {
  machine = await Machine.boot({ processors: 2, program, prove: true });
});
afterAll(async () => machine.close());

const refused = (why: RegExp): unknown => ['K42_OUTSIDE_THREAD', expect.stringMatching(why)];

describe.each([0, 1])('processor %i', (processor) => {
  test.each([
    ['inside', 1],
    ['inside, asynchronously', 8],
    ['handle', 9],
    ['outside', refused(/outside any thread/)],
    ['after', refused(/after the thread.*ended/)],
    ['outlived', refused(/forgetful.*pop|pop.*forgetful/s)],
  ])('a Rep used %s', async (how, expected) => {
    const coid = create(LocalQueue);
    // As a program: a call would be a thread.
    expect(await machine.run(processor, 'prove', [how, coid])).toEqual(expected);
  });
});

test('a handle is the same to its user', async () => {
  const queue = handle(create(LocalQueue));
  queue.push(1);
  expect(queue.length()).toBe(1);
  expect([...queue.values()]).toEqual([1]);
  expect(await queue.pop()).toBe(1);
});
