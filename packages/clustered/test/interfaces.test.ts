/**
 * Goal: an interface is declared as its TypeScript type says, or the type checker refuses it; what cannot be kept is
 * refused when it is defined; two meanings of one name are found out.
 * Method: declarations, good and bad; the bad ones carry `@ts-expect-error`, which is an error itself where there is none.
 */
import { Machine } from '@k42/rcu';
import { describe, expect, expectTypeOf, test } from 'vitest';
import {
  type Coid,
  create,
  defineImplementation,
  defineInterface,
  defineLayout,
  type Interface,
  type KindOf,
  type MethodKind,
  type StoredCoid,
} from '../src/index.ts';
import { fingerprint } from '../src/internal/fingerprint.ts';

let count = 0;
const name = (): string => `interfaces/${++count}`;
const code = (expected: string): unknown => expect.objectContaining({ code: expected });

describe('the kind of a method', () => {
  test('is what its result says', () => {
    expectTypeOf<KindOf<number>>().toEqualTypeOf<'sync'>();
    expectTypeOf<KindOf<void>>().toEqualTypeOf<'sync'>();
    expectTypeOf<KindOf<undefined>>().toEqualTypeOf<'sync'>();
    expectTypeOf<KindOf<never>>().toEqualTypeOf<'sync'>();
    expectTypeOf<KindOf<string[]>>().toEqualTypeOf<'sync'>();
    expectTypeOf<KindOf<Promise<void>>>().toEqualTypeOf<'async'>();
    expectTypeOf<KindOf<PromiseLike<number>>>().toEqualTypeOf<'async'>();
    // Perhaps a promise is a promise to take care of.
    expectTypeOf<KindOf<number | Promise<number>>>().toEqualTypeOf<'async'>();
    expectTypeOf<KindOf<Promise<number> | undefined>>().toEqualTypeOf<'async'>();
    expectTypeOf<KindOf<Iterator<number>>>().toEqualTypeOf<'iterator'>();
    expectTypeOf<KindOf<IterableIterator<number>>>().toEqualTypeOf<'iterator'>();
    expectTypeOf<KindOf<Generator<number, string, boolean>>>().toEqualTypeOf<'iterator'>();
    expectTypeOf<KindOf<AsyncIterator<number>>>().toEqualTypeOf<'async-iterator'>();
    expectTypeOf<KindOf<AsyncGenerator<number>>>().toEqualTypeOf<'async-iterator'>();
    expectTypeOf<KindOf<Iterator<number> | undefined>>().toEqualTypeOf<'iterator'>();
    // Iterable, and perhaps made as it goes; or not all there yet in any case; or all there.
    expectTypeOf<KindOf<Iterable<number>>>().toEqualTypeOf<'sync' | 'iterator'>();
    expectTypeOf<KindOf<AsyncIterable<number>>>().toEqualTypeOf<'async-iterator'>();
    expectTypeOf<KindOf<Map<string, number>>>().toEqualTypeOf<'sync'>();
    expectTypeOf<KindOf<ReadonlySet<string>>>().toEqualTypeOf<'sync'>();
    expectTypeOf<KindOf<Uint8Array | undefined>>().toEqualTypeOf<'sync'>();
    expectTypeOf<KindOf<string>>().toEqualTypeOf<'sync'>();
    // What is used when the call is over, and nobody counts.
    expectTypeOf<KindOf<Promise<AsyncGenerator<number>>>>().toEqualTypeOf<never>();
    expectTypeOf<KindOf<unknown>>().toEqualTypeOf<MethodKind>();
    expectTypeOf<KindOf<object>>().toEqualTypeOf<MethodKind>();
    expectTypeOf<KindOf<ReturnType<typeof JSON.parse>>>().toEqualTypeOf<
      'sync' | 'async' | 'iterator' | 'async-iterator'
    >();
  });

  test('must be declared so', () => {
    interface All {
      get(): number;
      load(): Promise<number>;
      each(): Generator<number>;
      stream(): AsyncGenerator<number>;
    }
    const good = { get: 'sync', load: 'async', each: 'iterator', stream: 'async-iterator' } as const;
    expectTypeOf(defineInterface<All>(name(), good)).toEqualTypeOf<Interface<All>>();
    // @ts-expect-error a promise is not synchronous
    defineInterface<All>(name(), { ...good, load: 'sync' });
    // @ts-expect-error a number is no promise
    defineInterface<All>(name(), { ...good, get: 'async' });
    // @ts-expect-error an iterator outlasts its call
    defineInterface<All>(name(), { ...good, each: 'sync' });
    // @ts-expect-error its steps are promises
    defineInterface<All>(name(), { ...good, stream: 'iterator' });
    // @ts-expect-error a method is missing
    defineInterface<All>(name(), { get: 'sync', load: 'async', each: 'iterator' });
    // @ts-expect-error one too many
    defineInterface<All>(name(), { ...good, more: 'sync' });
    // @ts-expect-error no method
    defineInterface<{ size: number }>(name(), { size: 'sync' });
  });

  test('counts every overload, optional methods and those of any type', () => {
    interface Odd {
      get(key: string): Promise<string>;
      get(key: number): number;
      run<R>(work: () => R): R;
      maybe?(): number;
    }
    const odd = { get: 'async', run: 'async', maybe: 'sync' } as const;
    defineInterface<Odd>(name(), odd);
    defineInterface<Odd>(name(), { ...odd, run: 'sync' });
    // @ts-expect-error the first overload gives a promise
    defineInterface<Odd>(name(), { ...odd, get: 'sync' });
    // @ts-expect-error a method that may be there has to be declared
    defineInterface<Odd>(name(), { get: 'async', run: 'sync' });
    // @ts-expect-error slots have no methods but those with names
    defineInterface<{ inc(): number; [Symbol.iterator](): Iterator<number> }>(name(), { inc: 'sync' });
  });

  test('is what an implementation has to have', () => {
    interface Two {
      a(): void;
      b(): void;
    }
    const served = defineInterface<Two>(name(), { a: 'sync', b: 'sync' });
    class Half {
      a(): void {}
    }
    // @ts-expect-error b is missing
    defineImplementation({ name: name(), interface: served, distribution: 'shared', Rep: Half });
  });

  test('of a stored COID is that it is no COID', () => {
    const stored = 0 as StoredCoid<{ a(): void }>;
    // @ts-expect-error it has to be revived
    const coid: Coid<{ a(): void }> = stored;
    expect(coid).toBe(0);
  });

  test('may say that calls wait or complete others, where they can', () => {
    interface Gate {
      open(): void;
      pass(): Promise<void>;
      each(): Generator<number>;
    }
    const { methods } = defineInterface<Gate>(name(), {
      open: { kind: 'sync', completes: true },
      pass: { kind: 'async', waits: true },
      each: { kind: 'iterator' },
    });
    expect(methods).toEqual({
      open: { kind: 'sync', waits: false, completes: true },
      pass: { kind: 'async', waits: true, completes: false },
      each: { kind: 'iterator', waits: false, completes: false },
    });
    expect(() =>
      defineInterface<Gate>(name(), {
        // @ts-expect-error what ends within its turn cannot wait
        open: { kind: 'sync', waits: true },
        pass: 'async',
        each: 'iterator',
      }),
    ).toThrowError(code('K42_NAME'));
    expect(() =>
      defineInterface<Gate>(name(), {
        open: 'sync',
        // @ts-expect-error it cannot wait and complete others at once
        pass: { kind: 'async', waits: true, completes: true },
        each: 'iterator',
      }),
    ).toThrowError(code('K42_NAME'));
  });

  test('of plain JavaScript is checked too', () => {
    expect(() => defineInterface<{ a(): void }>(name(), { a: 'quick' } as never)).toThrowError(
      code('K42_NAME'),
    );
    expect(() => defineInterface<{ a(): void }>(name(), { a: undefined } as never)).toThrowError(
      code('K42_NAME'),
    );
  });
});

