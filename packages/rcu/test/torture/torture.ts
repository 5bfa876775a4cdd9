/**
 * rcutorture: readers and updaters of all kinds on all processors, in two domains, until each kind has done its share.
 */

import { seedOf } from '@k42/tooling/random';
import type { Machine } from '../../src/index.ts';
import { type Counts, check, inTime, onMachine, type Run, until, WAIT_MS } from './harness.ts';
import { FORMS } from './waits.ts';
import { COUNTER, HEADER, Words } from './words.ts';

const PROCESSORS = 3;
const READERS = 2;
/** Least numbers, each times the scale: reads per processor, reads of an element replaced meanwhile, waits per form. */
const LEAST = { reads: 400, replaced: 300, waits: 100 };

export function pipe(run: Run): Promise<Counts> {
  return onMachine({ processors: PROCESSORS }, (machine) => runPipe(machine, run));
}

async function runPipe(machine: Machine, { seed, scale }: Run): Promise<Counts> {
  const words = new Words(machine.memory, 0);
  Atomics.store(words.i32, words.header(HEADER.LANES), 2 * PROCESSORS);
  const work = machine.processors.map((number) =>
    machine.run(number, 'pipe', [seedOf(seed, number), READERS, [2 * number, 2 * number + 1]]),
  );
  for (const worker of work) worker.catch(() => words.stop());
  const enough = (): boolean =>
    words.problems !== 0 ||
    words.stopped ||
    (machine.processors.every((number) => words.counted(COUNTER.READS, number) >= LEAST.reads * scale) &&
      words.counted(COUNTER.AGES + 1) >= LEAST.replaced * scale &&
      FORMS.every((_form, index) => words.counted(COUNTER.FORMS + index) >= LEAST.waits * scale));
  await until(enough, `enough reads and waits: ${JSON.stringify(countsOf(words))}`, WAIT_MS + 30_000 * scale);
  words.stop();
  words.assertNoProblem();
  await inTime(Promise.all(work), 'readers and updaters to end', 2 * WAIT_MS);
  words.assertNoProblem();
  for (const number of machine.processors)
    check((await machine.run(number, 'liveThreads')) === 0, `all threads of processor ${number} have ended`);
  return countsOf(words);
}

export function countsOf(words: Words): Counts {
  const counts: Counts = {
    reads: words.counted(COUNTER.READS),
    age0: words.counted(COUNTER.AGES),
    age1: words.counted(COUNTER.AGES + 1),
    updates: words.counted(COUNTER.UPDATES),
  };
  for (const [index, form] of FORMS.entries()) counts[form] = words.counted(COUNTER.FORMS + index);
  return counts;
}
