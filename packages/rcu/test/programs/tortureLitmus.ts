/**
 * Program of the litmus patterns: the parts that processors play, round after round.
 *
 * A round begins when ROUND rises, and is over when everybody has said so in DONE; then the words are set back. Words that the
 * parts race for are written plainly where Linux's tests use WRITE_ONCE, and read by atomic loads, as `rcuDereference` does.
 *
 * Two parts run side by side at full speed, the updater and a *busy* reader of synchronous sections; more would only take
 * the cores from each other. The *idle* reader's sections are asynchronous and sleep on timers.
 */
import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises';
import { type Random, randomFrom } from '@k42/tooling/random';
import { currentProcessor, rcu, rcuAssign, rcuDereference } from '../../src/index.ts';
import { spin, turns, WAIT_MS } from '../torture/harness.ts';
import { PROBLEM, Words } from '../torture/words.ts';

/** Words, each on a cache line of its own. */
export const WORD = { ROUND: 0, DONE: 16, TEMPTED: 17, OVER: 18, X: [32, 48, 64, 80], RESULTS: 96 } as const;
const [X, Y] = WORD.X;

/** Two elements that are published in turns. */
const PAYLOAD_WORDS = 512;
const PAYLOAD_BYTES = 2 * PAYLOAD_WORDS * 4;

class Part {
  readonly words: Words = Words.here();
  readonly random: Random;
  readonly #payload: number;
  round = 0;

  constructor(seed: number) {
    this.random = randomFrom(seed);
    this.#payload = currentProcessor().memory.block('test/torture/litmus', PAYLOAD_BYTES) / 4;
  }

  load(word: number): number {
    return Atomics.load(this.words.i32, this.words.free(word));
  }

  /** Plainly. */
  write(word: number, value: number): void {
    this.words.i32[this.words.free(word)] = value;
  }

  payload(element: number): Int32Array {
    const at = this.#payload + element * PAYLOAD_WORDS;
    return this.words.i32.subarray(at, at + PAYLOAD_WORDS);
  }

  /** The part was in a position to see what is forbidden. */
  tempted(): void {
    Atomics.add(this.words.i32, this.words.free(WORD.TEMPTED), 1);
  }

  forbidden(...seen: number[]): void {
    this.words.problem(PROBLEM.FORBIDDEN, this.round, ...seen);
  }

  /** Looks for the next round, awake for a moment, then asleep; false if there is none. */
  async #begun(round: number): Promise<boolean> {
    const end = performance.now() + 2 * WAIT_MS;
    const word = this.words.free(WORD.ROUND);
    for (let looks = 0; this.load(WORD.ROUND) < round; looks++) {
      if (this.words.stopped) return false;
      if (looks < 500) continue;
      if (performance.now() > end) throw new Error(`Round ${round} does not begin.`);
      await Atomics.waitAsync(this.words.i32, word, round - 1, 20).value;
    }
    return true;
  }

  /** Plays its part in every round until there are no more. */
  async play(part: () => Promise<void> | void): Promise<void> {
    for (let round = 1; await this.#begun(round); round++) {
      this.round = round;
      await part();
      Atomics.add(this.words.i32, this.words.free(WORD.DONE), 1);
      Atomics.notify(this.words.i32, this.words.free(WORD.DONE));
    }
  }

  /** Before an updater begins: some time, and now and then so much that the idle reader is in a section by then. */
  async pause(): Promise<void> {
    if (this.random(3) === 0) await delay(1);
    else spin(this.random(40));
  }

  /**
   * Runs sections, each in two halves, until one says that the round is over. Where a first half gives undefined there is no
   * second.
   */
  async sections<T>(busy: boolean, first: () => T | undefined, second: (found: T) => boolean): Promise<void> {
    for (let over = false, sections = 1; !over; sections++) {
      if (busy) {
        rcu.spawn(() => {
          const found = first();
          spin(this.random(30));
          over = found === undefined || second(found);
        });
        if (sections % 8 === 0) await nextTurn();
      } else {
        await rcu.spawn(async () => {
          const found = first();
          if (this.random(2) === 0) await delay(1);
          else await turns(this.random(3));
          over = found === undefined || second(found);
        });
      }
    }
  }
}

/** Message passing: x = 1; synchronize; y = 1. Forbidden: one section that sees x == 0 and y == 1. */
export async function messageWriter(seed: number): Promise<void> {
  const part = new Part(seed);
  await part.play(async () => {
    await part.pause();
    part.write(X, 1);
    await rcu.synchronize();
    part.write(Y, 1);
  });
}

export async function messageReader(seed: number, busy: boolean): Promise<void> {
  const part = new Part(seed);
  await part.play(() =>
    part.sections(
      busy,
      () => part.load(X),
      (x) => {
        const y = part.load(Y);
        if (x === 0 && y === 1) part.forbidden(x, y);
        if (x === 0 && part.load(X) === 1) part.tempted();
        return y === 1;
      },
    ),
  );
}

