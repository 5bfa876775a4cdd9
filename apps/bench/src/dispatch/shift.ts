/**
 * The objects of the suite `dispatch`, and plain ones of the same classes to compare them with.
 *
 * Their method does as little as a method can do on its object: it adds a field, which is 0, to its argument. So what is
 * measured is the call. There are eight implementations that differ in nothing but that each is a class of its own, with a
 * method of its own, as implementations are; and the class that stands for the default object where plain objects are called.
 */
import {
  type Coid,
  create,
  defineImplementation,
  defineInterface,
  handle,
  type Implementation,
  type Interface,
  type RepClass,
  type RootContext,
} from '@k42/clustered';

export interface Shift {
  /** Gives `by` back. */
  shift(by: number): number;
  /** The number that the object was made with. */
  number(): number;
}

/** What every implementation has. A plain object is made without a context, and has no number. */
abstract class ShiftRep implements Shift {
  readonly origin: number = 0;
  readonly #number: number;

  constructor(context?: RootContext) {
    this.#number = context === undefined ? -1 : (context.memory.i32[context.stateOffset / 4] as number);
  }

  abstract shift(by: number): number;

  number(): number {
    return this.#number;
  }
}

class Rep1 extends ShiftRep {
  shift(by: number): number {
    return by + this.origin;
  }
}

class Rep2 extends ShiftRep {
  shift(by: number): number {
    return by + this.origin;
  }
}

class Rep3 extends ShiftRep {
  shift(by: number): number {
    return by + this.origin;
  }
}

class Rep4 extends ShiftRep {
  shift(by: number): number {
    return by + this.origin;
  }
}

class Rep5 extends ShiftRep {
  shift(by: number): number {
    return by + this.origin;
  }
}

class Rep6 extends ShiftRep {
  shift(by: number): number {
    return by + this.origin;
  }
}

class Rep7 extends ShiftRep {
  shift(by: number): number {
    return by + this.origin;
  }
}

class Rep8 extends ShiftRep {
  shift(by: number): number {
    return by + this.origin;
  }
}

/** Takes the place of the default object, which is of one class for all objects of an interface. */
export class StandIn extends ShiftRep {
  shift(by: number): number {
    return by + this.origin;
  }
}

export type ShiftClass = new () => Shift;

export interface Variety {
  /** Its objects are called through handles. */
  readonly implementation: Implementation<Shift, number>;
  /** Its plain objects are called directly. */
  readonly Plain: ShiftClass;
}

const ShiftInterface: Interface<Shift> = defineInterface<Shift>('bench/shift', {
  shift: 'sync',
  number: 'sync',
});

const STATE_BYTES = 4;

function variety(Rep: RepClass<Shift> & ShiftClass, index: number): Variety {
  const implementation = defineImplementation<Shift, number>({
    name: `bench/shift-${index + 1}@1`,
    interface: ShiftInterface,
    distribution: 'shared',
    Rep,
    stateBytes: STATE_BYTES,
    initialise: ({ memory, stateOffset }, number) => {
      memory.i32[stateOffset / 4] = number;
    },
  });
  return { implementation, Plain: Rep };
}

/** All implementations, in the order in which they are met. */
export const VARIETIES: readonly Variety[] = [Rep1, Rep2, Rep3, Rep4, Rep5, Rep6, Rep7, Rep8].map(variety);

/** Objects in a list: as many as are in the claims. */
export const OBJECTS = 1024;

/** So many new objects: of each variety in turn. Each knows its place in the list. */
export function createObjects(varieties: readonly Variety[]): Coid<Shift>[] {
  return listOf(varieties, ({ implementation }, place) => create(implementation, place));
}

/** So many plain objects, in the same order. */
export function plainObjects(varieties: readonly Variety[]): Shift[] {
  return listOf(varieties, ({ Plain }) => new Plain());
}

function listOf<R>(varieties: readonly Variety[], make: (variety: Variety, place: number) => R): R[] {
  return Array.from({ length: OBJECTS }, (_, place) =>
    make(varieties[place % varieties.length] as Variety, place),
  );
}

/** Calls each once, by the method that is timed: what comes after does not find the default object there. */
export function makeFirstCalls(coids: readonly Coid<Shift>[]): void {
  for (const coid of coids) handle(coid).shift(1);
}

/** How many calls through these handles reach another object than the one that has this place in the list. */
export function strayCalls(coids: readonly Coid<Shift>[]): number {
  return coids.filter((coid, place) => handle(coid).number() !== place).length;
}

/**
 * An object in front of another, as one writes it by hand to exchange what is behind it: what a handle is without the rest.
 * One class for whatever is behind.
 */
export class Forwarder implements Shift {
  target: Shift;

  constructor(target: Shift) {
    this.target = target;
  }

  shift(by: number): number {
    return this.target.shift(by);
  }

  number(): number {
    return this.target.number();
  }
}
