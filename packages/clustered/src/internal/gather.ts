/**
 * Calls on every Rep of a divided object.
 *
 * A request is answered in a turn of its own on the Rep's processor. A processor at a stop point answers when it runs on:
 * what a Rep does for an answer may call other objects, which a stopped processor has promised not to do.
 *
 * ## Departures
 * What a departing Rep had goes to the host. Asking both in that moment might count it twice, or not at all. So departures
 * are counted in the Root's record, before anything is handed over and when the host has it; a gather that finds something
 * on its way waits a little, and one that finds the counts changed begins anew.
 */
import { setTimeout } from 'node:timers/promises';
import {
  currentProcessor,
  errorFromWire,
  errorToWire,
  MachineClosedError,
  type Processor,
  ProcessorGoneError,
  type WireError,
} from '@k42/rcu';
import { GatherError } from '../errors.ts';
import type { Members } from './members.ts';
import { type Departures, departuresOf, repSet, viewIfAny } from './records.ts';
import { callMethod } from './slots.ts';

const VISIT = 'clustered/visit';
const VISITED = 'clustered/visited';
/** Each is spoilt only by a processor that departs in its midst. */
const TRIES = 10;
/** Longest single wait for what a departing Rep has handed over; with the shorter ones before some 250 ms in all. */
const DEPARTURE_WAIT_MS = 128;

interface Visit {
  readonly id: number;
  readonly word: bigint;
  readonly method: string;
  readonly args: unknown[];
}

/** Values come in a list: none from a processor that has no Rep, because the number had another owner before. */
type Visited =
  | { readonly id: number; readonly values: readonly unknown[] }
  | { readonly id: number; readonly error: WireError };

interface Pending {
  readonly processor: number;
  readonly resolve: (values: readonly unknown[]) => void;
  readonly reject: (error: Error) => void;
}

class Gathering {
  readonly #processor: Processor;
  readonly #members: Members;
  readonly #pending = new Map<number, Pending>();
  #lastId = 0;

  constructor(processor: Processor, members: Members) {
    this.#processor = processor;
    this.#members = members;
    processor.onSystemMessage(VISIT, (from, payload) => {
      // In a turn of its own, because it runs user code: a processor that stands at a stop point may not call anything.
      const reply = processor.replyTo(from);
      setImmediate(() => {
        if (!processor.closed) this.#answer(reply, payload as Visit);
      });
    });
    processor.onSystemMessage(VISITED, (_from, payload) => {
      const answer = payload as Visited;
      const pending = this.#pending.get(answer.id);
      this.#pending.delete(answer.id);
      if ('error' in answer) pending?.reject(errorFromWire(answer.error));
      else pending?.resolve(answer.values);
    });
    processor.onGone((number) => {
      for (const [id, pending] of this.#pending) {
        if (pending.processor !== number) continue;
        this.#pending.delete(id);
        pending.reject(new ProcessorGoneError(number, 'asked for its share of an object'));
      }
    });
    processor.onClosed(() => {
      for (const pending of this.#pending.values()) pending.reject(new MachineClosedError('gathering'));
      this.#pending.clear();
    });
  }

  visit(to: number, word: bigint, method: string, args: unknown[]): Promise<readonly unknown[]> {
    // Its Rep is gone: what it had in its heap went with it, or to the host.
    if (!this.#members.has(to)) return Promise.resolve([]);
    const id = ++this.#lastId;
    const { promise, resolve, reject } = Promise.withResolvers<readonly unknown[]>();
    // Posted first: arguments that cannot be cloned throw here and leave nothing pending. The answer takes a turn.
    this.#processor.post(to, VISIT, { id, word, method, args } satisfies Visit);
    this.#pending.set(id, { processor: to, resolve, reject });
    return promise;
  }

  #answer(reply: (topic: string, payload: unknown) => void, visit: Visit): void {
    try {
      reply(VISITED, this.#visit(visit));
    } catch (error) {
      // What the method gave cannot be posted; the error can.
      reply(VISITED, { id: visit.id, error: errorToWire(error) } satisfies Visited);
    }
  }

  #visit({ id, word, method, args }: Visit): Visited {
    try {
      const rep = viewIfAny(word)?.repIfAny();
      return { id, values: rep === undefined ? [] : [callMethod(rep, method, args)] };
    } catch (error) {
      return { id, error: errorToWire(error) };
    }
  }
}

const instances = new WeakMap<Processor, Gathering>();

/** Lets a processor gather, and be asked. */
export function installGathering(processor: Processor, members: Members): void {
  instances.set(processor, new Gathering(processor, members));
}

/** The caller keeps the Root from being reclaimed: it is in a call of the object. */
export async function gather<R>(word: bigint, method: string, args: unknown[]): Promise<R[]> {
  const gathering = instances.get(currentProcessor()) as Gathering;
  for (let tries = 0; tries < TRIES; tries++) {
    const before = await settledDepartures(word);
    const answers = await Promise.allSettled(
      repSet(word).map((number) => gathering.visit(number, word, method, args)),
    );
    const after = departuresOf(word);
    // Pairs with markDeparted() and markInherited(): in between, nothing has moved.
    if (after.departed !== before.departed || after.inherited !== before.inherited) continue;
    return answers.flatMap((answer) => {
      if (answer.status === 'rejected') throw answer.reason;
      return answer.value as R[];
    });
  }
  throw new GatherError(TRIES);
}

/** Waits a moment for what is on its way to the host. It may be lost: a processor that is killed while it departs. */
async function settledDepartures(word: bigint): Promise<Departures> {
  for (let waitMs = 1; ; waitMs *= 2) {
    const departures = departuresOf(word);
    if (departures.departed === departures.inherited || waitMs > DEPARTURE_WAIT_MS) return departures;
    await setTimeout(waitMs);
  }
}
