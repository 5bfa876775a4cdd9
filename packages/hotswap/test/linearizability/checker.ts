/**
 * Decides whether a history is linearizable: whether each call can be thought to have happened at one moment between the time
 * it was made and the time it returned, such that all results are what they would be had the calls been made one after the other
 * at these moments.
 *
 * The search is that of Wing and Gong ("Testing and verifying concurrent objects", 1993), with Lowe's memory ("Testing for
 * linearizability", 2017). A *configuration* says which operations have been put in order, and what the state is after them. Next in
 * the order may come any operation that was called before the first return of those that are not in it: a later one has to wait
 * for that one. If the model does not allow its result there, or the same configuration was met before by another way, the
 * search turns back.
 *
 * ## Operations that never returned
 * Their processor may have been killed before they had an effect, or after. They may be put into the order anywhere after
 * their call, whatever the result, and may be left out. Only those are tried that change the state, and of equal ones the
 * one that was called first: the others would lead nowhere that these do not lead.
 *
 * ## How a configuration is remembered
 * Calls that waited for long overlap with hundreds of others, so the sets of operations are large. Each operation has 64 random
 * bits; a set is known by the exclusive or of those of its members. Two of some million sets are taken for each other less
 * often than once in a million checks.
 */
import { randomFrom } from '@k42/tooling/random';

/** A call and what came of it. Times are tickets: no two are equal. */
export interface Operation {
  readonly name: string;
  readonly args: readonly number[];
  readonly called: number;
  /** Undefined: it never returned. */
  readonly returned: number | undefined;
  readonly result: number | undefined;
  /** Who called, for the reader of a failure. */
  readonly by?: number;
}

/** What an object does if its calls are made one after the other. States are values: they do not change. */
export interface Model<S> {
  readonly initial: S;
  /** The state after an operation; undefined if it cannot have that result. Any result will do if it has none. */
  apply(state: S, operation: Operation): S | undefined;
  /** Equal for equal states, and for no others. */
  keyOf(state: S): string;
}

export interface Verdict {
  readonly isLinearizable: boolean;
  /** An order, complete or as long as any could be made. */
  readonly order: readonly Operation[];
  /** Where it cannot go on: what would have to come next, and the state after the order, as its key. */
  readonly next: readonly Operation[];
  readonly stateKey: string;
  /** Configurations looked at. */
  readonly configurations: number;
}

const CONFIGURATIONS_MAX = 3_000_000;

/**
 * @throws Error if more than `configurationsMax` configurations did not lead to a decision: the history has too many calls at one
 *   time
 */
export function check<S>(
  model: Model<S>,
  history: readonly Operation[],
  configurationsMax: number = CONFIGURATIONS_MAX,
): Verdict {
  const byCall = history.toSorted((a, b) => a.called - b.called);
  const search = new Search(
    model,
    byCall.filter((operation) => operation.returned !== undefined),
    byCall.filter((operation) => operation.returned === undefined),
  );
  return search.run(configurationsMax);
}

/** An operation that can be put into the order, by its place among those of its kind. */
interface Candidate {
  readonly operation: Operation;
  readonly isPending: boolean;
  readonly place: number;
}

/** A step of the search: what could come here, what has been tried of it, and what the state was before. */
interface Step<S> {
  readonly candidates: readonly Candidate[];
  readonly state: S;
  tried: number;
  chosen: Candidate | undefined;
}

/** Operations of one kind, sorted by call, and which of them are in the order. */
class Placing {
  readonly operations: readonly Operation[];
  readonly isPlaced: Uint8Array;
  /** Random bits of each, in two halves. */
  readonly bits: Uint32Array;
  /** How many are in the order, and the first that is not. */
  count = 0;
  first = 0;

  constructor(operations: readonly Operation[], seed: number) {
    const random = randomFrom(seed);
    this.operations = operations;
    this.isPlaced = new Uint8Array(operations.length);
    this.bits = Uint32Array.from({ length: 2 * operations.length }, () => random(2 ** 32));
  }

  place(place: number): void {
    this.isPlaced[place] = 1;
    this.count++;
    while (this.isPlaced[this.first] === 1) this.first++;
  }

  takeBack(place: number): void {
    this.isPlaced[place] = 0;
    this.count--;
    this.first = Math.min(this.first, place);
  }
}

class Search<S> {
  readonly #model: Model<S>;
  readonly #completed: Placing;
  readonly #pending: Placing;
  readonly #seen = new Set<string>();
  #high = 0;
  #low = 0;

  constructor(model: Model<S>, completed: readonly Operation[], pending: readonly Operation[]) {
    this.#model = model;
    this.#completed = new Placing(completed, 1);
    this.#pending = new Placing(pending, 2);
  }