describe('names', () => {
  test.each(['constructor', 'then', '$rep', 'a-b', '1a', 'a b'])('no method can be called %s', (method) => {
    expect(() =>
      defineInterface<Record<string, () => void>>(name(), { [method]: 'sync' } as never),
    ).toThrowError(code('K42_NAME'));
  });

  test.each(['', 'no spaces', 'ü', 'x'.repeat(65)])('no interface can be called "%s"', (bad) => {
    expect(() => defineInterface(bad, {})).toThrowError(code('K42_NAME'));
  });

  test('of implementations are given once', () => {
    const served = defineInterface<{ a(): void }>(name(), { a: 'sync' });
    const options = {
      name: 'interfaces/twice@1',
      interface: served,
      distribution: 'shared',
      Rep: class {
        a(): void {}
      },
    } as const;
    defineImplementation(options);
    expect(() => defineImplementation(options)).toThrowError(code('K42_NAME'));
  });

  test('that mean different things on two processors are refused', async () => {
    const program = new URL('./programs/divergent.ts', import.meta.url);
    const { Divergent } = await import('./programs/divergent.ts');
    await using machine = await Machine.boot({ processors: 2, program });
    const coid = create(Divergent);
    const refusal = { code: 'K42_DEFINITION_MISMATCH', definition: 'interfaces/divergent@1' };
    for (let again = 0; again < 2; again++) {
      await expect(machine.call(1, 'createHere')).rejects.toMatchObject(refusal);
      await expect(machine.call(1, 'callHere', [coid])).rejects.toMatchObject(refusal);
    }
    expect(() => create(Divergent)).not.toThrow();
  });

  test('that a processor lacks are named, with the module they come from', async () => {
    const program = new URL('./programs/counters.ts', import.meta.url);
    const { ShareTally } = await import('./programs/features.ts');
    const { where } = await import('./programs/counters.ts');
    await using machine = await Machine.boot({ processors: 2, program });
    const coid = create(ShareTally);
    await expect(machine.call(1, where.name, [coid])).rejects.toMatchObject({
      code: 'K42_NOT_LOADED',
      missing: 'features/tally',
    });
    // The interface alone is not enough.
    await expect(
      machine.call(1, { module: new URL('./programs/tallyInterface.ts', import.meta.url), name: 'own' }, [
        coid,
      ]),
    ).rejects.toMatchObject({
      code: 'K42_NOT_LOADED',
      missing: 'features/share-tally@1',
      module: new URL('./programs/features.ts', import.meta.url).href,
    });
  });
});

