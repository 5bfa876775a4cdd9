/**
 * A round: processors are asked about objects, each answers for each object in its own time, and whoever asked is told
 * when all have answered for an object, or are gone.
 */
import type { Processor } from '@k42/rcu';
import type { Members } from './members.ts';

/** How a processor answers: it gives the COIDs for which its answer is there, at once or bit by bit. */
export type Answerer = (
  items: readonly Named[],
  from: number,
  answer: (coids: readonly number[]) => void,
) => void;

/** An object as others name it, whatever becomes of its number. */
export interface Named {
  readonly coid: number;
  readonly sequence: number;
  readonly word: bigint;
}

interface Asked<T> {
  readonly item: T;
  /** Numbers of processors, in no order; there are few. */
  readonly waitingFor: number[];
  readonly done: (item: T) => void;
}

export class Round<T extends Named> {
  readonly #processor: Processor;
  readonly #members: Members;
  readonly #topic: string;
  readonly #answerHere: Answerer;
  readonly #asked = new Map<number, Asked<T>>();

  constructor(processor: Processor, members: Members, topic: string, answerHere: Answerer) {
    this.#processor = processor;
    this.#members = members;
    this.#topic = topic;
    this.#answerHere = answerHere;
    processor.onSystemMessage(topic, (from, items) => {
      const reply = processor.replyTo(from);
      answerHere(items as Named[], from, (coids) => reply(`${topic}/answer`, coids));
    });
    processor.onSystemMessage(`${topic}/answer`, (from, coids) => this.#answered(coids as number[], from));
    processor.onGone((number) => this.#answered([...this.#asked.keys()], number));
  }

  /** Asks about objects that are not being asked about yet. */
  ask(items: readonly T[], processors: (item: T) => readonly number[], done: (item: T) => void): void {
    const { number } = this.#processor;
    const elsewhere = new Map<number, Named[]>();
    const here: T[] = [];
    for (const item of items) {
      const waitingFor = [...processors(item)];
      this.#asked.set(item.coid, { item, waitingFor, done });
      for (const to of waitingFor) {
        if (to === number) here.push(item);
        else addTo(elsewhere, to, { coid: item.coid, sequence: item.sequence, word: item.word });
      }
    }
    for (const [to, message] of elsewhere) {
      this.#processor.post(to, this.#topic, message);
      // One that is gone gets nothing, and is not announced again.
      if (!this.#members.has(to)) this.#answered(coidsOf(message), to);
    }
    if (here.length !== 0) this.#answerHere(here, number, (coids) => this.#answered(coids, number));
  }

  /** The processors whose answer is missing. */
  waitingFor(coid: number): readonly number[] {
    return this.#asked.get(coid)?.waitingFor ?? [];
  }

  #answered(coids: readonly number[], processor: number): void {
    for (const coid of coids) {
      const asked = this.#asked.get(coid);
      if (asked === undefined) continue;
      const { waitingFor } = asked;
      const at = waitingFor.indexOf(processor);
      if (at < 0) continue;
      waitingFor.splice(at, 1);
      if (waitingFor.length !== 0) continue;
      this.#asked.delete(coid);
      asked.done(asked.item);
    }
  }
}

function coidsOf(items: readonly Named[]): number[] {
  return items.map(({ coid }) => coid);
}

/** Adds to one of several lists. */
export function addTo<K, V>(lists: Map<K, V[]>, key: K, value: V): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [value]);
  else list.push(value);
}
