/**
 * rcutorture's pipe: elements that updaters replace and age, readers that look how old theirs has become.
 *
 * An updater initialises an element and publishes it (age 0). When it replaces it, the element gets age 1, and one more after
 * every grace period; at AGE_MAX it is spoilt and may be initialised anew. A reader takes the element that is current and
 * looks at it until its thread ends. It may see age 1: replaced meanwhile. It must never see 2: the grace period that made it
 * 2 was asked for after the replacement, hence after the reader's thread had begun, and must have waited for its end. Nor may
 * it see another version, or a payload that is not the version's: the element would have gone through the whole pipe, or not
 * have been initialised before it was published.
 */

import { pick, type Random } from '@k42/tooling/random';
import { currentProcessorIfAny, rcuAssign, rcuDereference } from '../../src/index.ts';
import { check, inTime, turns } from './harness.ts';
import { FORMS, type Updating, waitFor } from './waits.ts';
import { COUNTER, domainOf, ELEMENT, ELEMENTS, HEADER, LANE, PROBLEM, type Words } from './words.ts';

export const AGE_MAX = 10;
const SPOILT = -1;

/** What word `index` of the payload of that version holds. */
function payloadOf(version: number, index: number): number {
  return (Math.imul(version, 0x9e3779b1) ^ index) & 0x7fffffff;
}

/** A reader's hold on the element that it found. Good inside one thread. */
export class Grip {
  readonly #words: Words;
  readonly #lanes: number;
  readonly #random: Random;
  #lane = 0;
  #at = 0;
  #version = 0;

  /** @param domain 0 or 1: parity of the lanes whose domain the thread is of */
  constructor(words: Words, domain: number, random: Random) {
    this.#words = words;
    this.#random = random;
    this.#lanes = domain;
  }

  /** Takes the current element of some lane; false if that has none, or if this thread has left the machine. */
  take(): boolean {
    const words = this.#words;
    if (currentProcessorIfAny() === undefined) return false;
    const lanes = Atomics.load(words.i32, words.header(HEADER.LANES));
    this.#lane = this.#random(Math.ceil((lanes - this.#lanes) / 2)) * 2 + this.#lanes;
    const element = rcuDereference(words.i32, words.lane(this.#lane) + LANE.POINTER);
    if (element === 0) {
      words.count(COUNTER.EMPTY);
      return false;
    }
    this.#at = words.element(this.#lane, element - 1);
    this.#version = Atomics.load(words.i32, this.#at + ELEMENT.VERSION);
    this.look(0);
    return true;
  }

  /** Looks whether the element is still what it was; gives its age. */
  look(kind: number): number {
    const words = this.#words;
    const { i32 } = words;
    for (let index = ELEMENT.PAYLOAD_WORDS - 1; index >= 0; index--) {
      const found = i32[this.#at + ELEMENT.PAYLOAD + index] as number;
      const expected = payloadOf(this.#version, index);
      if (found !== expected) {
        words.problem(PROBLEM.PAYLOAD, found, index, expected, this.#lane);
        break;
      }
    }
    const version = Atomics.load(i32, this.#at + ELEMENT.VERSION);
    if (version !== this.#version) words.problem(PROBLEM.RECYCLED, version, this.#version, this.#lane);
    const age = Atomics.load(i32, this.#at + ELEMENT.AGE);
    if (age >= 2) words.problem(PROBLEM.AGE, age, this.#lane, kind);
    return age;
  }

  /** The last look. */
  end(kind: number): void {
    const age = this.look(kind);
    this.#words.count(COUNTER.READS);
    this.#words.count(COUNTER.AGES + Math.min(age, AGE_MAX));
  }
}

/** Publishes, replaces and ages the elements of one lane. */
export class Updater implements Updating {
  readonly lane: number;
  readonly words: Words;
  readonly random: Random;
  readonly domain: ReturnType<typeof domainOf>;
  readonly #free: number[] = [];
  readonly #aging = new Set<Promise<void>>();
  #freed: (() => void) | undefined;
  #failed: unknown;

  constructor(words: Words, lane: number, random: Random) {
    this.words = words;
    this.lane = lane;
    this.random = random;
    this.domain = domainOf(lane);
  }

  /**
   * Works until told to stop, then until all that was replaced has come out of the pipe. A lane may have been another
   * updater's that is dead: what that one had replaced is taken over after a grace period.
   */
  async run(stopped: () => boolean): Promise<void> {
    await this.domain.synchronize();
    const current = Atomics.load(this.words.i32, this.#pointer) - 1;
    for (let element = 0; element < ELEMENTS; element++) if (element !== current) this.#free.push(element);
    while (!stopped()) {
      const element = await this.#take();
      const old = this.#publish(element);
      if (old !== -1) {
        const aging = this.#age(old);
        this.#aging.add(aging);
        void aging.then(() => this.#aging.delete(aging));
      }
      if (this.random(3) !== 0) await turns(1 + this.random(3));
    }
    await Promise.all(this.#aging);
    if (this.#failed !== undefined) throw this.#failed;
  }

  get #pointer(): number {
    return this.words.lane(this.lane) + LANE.POINTER;
  }

  async #take(): Promise<number> {
    while (this.#free.length === 0) {
      if (this.#failed !== undefined) throw this.#failed;
      await inTime(
        new Promise<void>((freed) => (this.#freed = freed)),
        'an element to come out of the pipe',
        60_000,
      );
    }
    return this.#free.shift() as number;
  }

  /** Gives the element that was current before, -1 if there was none. */
  #publish(element: number): number {
    const { i32 } = this.words;
    this.#initialise(element);
    const old = rcuAssign(i32, this.#pointer, element + 1) - 1;
    this.words.count(COUNTER.UPDATES);
    if (old !== -1) Atomics.store(i32, this.words.element(this.lane, old) + ELEMENT.AGE, 1);
    return old;
  }

  #initialise(element: number): void {
    const { i32 } = this.words;
    const at = this.words.element(this.lane, element);
    const version = (i32[at + ELEMENT.VERSION] as number) + 1;
    Atomics.store(i32, at + ELEMENT.VERSION, version);
    for (let index = 0; index < ELEMENT.PAYLOAD_WORDS; index++)
      i32[at + ELEMENT.PAYLOAD + index] = payloadOf(version, index);
    Atomics.store(i32, at + ELEMENT.AGE, 0);
  }

  async #age(element: number): Promise<void> {
    const { i32 } = this.words;
    const at = this.words.element(this.lane, element);
    try {
      for (let age = 2; age <= AGE_MAX; age++) {
        await waitFor(pick(this.random, FORMS), this);
        check(Atomics.load(i32, at + ELEMENT.AGE) === age - 1, `element ${element} has two updaters`);
        Atomics.store(i32, at + ELEMENT.AGE, age);
      }
      i32.fill(SPOILT, at + ELEMENT.PAYLOAD, at + ELEMENT.PAYLOAD + ELEMENT.PAYLOAD_WORDS);
      this.#free.push(element);
    } catch (error) {
      this.#failed = error;
    }
    this.#freed?.();
  }
}