describe('definitions', () => {
  test('are told apart by what they declare', () => {
    expect(fingerprint(['a', 1])).not.toBe(fingerprint(['a', 2]));
    expect(fingerprint(['a', 1])).toBe(fingerprint(['a', 1]));
  });

  test('with sizes and shapes that make no sense are refused, when they can be', async () => {
    const served = defineInterface<{ a(): void }>(name(), { a: 'sync' });
    const define = (more: object): unknown =>
      defineImplementation<{ a(): void }>({
        name: name(),
        interface: served,
        distribution: 'shared',
        Rep: class {
          a(): void {}
        },
        ...more,
      } as never);
    expect(() => define({ clusterSize: 0 })).toThrowError(code('K42_INVALID_ARGUMENT'));
    expect(() => define({ distribution: 'clustered' })).toThrowError(code('K42_INVALID_ARGUMENT'));
    expect(() => define({ distribution: 'everywhere' })).toThrowError(code('K42_INVALID_ARGUMENT'));
    expect(() => define({ state: defineLayout({ a: 'i32' }), stateBytes: 4 })).toThrowError(
      code('K42_INVALID_ARGUMENT'),
    );
    await using _machine = await Machine.boot({ processors: 1 });
    const Negative = define({ stateBytes: () => -1 });
    expect(() => create(Negative as never)).toThrowError(code('K42_INVALID_ARGUMENT'));
  });

  test('layouts align every field to its own size', () => {
    const layout = defineLayout({ flag: 'u8', word: 'i32', bytes: { type: 'u8', length: 3 }, total: 'f64' });
    expect(layout.offsets).toEqual({ flag: 0, word: 4, bytes: 8, total: 16 });
    expect(layout.bytes).toBe(24);
    expect(layout.at(64)).toEqual({ flag: 64, word: 17, bytes: 72, total: 10 });
    expect(() => defineLayout({ a: 'i16' } as never)).toThrowError(code('K42_INVALID_ARGUMENT'));
    expect(() => defineLayout({ a: { type: 'i32', length: 0 } })).toThrowError(code('K42_INVALID_ARGUMENT'));
  });
});