  run(configurationsMax: number): Verdict {
    let step = this.#step(this.#model.initial);
    const steps = [step];
    let longest = this.#verdict(steps);
    while (this.#completed.count < this.#completed.operations.length) {
      const next = this.#advance(step);
      if (next !== undefined) {
        step = this.#step(next);
        steps.push(step);
        continue;
      }
      // The way ends here.
      if (steps.length > longest.order.length + 1) longest = this.#verdict(steps);
      steps.pop();
      const before = steps.at(-1);
      if (before === undefined) return { ...longest, configurations: this.#seen.size };
      step = before;
      this.#toggle(step.chosen as Candidate, false);
      if (this.#seen.size > configurationsMax)
        throw new Error(`undecided after ${this.#seen.size} configurations; so far ${explain(longest)}`);
    }
    return { ...this.#verdict(steps), isLinearizable: true };
  }

  #verdict(steps: readonly Step<S>[]): Verdict {
    const last = steps.at(-1) as Step<S>;
    return {
      isLinearizable: false,
      order: steps.slice(0, -1).map(({ chosen }) => (chosen as Candidate).operation),
      next: last.candidates.map(({ operation }) => operation),
      stateKey: this.#model.keyOf(last.state),
      configurations: this.#seen.size,
    };
  }

  /** Puts the next candidate that leads to something new into the order, and gives the state after it. */
  #advance(step: Step<S>): S | undefined {
    const stateKey = this.#model.keyOf(step.state);
    while (step.tried < step.candidates.length) {
      const candidate = step.candidates[step.tried++] as Candidate;
      const state = this.#model.apply(step.state, candidate.operation);
      if (state === undefined) continue;
      const keyAfter = this.#model.keyOf(state);
      if (candidate.isPending && keyAfter === stateKey) continue;
      this.#toggle(candidate, true);
      const key = `${this.#high} ${this.#low} ${keyAfter}`;
      if (!this.#seen.has(key)) {
        this.#seen.add(key);
        step.chosen = candidate;
        return state;
      }
      this.#toggle(candidate, false);
    }
    return undefined;
  }

  #toggle({ isPending, place }: Candidate, isPlaced: boolean): void {
    const placing = isPending ? this.#pending : this.#completed;
    if (isPlaced) placing.place(place);
    else placing.takeBack(place);
    this.#high = (this.#high ^ (placing.bits[2 * place] as number)) >>> 0;
    this.#low = (this.#low ^ (placing.bits[2 * place + 1] as number)) >>> 0;
  }

  #step(state: S): Step<S> {
    return { candidates: this.#candidates(), state, tried: 0, chosen: undefined };
  }

  /** What may come next: what returned first, since most likely it happened first; what never returned at the end. */
  #candidates(): Candidate[] {
    const candidates: Candidate[] = [];
    const { operations, isPlaced, first } = this.#completed;
    let firstReturn = Number.POSITIVE_INFINITY;
    for (let place = first; place < operations.length; place++) {
      const operation = operations[place] as Operation;
      if (operation.called > firstReturn) break;
      if (isPlaced[place] === 1) continue;
      firstReturn = Math.min(firstReturn, operation.returned as number);
      candidates.push({ operation, isPending: false, place });
    }
    const next = candidates
      .filter(({ operation }) => operation.called < firstReturn)
      .sort((a, b) => (a.operation.returned as number) - (b.operation.returned as number));
    return [...next, ...this.#unfinished(firstReturn)];
  }

  /** Of equal ones that never returned, the one that was called first. */
  #unfinished(calledBefore: number): Candidate[] {
    const { operations, isPlaced } = this.#pending;
    const calls = new Set<string>();
    const candidates: Candidate[] = [];
    for (const [place, operation] of operations.entries()) {
      if (operation.called > calledBefore) break;
      const call = `${operation.name} ${operation.args.join()}`;
      if (isPlaced[place] === 1 || calls.has(call)) continue;
      calls.add(call);
      candidates.push({ operation, isPending: true, place });
    }
    return candidates;
  }
}

/** A verdict in words: where the longest order ends, and what does not fit there. */
export function explain({ isLinearizable, order, next, stateKey }: Verdict): string {
  if (isLinearizable) return `linearizable, ${order.length} operations`;
  return [
    `not linearizable: after ${order.length} operations the state is ${stateKey}. The last of them:`,
    ...order.slice(-8).map((operation) => `  ${describe(operation)}`),
    'and none of these can come next:',
    ...next.map((operation) => `  ${describe(operation)}`),
  ].join('\n');
}

function describe(operation: Operation | undefined): string {
  if (operation === undefined) return 'the beginning';
  const { name, args, called, returned, result, by } = operation;
  const when = `${called} to ${returned ?? 'never'}`;
  return `${name}(${args.join(', ')}) = ${result ?? 'unknown'}, ${when}${by === undefined ? '' : `, processor ${by}`}`;
}

/** Histories of parts that have nothing to do with each other: an object is linearizable if each of them is. */
export function partition(
  history: readonly Operation[],
  partOf: (operation: Operation) => number,
): Map<number, Operation[]> {
  return Map.groupBy(history, partOf);
}
