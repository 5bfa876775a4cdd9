/**
 * COIDs and names against models: objects made, named, stored, revived, called through handles old and new, and destroyed, one by
 * one and many at a time, in random order.
 *
 * The model is a plain list of what has been made and whether it lives, and a Map of names. A number or name leads to the very
 * object that the model says, or throws what it says.
 */
import fc from 'fast-check';
import {
  type Coid,
  create,
  destroy,
  handle,
  liveObjects,
  nameObject,
  objectCounts,
  objectNamed,
  obtain,
  reviveCoid,
  reviveHandle,
  type StoredCoid,
  storeCoid,
  unnameObject,
} from '../../src/index.ts';
import { GatedThing, Thing } from '../programs/kill.ts';
import { type Counts, check, nothingLeft, onMachine, refusal, thrown } from './harness.ts';

const RUNS = 40;
const GONE = 'K42_OBJECT_GONE';
const NAMES = ['a', 'b', 'c', 'd/1', 'e'];

/** An object that has been made at some time. */
interface Made {
  readonly identity: number;
  readonly coid: Coid<Thing>;
  readonly stored: StoredCoid<Thing>;
  readonly handle: Thing;
  alive: boolean;
}

const which = fc.nat(1000);
const name = fc.constantFrom(...NAMES);
type Step =
  | { readonly do: 'create' | 'use' | 'destroyGone'; readonly which: number }
  | { readonly do: 'destroy'; readonly which: number; readonly many: number }
  | { readonly do: 'name'; readonly name: string; readonly which: number }
  | { readonly do: 'find' | 'obtain' | 'unname'; readonly name: string };

const common = [
  fc.record({ do: fc.constant('create'), which }),
  fc.record({ do: fc.constant('use'), which }),
  fc.record({ do: fc.constant('destroy'), which, many: fc.integer({ min: 1, max: 4 }) }),
] as const;
const coidSteps = fc.array<Step>(fc.oneof(...common, fc.record({ do: fc.constant('destroyGone'), which })), {
  minLength: 10,
  maxLength: 50,
});
const nameSteps = fc.array<Step>(
  fc.oneof(
    ...common,
    { weight: 2, arbitrary: fc.record({ do: fc.constant('name'), name, which }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('find', 'obtain', 'unname'), name }) },
  ),
  { minLength: 10, maxLength: 50 },
);

export const coids = (seed: number): Promise<Counts> => onModel(seed, coidSteps);
export const names = (seed: number): Promise<Counts> => onModel(seed, nameSteps);

function onModel(seed: number, steps: fc.Arbitrary<Step[]>): Promise<Counts> {
  return onMachine({ processors: 1 }, async (machine) => {
    let made = 0;
    await fc.assert(
      fc.asyncProperty(steps, async (program) => {
        const model = new Model();
        try {
          for (const step of program) {
            await model.run(step);
            model.compare();
          }
          await model.end();
        } finally {
          // A smaller counterexample is looked for on the same machine.
          await Promise.all([...liveObjects()].map(({ coid }) => destroy(coid)));
        }
        made += model.count;
      }),
      { seed, numRuns: RUNS },
    );
    await nothingLeft(machine.memory);
    return { runs: RUNS, made };
  });
}

class Model {
  readonly #made: Made[] = [];
  readonly #names = new Map<string, Made>();
  /** Numbers that are free, last freed last. */
  readonly #free: number[] = [];
  count = 0;

  async run(step: Step): Promise<void> {
    switch (step.do) {
      case 'create':
        return void this.#create(create(GatedThing, ++this.count));
      case 'use':
        return this.#use(this.#at(step.which));
      case 'destroy':
        return this.#destroy(step.which, step.many);
      case 'destroyGone':
        return this.#destroyGone(this.#at(step.which));
      case 'name':
        return this.#name(step.name, this.#at(step.which));
      case 'find':
        return this.#find(step.name);
      case 'obtain':
        return this.#obtain(step.name);
      default:
        check(unnameObject(step.name) === this.#names.delete(step.name), `Whether ${step.name} was a name.`);
    }
  }

  #at(which: number): Made | undefined {
    return this.#made[which % this.#made.length];
  }

