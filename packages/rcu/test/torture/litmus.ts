/**
 * The litmus patterns with a grace period, as in Linux's tools/memory-model: few words, few parts, one outcome that may never
 * be seen. Played in many rounds by real threads; a pattern also counts how often a reader was *tempted*, that is, in the
 * middle of a section when the updater changed its word, and goes on until that has happened often enough.
 */

import { seedOf } from '@k42/tooling/random';
import type { Machine } from '../../src/index.ts';
import { type Counts, check, inTime, onMachine, type Run, type Scenario, WAIT_MS } from './harness.ts';
import { PROBLEM, Words } from './words.ts';

const PROGRAM = new URL('../programs/tortureLitmus.ts', import.meta.url);
/** Of `programs/tortureLitmus.ts`. */
type Parts = typeof import('../programs/tortureLitmus.ts');
type PartName = Exclude<keyof Parts, 'WORD'>;

interface Pattern {
  /** The part of each processor, the host's first. */
  readonly parts: readonly (readonly [PartName, ...args: (number | boolean)[]])[];
  readonly rounds: number;
  /** Sets the words back that the parts race for; `resets` are indices into X. */
  readonly resets: readonly number[];
  readonly judge?: (results: readonly number[]) => boolean;
}

function litmus({ parts, rounds, resets, judge }: Pattern): Scenario {
  return (run) => onMachine({ processors: parts.length }, (machine) => play(machine, run), PROGRAM);

  async function play(machine: Machine, { seed, scale }: Run): Promise<Counts> {
    const { WORD } = (await import('../programs/tortureLitmus.ts')) as Parts;
    const words = new Words(machine.memory, 0);
    const { i32 } = words;
    const load = (word: number): number => Atomics.load(i32, words.free(word));
    const store = (word: number, value: number): void => void Atomics.store(i32, words.free(word), value);
    const total = rounds * scale;
    let failed = false;
    const work = parts.map(([name, ...args], number) =>
      machine.run(number, name, [seedOf(seed, number), ...args]),
    );
    for (const part of work)
      part.catch(() => {
        failed = true;
      });
    let zeros = 0;
    const tempted = (): number => (judge === undefined ? load(WORD.TEMPTED) : zeros);
    let round = 0;
    while ((round < total || tempted() * 5 < total) && !failed) {
      round++;
      check(round <= 20 * total, 'The readers were hardly ever tempted.');
      for (const word of resets) store(WORD.X[word] as number, 0);
      store(WORD.DONE, 0);
      store(WORD.ROUND, round);
      Atomics.notify(i32, words.free(WORD.ROUND));
      const end = performance.now() + WAIT_MS;
      for (let done = 0; done < parts.length && !failed && words.problems === 0; done = load(WORD.DONE)) {
        if (performance.now() > end) throw new Error(`Waited ${WAIT_MS} ms for round ${round} to end.`);
        await Atomics.waitAsync(i32, words.free(WORD.DONE), done, 20).value;
      }
      words.assertNoProblem();
      if (judge === undefined) continue;
      const results = parts.map((_part, own) => load(WORD.RESULTS + own));
      zeros += results.filter((result) => result === 0).length;
      if (judge(results)) words.problem(PROBLEM.FORBIDDEN, round, ...results);
    }
    words.stop();
    Atomics.notify(i32, words.free(WORD.ROUND));
    await inTime(Promise.all(work), 'all parts to end');
    words.assertNoProblem();
    return { rounds: round, tempted: tempted() };
  }
}

export const litmusScenarios: Readonly<Record<string, Scenario>> = {
  'message-passing': litmus({
    parts: [['messageWriter'], ['messageReader', true], ['messageReader', false]],
    rounds: 400,
    resets: [0, 1],
  }),
  'remove-reuse': litmus({
    parts: [['reuser'], ['reuseReader', true], ['reuseReader', false]],
    rounds: 400,
    resets: [1],
  }),
  'phased-change': litmus({
    parts: [['maintainer'], ['carefulReader', true], ['carefulReader', false]],
    rounds: 300,
    resets: [0, 1],
  }),
  ring: litmus({
    parts: [
      ['ringUpdater', 1],
      ['ringReader', 0],
      ['ringReader', 2],
      ['ringUpdater', 3],
    ],
    rounds: 500,
    resets: [0, 1, 2, 3],
    judge: (results) => results.every((result) => result === 0),
  }),
};
