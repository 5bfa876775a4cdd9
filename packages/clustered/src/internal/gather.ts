/**
 * Calls on every Rep of a distributed object.
 *
 * A request is answered in a turn of its own on the Rep's processor. A processor at a stop point answers when it runs on:
 * what a Rep does for an answer may call other objects, which a stopped processor has promised not to do.
 */
import {
  currentProcessor,
  errorFromWire,
  errorToWire,
  MachineClosedError,
  onAttach,
  type Processor,
  ProcessorGoneError,
  type WireError,
} from '@k42/rcu';
import { viewOf } from './records.ts';

const VISIT = 'clustered/visit';
const VISITED = 'clustered/visited';

interface Visit {
  readonly id: number;
  readonly word: bigint;
  readonly method: string;
  readonly args: unknown[];
}

type Visited =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: WireError };

interface Pending {
  readonly processor: number;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

interface HasRep {
  repIfAny(): object | undefined;
}

class Gathering {
  readonly #processor: Processor;
  readonly #pending = new Map<number, Pending>();
  #lastId = 0;

  constructor(processor: Processor) {
    this.#processor = processor;
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
      else pending?.resolve(answer.value);
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

  visit(to: number, word: bigint, method: string, args: unknown[]): Promise<unknown> {
    if (!this.#processor.isLive(to))
      return Promise.reject(new ProcessorGoneError(to, 'to be asked for its share of an object'));
    const id = ++this.#lastId;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
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
      const rep = (viewOf(word) as unknown as HasRep).repIfAny() as
        | Record<string, (...args: unknown[]) => unknown>
        | undefined;
      const visited = rep?.[method];
      if (rep === undefined || visited === undefined) throw new Error(`No Rep with a method ${method} here.`);
      return { id, value: visited.apply(rep, args) };
    } catch (error) {
      return { id, error: errorToWire(error) };
    }
  }
}

const instances = new WeakMap<Processor, Gathering>();
onAttach((processor) => instances.set(processor, new Gathering(processor)));

export async function gather<R>(
  word: bigint,
  processors: readonly number[],
  method: string,
  args: unknown[],
): Promise<R[]> {
  const gathering = instances.get(currentProcessor()) as Gathering;
  const results = await Promise.all(processors.map((number) => gathering.visit(number, word, method, args)));
  return results as R[];
}
