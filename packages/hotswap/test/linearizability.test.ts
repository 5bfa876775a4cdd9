/**
 * Goal: the checker of histories accepts what can be explained by an order of the calls and refuses what cannot; else its
 * verdicts on recorded histories would mean nothing.
 * Method: histories by hand, good ones and each classic kind of bad one; random tiny ones, judged by trying all orders; and
 * long ones made from an order, which then are spoilt in one place.
 */
import { randomFrom } from '@k42/tooling/random';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { check, explain, type Model, type Operation, partition } from './linearizability/checker.ts';
import { counter, DONE, NONE, queue, register } from './linearizability/models.ts';

/** `name(args) = result` from one time to another; without the second it never returned. */
function call(
  name: string,
  args: readonly number[],
  result: number | undefined,
  called: number,
  returned?: number,
): Operation {
  return { name, args, called, returned, result: returned === undefined ? undefined : result };
}

function accepts<S>(model: Model<S>, ...history: Operation[]): boolean {
  return check(model, history).isLinearizable;
}

describe('a register', () => {
  const model = register(0);

  test('calls one after the other', () => {
    expect(
      accepts(
        model,
        call('read', [], 0, 1, 2),
        call('write', [7], DONE, 3, 4),
        call('add', [2], 9, 5, 6),
        call('compareAndSet', [9, 1], 1, 7, 8),
        call('compareAndSet', [9, 2], 0, 9, 10),
        call('read', [], 1, 11, 12),
      ),
    ).toBe(true);
  });

  test('calls at the same time take effect in any order', () => {
    const write = call('write', [1], DONE, 1, 10);
    expect(accepts(model, write, call('read', [], 0, 2, 3), call('read', [], 1, 4, 5))).toBe(true);
    expect(accepts(model, write, call('read', [], 1, 2, 3), call('read', [], 0, 4, 5))).toBe(false);
  });

  test('a lost update', () => {
    expect(
      accepts(model, call('add', [1], 1, 1, 4), call('add', [1], 1, 2, 5), call('read', [], 1, 6, 7)),
    ).toBe(false);
    expect(
      accepts(
        model,
        call('write', [1], DONE, 1, 2),
        call('write', [2], DONE, 3, 4),
        call('read', [], 1, 5, 6),
      ),
    ).toBe(false);
  });

  test('a stale read', () => {
    expect(accepts(model, call('write', [1], DONE, 1, 2), call('read', [], 0, 3, 4))).toBe(false);
    // Two readers: once somebody has read the new value, nobody reads the old one.
    expect(
      accepts(model, call('write', [1], DONE, 1, 20), call('read', [], 1, 2, 5), call('read', [], 0, 6, 9)),
    ).toBe(false);
  });

  test('a value that was never written', () => {
    expect(accepts(model, call('write', [1], DONE, 1, 4), call('read', [], 2, 2, 3))).toBe(false);
  });

  test('calls that never returned have had an effect or not, but not both, and not before they were made', () => {
    const pending = call('write', [1], undefined, 3);
    expect(accepts(model, pending, call('read', [], 1, 4, 5), call('read', [], 1, 6, 7))).toBe(true);
    expect(accepts(model, pending, call('read', [], 0, 4, 5), call('read', [], 1, 6, 7))).toBe(true);
    expect(accepts(model, pending, call('read', [], 0, 4, 5), call('read', [], 0, 6, 7))).toBe(true);
    expect(accepts(model, pending, call('read', [], 1, 4, 5), call('read', [], 0, 6, 7))).toBe(false);
    expect(accepts(model, pending, call('read', [], 1, 1, 2))).toBe(false);
    const addition = call('add', [1], undefined, 1);
    expect(accepts(model, addition, call('read', [], 1, 2, 3), call('read', [], 2, 4, 5))).toBe(false);
  });

  test('says where it ends', () => {
    const verdict = check(model, [
      call('write', [1], DONE, 1, 2),
      call('write', [2], DONE, 3, 4),
      call('read', [], 1, 5, 6),
    ]);
    expect(explain(verdict)).toContain('after 2 operations the state is 2');
    expect(explain(verdict)).toContain('read() = 1, 5 to 6');
  });
});