  #create(coid: Coid<Thing>): Made {
    const free = this.#free.pop();
    check(
      free === undefined || free === coid,
      `The number freed last is ${free}, and ${coid} was given out.`,
    );
    check(!this.#made.some((other) => other.alive && other.coid === coid), `Number ${coid} is in use.`);
    const stored = storeCoid(coid);
    check(
      !this.#made.some((other) => other.stored === stored),
      `Stored number ${stored} was another object's.`,
    );
    const made: Made = { identity: this.count, coid, stored, handle: handle(coid), alive: true };
    this.#made.push(made);
    return made;
  }

  #use(made: Made | undefined): void {
    if (made === undefined) return;
    const owner = this.#made.find(({ alive, coid }) => alive && coid === made.coid);
    const mine = made.alive ? made.identity : undefined;
    this.#calls('a kept handle', () => made.handle, mine);
    this.#calls('a revived number', () => handle(reviveCoid(made.stored)), mine);
    this.#calls('a revived handle', () => reviveHandle(made.stored), mine);
    this.#calls('a bare number, which is whose it is now', () => handle(made.coid), owner?.identity);
  }

  #calls(what: string, find: () => Thing, expected: number | undefined): void {
    let found: unknown;
    const error = thrown(() => {
      found = find().identity();
    });
    const isRight = expected === undefined ? error === GONE : found === expected;
    check(isRight, `${what} gave ${found ?? error}, not ${expected ?? GONE}`);
  }

  async #destroy(first: number, many: number): Promise<void> {
    const doomed = new Set(Array.from({ length: many }, (_none, index) => this.#at(first + index)));
    const living = [...doomed].filter((made) => made?.alive) as Made[];
    await Promise.all(living.map(({ coid }) => destroy(coid)));
    for (const made of living) {
      made.alive = false;
      this.#free.push(made.coid);
      for (const [known, named] of this.#names) if (named === made) this.#names.delete(known);
    }
  }

  /** What is gone is refused, and nobody else is destroyed for it. */
  async #destroyGone(made: Made | undefined): Promise<void> {
    if (made === undefined || this.#made.some(({ alive, coid }) => alive && coid === made.coid)) return;
    const refused = refusal(destroy(made.coid));
    // It may get the number before the destruction is looked at.
    if (this.#free.at(-1) === made.coid) this.#create(create(GatedThing, ++this.count));
    const code = await refused;
    check(code === GONE, `Destroying an object that is gone: ${code ?? 'it was destroyed'}.`);
  }

  #name(name: string, made: Made | undefined): void {
    if (made === undefined || !made.alive) return;
    const known = this.#names.get(name);
    const code = thrown(() => nameObject(made.coid, name));
    const expected = known === undefined || known === made ? undefined : 'K42_NAME';
    check(code === expected, `Naming an object ${name}: ${code}, not ${expected}.`);
    if (code === undefined) this.#names.set(name, made);
  }

  #find(name: string): void {
    const found = objectNamed(name, Thing);
    const expected = this.#names.get(name)?.coid;
    check(found === expected, `${name} is the name of ${found}, not of ${expected}.`);
  }

  #obtain(name: string): void {
    const known = this.#names.get(name);
    if (known === undefined) this.count++;
    const coid = obtain(name, GatedThing, this.count);
    if (known === undefined) this.#names.set(name, this.#create(coid));
    else check(coid === known.coid, `${name} is the name of ${coid}, not of ${known.coid}.`);
  }

  /** The objects there are, with their names, are those of the model. */
  compare(): void {
    const found = [...liveObjects()].map(({ coid, names }) => `${coid}:${[...names].sort()}`);
    const expected = this.#made
      .filter(({ alive }) => alive)
      .sort((a, b) => a.coid - b.coid)
      .map((made) => `${made.coid}:${NAMES.filter((name) => this.#names.get(name) === made)}`);
    check(found.join() === expected.join(), `Live objects are ${found}, not ${expected}.`);
    check(objectCounts().objects === expected.length, `${objectCounts().objects} objects are counted.`);
  }

  async end(): Promise<void> {
    await this.#destroy(0, this.#made.length);
    this.compare();
    for (const made of this.#made) this.#use(made);
  }
}