/**
 * Publish, and remove then reuse: an element is filled, published in place of the other one, and after a grace period the
 * other one is scribbled over. Forbidden: a section that finds an element which is not filled, or does not stay as it is.
 */
export async function reuser(seed: number): Promise<void> {
  const part = new Part(seed);
  const pointer = part.words.free(X);
  await part.play(async () => {
    const element = part.round % 2;
    const payload = part.payload(element);
    await part.pause();
    for (let index = 0; index < PAYLOAD_WORDS; index++) payload[index] = part.round;
    const old = rcuAssign(part.words.i32, pointer, element + 1);
    await rcu.synchronize();
    if (old !== 0) part.payload(old - 1).fill(-part.round);
    part.write(Y, part.round);
  });
}

export async function reuseReader(seed: number, busy: boolean): Promise<void> {
  const part = new Part(seed);
  const pointer = part.words.free(X);
  const payloads = [part.payload(0), part.payload(1)];
  const current = (): number => rcuDereference(part.words.i32, pointer);
  /** The element's one value. Last word first: it is the last to be filled. */
  const contentOf = (element: number): number => {
    const payload = payloads[element - 1] as Int32Array;
    const value = payload[PAYLOAD_WORDS - 1] as number;
    for (let index = PAYLOAD_WORDS - 2; index >= 0; index--)
      if (payload[index] !== value || value <= 0) part.forbidden(value, payload[index] as number, index);
    return value;
  };
  const over = (): boolean => part.load(Y) === part.round;
  await part.play(() =>
    part.sections(
      busy,
      () => {
        const element = current();
        if (element === 0) return over() ? undefined : { element, value: 0 };
        return { element, value: contentOf(element) };
      },
      ({ element, value }) => {
        // The next one is looked at in the very moment it appears.
        let next = current();
        for (let look = busy ? 4000 : 0; look > 0 && next === element; look--) next = current();
        if (next !== element) {
          contentOf(next);
          part.tempted();
        }
        if (element !== 0 && contentOf(element) !== value) part.forbidden(value, element);
        return over();
      },
    ),
  );
}

/**
 * Phased state change: careful = 1; synchronize; maintenance; synchronize; careful = 0. Forbidden: a section that found
 * careful == 0 while maintenance is under way.
 */
export async function maintainer(seed: number): Promise<void> {
  const part = new Part(seed);
  const { words } = part;
  await part.play(async () => {
    await part.pause();
    part.write(X, 1);
    await rcu.synchronize();
    Atomics.store(words.i32, words.free(Y), 1);
    await part.pause();
    Atomics.store(words.i32, words.free(Y), 0);
    await rcu.synchronize();
    part.write(X, 0);
    Atomics.store(words.i32, words.free(WORD.OVER), part.round);
  });
}

export async function carefulReader(seed: number, busy: boolean): Promise<void> {
  const part = new Part(seed);
  await part.play(() =>
    part.sections(
      busy,
      () => part.load(X),
      (careful) => {
        if (careful === 0) {
          if (part.load(Y) !== 0) part.forbidden(0, 1);
          if (part.load(X) === 1) part.tempted();
        }
        return part.load(WORD.OVER) === part.round;
      },
    ),
  );
}

/**
 * A ring of two readers and two grace periods (Linux's store buffering with RCU): each part writes its own word and reads the
 * next part's, an updater with a grace period between, a reader in one section and in either order. Forbidden: all four read 0.
 * With as many grace periods as readers no such ring closes; this is all that Linux's RCU axiom says.
 */
export async function ringReader(seed: number, own: number): Promise<void> {
  const part = new Part(seed);
  const [mine, next] = [WORD.X[own] as number, WORD.X[(own + 1) % 4] as number];
  await part.play(async () => {
    // In every other round the ring nearly closes: both readers read, and write only long after.
    const slow = part.round % 2 === 0;
    if (!slow) spin(part.random(20));
    const writesFirst = !slow && part.random(2) === 0;
    const first = (): number => {
      if (!writesFirst) return part.load(next);
      part.write(mine, 1);
      return 0;
    };
    const second = (seen: number): number => {
      if (writesFirst) return part.load(next);
      part.write(mine, 1);
      return seen;
    };
    let seen: number;
    if (slow || part.random(3) === 0) {
      seen = await rcu.spawn(async () => {
        const found = first();
        if (slow) await delay(1);
        else await turns(part.random(4));
        return second(found);
      });
    } else {
      seen = rcu.spawn(() => {
        const found = first();
        spin(part.random(100));
        return second(found);
      });
    }
    part.write(WORD.RESULTS + own, seen);
  });
}

export async function ringUpdater(seed: number, own: number): Promise<void> {
  const part = new Part(seed);
  const [mine, next] = [WORD.X[own] as number, WORD.X[(own + 1) % 4] as number];
  await part.play(async () => {
    spin(part.random(30) + (part.round % 2 === 0 ? 100 : 0));
    part.write(mine, 1);
    await rcu.synchronize({ expedited: part.random(2) === 0 });
    part.write(WORD.RESULTS + own, part.load(next));
  });
}