describe('an entry of a map', () => {
  const model = register(NONE);

  test('is there or not', () => {
    expect(
      accepts(
        model,
        call('has', [], 0, 1, 2),
        call('write', [5], DONE, 3, 4),
        call('has', [], 1, 5, 6),
        call('delete', [], 1, 7, 8),
        call('delete', [], 0, 9, 10),
        call('compareAndSet', [NONE, 3], 1, 11, 12),
        call('read', [], 3, 13, 14),
      ),
    ).toBe(true);
    expect(accepts(model, call('write', [5], DONE, 1, 2), call('has', [], 0, 3, 4))).toBe(false);
    const twice = [call('delete', [], 1, 3, 6), call('delete', [], 1, 4, 7)];
    expect(accepts(model, call('write', [5], DONE, 1, 2), ...twice)).toBe(false);
  });

  test('each key is an object of its own', () => {
    const history = [
      call('write', [1, 10], DONE, 1, 2),
      call('write', [2, 20], DONE, 3, 4),
      call('read', [1], 10, 5, 6),
    ];
    expect(
      [...partition(history, ({ args }) => args[0] as number)].map(([key, part]) => [key, part.length]),
    ).toEqual([
      [1, 2],
      [2, 1],
    ]);
  });
});

describe('a counter', () => {
  test('counts what was counted', () => {
    const [first, second] = [call('inc', [], DONE, 1, 4), call('inc', [], DONE, 2, 8)];
    for (const value of [1, 2])
      expect(accepts(counter, first, second, call('value', [], value, 5, 6))).toBe(true);
    for (const value of [0, 3])
      expect(accepts(counter, first, second, call('value', [], value, 5, 6))).toBe(false);
    expect(accepts(counter, first, second, call('value', [], 1, 9, 10))).toBe(false);
  });
});

describe('a queue', () => {
  const pushes = [call('push', [1], DONE, 1, 2), call('push', [2], DONE, 3, 4)];

  test('gives values in order, once', () => {
    expect(accepts(queue, ...pushes, call('pop', [], 1, 5, 6), call('tryPop', [], 2, 7, 8))).toBe(true);
    expect(accepts(queue, ...pushes, call('size', [], 2, 5, 6), call('pop', [], 1, 7, 8))).toBe(true);
    // A pop that waits takes effect at the end.
    expect(accepts(queue, call('pop', [], 1, 0, 9), ...pushes)).toBe(true);
  });

  test('a reordered queue', () => {
    expect(accepts(queue, ...pushes, call('pop', [], 2, 5, 6), call('pop', [], 1, 7, 8))).toBe(false);
    expect(accepts(queue, ...pushes, call('pop', [], 2, 5, 8), call('pop', [], 1, 6, 9))).toBe(true);
  });

  test('a duplicated pop', () => {
    expect(accepts(queue, ...pushes, call('pop', [], 1, 5, 8), call('pop', [], 1, 6, 9))).toBe(false);
  });

  test('a value that is lost, or comes from nowhere', () => {
    expect(accepts(queue, ...pushes, call('pop', [], 1, 5, 6), call('tryPop', [], NONE, 7, 8))).toBe(false);
    expect(accepts(queue, ...pushes, call('pop', [], 3, 5, 6))).toBe(false);
    expect(accepts(queue, call('tryPop', [], 1, 1, 2), call('push', [1], DONE, 3, 4))).toBe(false);
  });

  test('a pop that never returned may have taken one value, a push that never returned may have left one', () => {
    const popping = call('pop', [], undefined, 5);
    expect(accepts(queue, ...pushes, popping, call('tryPop', [], 2, 6, 7))).toBe(true);
    expect(accepts(queue, ...pushes, popping, call('tryPop', [], 1, 6, 7))).toBe(true);
    expect(accepts(queue, ...pushes, popping, call('tryPop', [], NONE, 6, 7))).toBe(false);
    const pushing = call('push', [3], undefined, 5);
    expect(accepts(queue, ...pushes, pushing, call('size', [], 3, 6, 7))).toBe(true);
    expect(accepts(queue, ...pushes, pushing, call('size', [], 4, 6, 7))).toBe(false);
  });
});

// Against all orders

/** The definition, word for word: some of the pending operations and all others, in an order that times and model allow. */
function hasOrder<S>(model: Model<S>, history: readonly Operation[]): boolean {
  const extend = (state: S, rest: readonly Operation[]): boolean => {
    if (rest.every(({ returned }) => returned === undefined)) return true;
    return rest.some((operation) => {
      const overtakes = rest.some(({ returned }) => returned !== undefined && returned < operation.called);
      if (overtakes) return false;
      const next = model.apply(state, operation);
      if (next === undefined) return false;
      return extend(
        next,
        rest.filter((other) => other !== operation),
      );
    });
  };
  return extend(model.initial, history);
}

interface Drawn {
  readonly name: string;
  readonly args: readonly number[];
  readonly result: number;
  readonly pending: boolean;
}

