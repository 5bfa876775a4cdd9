/**
 * Bursts of processors that join and leave while torture goes on: workers of the machine and threads with tickets, which leave
 * by themselves or are asked to, some with threads and callbacks in hand. Whoever leaves in order finishes its callbacks.
 */

import { randomFrom, seedOf } from '@k42/tooling/random';
import type { Machine } from '../../src/index.ts';
import { CALLED } from '../programs/torture.ts';
import { type Counts, check, inTime, onMachine, type Run, WAIT_MS } from './harness.ts';
import { join } from './joiner.ts';
import { COUNTER, HEADER, Words } from './words.ts';

const STEADY = 2;
const BURST = 4;

export function members(run: Run): Promise<Counts> {
  return onMachine({ processors: STEADY, maxProcessors: STEADY + BURST }, (machine) =>
    runMembers(machine, run),
  );
}

async function runMembers(machine: Machine, { seed, scale }: Run): Promise<Counts> {
  const words = new Words(machine.memory, 0);
  Atomics.store(words.i32, words.header(HEADER.LANES), 2 * STEADY);
  const work = machine.processors.map((number) =>
    machine.run(number, 'pipe', [seedOf(seed, number), 1, [2 * number, 2 * number + 1]]),
  );
  for (const worker of work) worker.catch(() => words.stop());
  let visits = 0;
  for (let round = 0; round < 6 * scale && words.problems === 0; round++) {
    const visit = async (guest: number): Promise<void> => {
      const random = randomFrom(seedOf(seed, round, guest));
      const joiner = random(2) === 0 ? await join(machine, { kind: 'idle' }) : undefined;
      const number = joiner?.number ?? (await inTime(machine.add(), 'a processor to be added'));
      check(number >= STEADY && number < STEADY + BURST, `A newcomer has number ${number}.`);
      const stay = random(3);
      if (stay === 0) await machine.run(number, 'visit', [random(1 << 30)]);
      else if (stay === 1) await machine.run(number, 'beginVisit', [random(1 << 30)]);
      if (joiner !== undefined && random(2) === 0) await joiner.leave();
      else await inTime(machine.remove(number, { deadlineMs: WAIT_MS }), `processor ${number} to be removed`);
      await joiner?.end();
      visits++;
    };
    await Promise.all(Array.from({ length: 1 + (round % BURST) }, (_none, guest) => visit(guest)));
    check(machine.processors.length === STEADY, `Processors ${machine.processors.join(', ')} are left.`);
  }
  words.stop();
  words.assertNoProblem();
  await inTime(Promise.all(work), 'readers and updaters to end', 2 * WAIT_MS);
  words.assertNoProblem();
  let callbacks = 0;
  for (let number = 0; number < STEADY + BURST; number++) {
    const [admitted, ran] = [CALLED.ADMITTED, CALLED.RAN].map((at) =>
      Atomics.load(words.i32, words.free(at + number)),
    );
    check(admitted === ran, `processors with number ${number}: ${admitted} callbacks handed in, ${ran} run`);
    callbacks += ran ?? 0;
  }
  return { visits, callbacks, reads: words.counted(COUNTER.READS), updates: words.counted(COUNTER.UPDATES) };
}