/** Up to six operations with results from a small range, whose calls and returns are shuffled together. */
function histories(names: readonly string[]): fc.Arbitrary<Operation[]> {
  const small = fc.integer({ min: -1, max: 2 });
  const drawn: fc.Arbitrary<Drawn> = fc.record({
    name: fc.constantFrom(...names),
    args: fc.tuple(small, small),
    result: small,
    pending: fc.integer({ min: 0, max: 4 }).map((n) => n === 0),
  });
  return fc.array(drawn, { minLength: 1, maxLength: 6 }).chain((operations) =>
    fc
      .shuffledSubarray(
        operations.flatMap((_operation, index) => [index, index]),
        { minLength: 2 * operations.length },
      )
      .map((events) =>
        operations.map(({ name, args, result, pending }, index) => {
          const [called, returned] = [events.indexOf(index) + 1, events.lastIndexOf(index) + 1];
          return call(name, args, result, called, pending ? undefined : returned);
        }),
      ),
  );
}

const seed = Number(process.env.K42_SEED ?? Date.now() % 2 ** 31);

const MODELS: readonly [string, Model<unknown>, readonly string[]][] = [
  ['register', register(0) as Model<unknown>, ['read', 'write', 'add', 'compareAndSet']],
  ['entry', register(NONE) as Model<unknown>, ['read', 'write', 'has', 'delete', 'compareAndSet']],
  ['counter', counter as Model<unknown>, ['inc', 'value']],
  ['queue', queue as Model<unknown>, ['push', 'pop', 'tryPop', 'size']],
];

describe.each(MODELS)('%s', (_name, model, names) => {
  test('tiny histories: the verdict is that of trying all orders', () => {
    const counts = { good: 0, bad: 0 };
    fc.assert(
      fc.property(histories(names), (history) => {
        const expected = hasOrder(model, history);
        counts[expected ? 'good' : 'bad']++;
        expect(check(model, history).isLinearizable).toBe(expected);
      }),
      { numRuns: 5000, seed },
    );
    // Both kinds have been drawn.
    expect(Math.min(counts.good, counts.bad)).toBeGreaterThan(100);
  });

  test('long histories made from an order are accepted; with one wrong result they are not', () => {
    for (let round = 0; round < 10; round++) {
      const { history, spoilt } = longHistory(model, names, seed + round);
      const verdict = check(model, history);
      expect(verdict.isLinearizable, `seed ${seed}: ${explain(verdict)}`).toBe(true);
      expect(verdict.order.length).toBeGreaterThanOrEqual(
        history.filter(({ returned }) => returned !== undefined).length,
      );
      expect(check(model, spoilt).isLinearizable, `seed ${seed}`).toBe(false);
    }
  });
});

/** Four callers, some 300 operations, each at a moment of its own with times around it; some of them never return. */
function longHistory(
  model: Model<unknown>,
  names: readonly string[],
  from: number,
): { readonly history: Operation[]; readonly spoilt: Operation[] } {
  const random = randomFrom(from);
  const history: Operation[] = [];
  const freeAt = Array.from({ length: 4 }, () => 0);
  let state = model.initial;
  let seen: number | undefined;
  for (let moment = 1; moment <= 400; moment++) {
    const by = random(freeAt.length);
    const at = moment * 1000;
    // Nobody makes two calls at once. Last digits keep tickets apart.
    const called = Math.max(freeAt[by] as number, at - random(4000)) + 1;
    if (called >= at) continue;
    const returned = at + 10 + random(4000);
    freeAt[by] = returned + 10;
    const name = names[random(names.length)] as string;
    const args = [random(4), random(4)];
    const near = typeof state === 'number' ? state : (state as readonly number[]).length;
    const possible = [...new Set([NONE, 0, 1, 2, 3, near, near + 1, near + 2, near + 3])].flatMap(
      (result) => {
        const operation = { ...call(name, args, result, called + by / 10, returned + by / 10), by };
        const next = model.apply(state, operation);
        return next === undefined ? [] : [{ operation, next }];
      },
    );
    const drawn = possible[random(possible.length)];
    // A pop of an empty queue would wait.
    if (drawn === undefined) continue;
    state = drawn.next;
    const lost = random(60) === 0;
    history.push(lost ? { ...drawn.operation, returned: undefined, result: undefined } : drawn.operation);
    if (!lost && drawn.operation.result !== DONE) seen = history.length - 1;
  }
  // A result that no order gives: nothing is ever so large.
  const spoilt = history.map((operation, index) =>
    index === seen ? { ...operation, result: 5000 } : operation,
  );
  return { history, spoilt };
}
