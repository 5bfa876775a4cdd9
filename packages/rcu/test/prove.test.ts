/**
 * Goal: in prove mode a reference that is used where no thread protects it throws, with the place; elsewhere nothing
 * changes, and outside prove mode nothing is checked.
 * Method: published references of every kind, used inside, after, and outside threads of their domain and of others.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import {
  Domain,
  guardInThread,
  isProving,
  publish,
  rcu,
  rcuAssign,
  rcuDereference,
  spawn,
} from '../src/index.ts';
import { boot, gate } from './support.ts';

const outside = expect.objectContaining({ code: 'K42_OUTSIDE_THREAD' });

class Table {
  #rows = new Map([['a', 1]]);
  get size(): number {
    return this.#rows.size;
  }
  find(key: string): number | undefined {
    return this.#rows.get(key);
  }
}

describe('published references', () => {
  test('are read and replaced, and give what they were', async () => {
    await boot(1);
    const table = publish(new Table());
    const old = rcuDereference(table);
    const next = new Table();
    expect(rcuAssign(table, next)).toBe(old);
    expect(rcuDereference(table)).toBe(next);
    const words = new Int32Array(new SharedArrayBuffer(8));
    expect(rcuAssign(words, 1, 42)).toBe(0);
    expect(rcuDereference(words, 1)).toBe(42);
    const invalid = expect.objectContaining({ code: 'K42_INVALID_ARGUMENT' });
    expect(() => rcuDereference(new Int32Array(2), 0)).toThrowError(invalid);
    expect(() => rcuDereference(words, 2)).toThrowError(invalid);
    expect(() => rcuAssign(words, 0, 1.5)).toThrowError(invalid);
    expect(() => rcu.isInsideThread()).toThrowError(invalid);
  });

  test('on several processors: what a reader finds lasts until its thread ends', async () => {
    const machine = await boot(2);
    const { memory } = machine;
    const word = memory.block('test/published', 64) / 4;
    const first = memory.allocate(64);
    memory.i32[first / 4] = 1;
    rcuAssign(memory.i32, word, first);
    expect(await machine.call(1, 'readPublished', [word])).toBe(1);
    const second = memory.allocate(64);
    memory.i32[second / 4] = 2;
    const unlinked = rcuAssign(memory.i32, word, second);
    await rcu.synchronize();
    memory.free(unlinked, 64);
    expect(await machine.call(1, 'readPublished', [word])).toBe(2);
  });
});

describe('prove mode', () => {
  test('lets a thread use what it has read, with methods, private fields, iteration and calls', async () => {
    await boot(1, { prove: true });
    const table = publish(new Table());
    const numbers = publish([3, 1, 2]);
    const add = publish((a: number, b: number) => a + b);
    const scalar = publish(7);
    spawn(() => {
      expect(rcuDereference(table).find('a')).toBe(1);
      expect(rcuDereference(table).size).toBe(1);
      expect([...rcuDereference(numbers)].sort()).toEqual([1, 2, 3]);
      expect(Object.keys(rcuDereference(numbers))).toEqual(['0', '1', '2']);
      expect(rcuDereference(add)(1, 2)).toBe(3);
      expect(rcuDereference(scalar)).toBe(7);
      expect('find' in rcuDereference(table)).toBe(true);
      expect(rcu.isInsideThread()).toBe(true);
    });
    expect(rcu.isInsideThread()).toBe(false);
  });

  test('throws where a reference is read outside any thread of its domain', async () => {
    await boot(1, { prove: true });
    const table = publish(new Table());
    expect(() => rcuDereference(table)).toThrowError(outside);
    const own = Domain.named('test/proved').publish(new Table());
    spawn(() => expect(() => rcuDereference(own)).toThrowError(outside));
    Domain.named('test/proved').spawn(() => expect(rcuDereference(own).size).toBe(1));
    const words = new Int32Array(new SharedArrayBuffer(4));
    expect(() => rcuDereference(words, 0)).toThrowError(outside);
  });

  test('throws where a reference is used after the thread that read it', async () => {
    await boot(1, { prove: true });
    const table = publish(new Table());
    const kept = spawn(() => rcuDereference(table));
    expect(() => kept.size).toThrowError(outside);
    expect(() => 'find' in kept).toThrowError(outside);
    const find = spawn(() => rcuDereference(table).find);
    expect(() => find('a')).toThrowError(outside);
    // Another thread does not protect it.
    spawn(() => expect(() => kept.size).toThrowError(outside));
    // A timer that a thread leaves behind is outside it.
    const { promise, resolve } = Promise.withResolvers<unknown>();
    await spawn(async () => {
      const used = rcuDereference(table);
      setTimeout(() => {
        try {
          resolve(used.size);
        } catch (error) {
          resolve(error);
        }
      });
    });
    expect(await promise).toEqual(outside);
  });

  test('follows a thread over its awaits, and a thread in a thread', async () => {
    await boot(1, { prove: true });
    const table = publish(new Table());
    const { passed, open } = gate();
    const thread = spawn(async () => {
      const used = rcuDereference(table);
      await passed;
      await nextTurn();
      const inner = spawn(() => rcuDereference(table).size);
      return used.size + inner;
    });
    open();
    expect(await thread).toBe(2);
  });

  test('knows quiescent states, deactivation and the end of a thread held by hand', async () => {
    await boot(1, { prove: true });
    const table = publish(new Table());
    const thread = rcu.enter('held');
    const before = rcuDereference(table);
    expect(before.size).toBe(1);
    thread.quiescent();
    expect(() => before.size).toThrowError(outside);
    expect(rcuDereference(table).size).toBe(1);
    await thread.outside(async () => {
      expect(() => rcuDereference(table)).toThrowError(outside);
    });
    const after = rcuDereference(table);
    thread.end();
    expect(() => after.size).toThrowError(outside);
    expect(() => rcuDereference(table)).toThrowError(outside);
  });

  test('refuses to wait for a grace period inside an asynchronous thread, at once', async () => {
    await boot(1, { prove: true });
    const wait = spawn(async () => {
      await nextTurn();
      await rcu.synchronize();
    });
    await expect(wait).rejects.toMatchObject({ code: 'K42_GRACE_PERIOD_DEADLOCK' });
    using guard = rcu.enter('guard');
    await expect(rcu.barrier()).rejects.toMatchObject({ code: 'K42_GRACE_PERIOD_DEADLOCK' });
    // Deactivated it may.
    await guard.outside(() => rcu.synchronize());
  });

  test('is on for every processor of the machine, and off when it has closed', async () => {
    const machine = await boot(2, { prove: true });
    await expect(machine.run(1, 'readOutside')).rejects.toMatchObject({ code: 'K42_OUTSIDE_THREAD' });
    // Calls are threads.
    expect(await machine.call(1, 'readOutside')).toBe(1);
    await machine.close();
    await boot(1);
    expect(rcuDereference(publish(new Table())).size).toBe(1);
  });
});

/** What a layer above gives out: with private fields, and methods of every kind. */
class Service {
  readonly table = new Table();
  readonly #release = gate();
  #calls = 0;

  get calls(): number {
    return this.#calls;
  }
  find(key: string): number | undefined {
    this.#calls++;
    return this.table.find(key);
  }
  itself(): this {
    return this;
  }
  isItself(other: Service): boolean {
    return other === this;
  }
  release(): void {
    this.#release.open();
  }
  async slow<T>(value: T): Promise<T> {
    await this.#release.passed;
    this.#calls++;
    return value;
  }
  async failing(): Promise<never> {
    await nextTurn();
    throw new RangeError('asked to fail');
  }
  thenable(): PromiseLike<string> {
    // biome-ignore lint/suspicious/noThenProperty: any thenable is a promise to its caller
    return { then: (fulfilled) => this.slow('from a thenable').then(fulfilled) };
  }
  *numbers(): Generator<number> {
    for (let n = 1; ; n++) yield n;
  }
  keys(): MapIterator<string> {
    return new Map([['a', 1]]).keys();
  }
  async *stream(): AsyncGenerator<number> {
    for (let n = 1; ; n++) {
      await nextTurn();
      yield n;
    }
  }
}

describe('objects of layers above', () => {
  const calls = { calls: true };

  test('are what they are outside prove mode, at any place', async () => {
    const service = new Service();
    expect(isProving()).toBe(false);
    expect(guardInThread(service, calls)).toBe(service);
    await boot(1);
    expect(isProving()).toBe(false);
    expect(guardInThread(service)).toBe(service);
  });

  test('may be used in the thread that has obtained them, synchronous or not', async () => {
    await boot(1, { prove: true });
    expect(isProving()).toBe(true);
    const service = new Service();
    spawn(() => {
      const guarded = guardInThread(service, calls);
      expect(guarded.find('a')).toBe(1);
      expect(guarded.table.size).toBe(1);
      expect(guarded.calls).toBe(1);
      expect(guardInThread(7, calls)).toBe(7);
    });
    await spawn(async () => {
      const guarded = guardInThread(service, calls);
      const slow = guarded.slow({ some: 'thing' });
      const thenable = guarded.thenable();
      await nextTurn();
      guarded.release();
      expect(await slow).toEqual({ some: 'thing' });
      expect(await thenable).toBe('from a thenable');
      await expect(guarded.failing()).rejects.toThrowError(RangeError);
    });
    // The thread lasts as long as the call it gives.
    expect(await spawn(() => guardInThread(service, calls).slow(1))).toBe(1);
    await expect(spawn(() => guardInThread(service, calls).failing())).rejects.toThrowError(RangeError);
    using _thread = rcu.enter('held');
    expect(await guardInThread(service, calls).slow(2)).toBe(2);
  });

  test('are the same stand-in throughout a thread, and methods run on the object itself', async () => {
    await boot(1, { prove: true });
    const service = new Service();
    const thread = rcu.enter('held');
    const guarded = guardInThread(service, calls);
    expect(guardInThread(service, calls)).toBe(guarded);
    expect(guardInThread(guarded, calls)).toBe(guarded);
    expect(guarded.table).toBe(guarded.table);
    expect(guarded).not.toBe(service);
    expect(guarded.itself()).toBe(guarded);
    expect(guarded.isItself(guarded)).toBe(true);
    expect(guarded.isItself(service)).toBe(true);
    thread.quiescent();
    expect(guardInThread(service, calls) === guarded).toBe(false);
    expect(() => guarded.itself()).toThrowError(outside);
    thread.end();
  });

  test('are refused outside any thread of the machine, with the place', async () => {
    await boot(1, { prove: true });
    const service = new Service();
    expect(() => guardInThread(service, calls)).toThrowError(outside);
    Domain.named('test/proved').spawn(() =>
      expect(() => guardInThread(service, calls)).toThrowError(outside),
    );
    let error: Error | undefined;
    try {
      guardInThread(service);
    } catch (thrown) {
      error = thrown as Error;
    }
    expect(error?.stack).toContain('prove.test');
  });

  test('throw when their thread has ended, in another thread too', async () => {
    await boot(1, { prove: true });
    const service = new Service();
    const kept = spawn(function lookUp() {
      return guardInThread(service, calls);
    });
    expect(() => kept.find('a')).toThrowError(
      expect.objectContaining({ code: 'K42_OUTSIDE_THREAD', message: expect.stringContaining('(lookUp)') }),
    );
    spawn(() => expect(() => kept.table).toThrowError(outside));
    const find = spawn(() => guardInThread(service, calls).find);
    expect(() => find('a')).toThrowError(outside);
    expect(service.calls).toBe(0);
  });

  test('reject a call that its thread did not wait for, when the thread ends, with both names and the place', async () => {
    await boot(1, { prove: true });
    const service = new Service();
    const synchronous: Promise<number>[] = [];
    spawn(function fireAndForget() {
      synchronous.push(guardInThread(service, calls).slow(1));
    });
    const early = await synchronous[0]?.catch((error: unknown) => error);
    expect(early).toMatchObject({
      code: 'K42_OUTSIDE_THREAD',
      message: 'Thread fireAndForget ended before its call of slow did.',
      cause: { message: 'slow was called here' },
    });
    const [, place] = ((early as Error).cause as Error).stack?.split('\n') ?? [];
    expect(place).toMatch(/fireAndForget.*prove\.test/);

    const { promise: asynchronous, resolve } = Promise.withResolvers<unknown>();
    await spawn(async () => {
      await nextTurn();
      guardInThread(service, calls).slow(2).catch(resolve);
    });
    expect(await asynchronous).toEqual(outside);
    // A call that is over, and one that another thread waits for, are nobody's concern.
    service.release();
    const inTime = spawn(async () => {
      const call = guardInThread(service, calls).slow(3);
      await call;
      return [call];
    });
    expect(await (await inTime)[0]).toBe(3);
    expect(service.calls).toBe(3);
  });

  test('reject a call that is going on at a quiescent state, a deactivation or the end of a thread held by hand', async () => {
    await boot(1, { prove: true });
    const service = new Service();
    const thread = rcu.enter('held');
    const over = expect(guardInThread(service, calls).slow(1)).rejects.toMatchObject({
      message: 'Thread held announced a quiescent state before its call of slow had ended.',
    });
    thread.quiescent();
    await over;
    const away = expect(guardInThread(service, calls).slow(2)).rejects.toEqual(outside);
    await thread.outside(() => away);
    const left = expect(guardInThread(service, calls).slow(3)).rejects.toMatchObject({
      message: 'Thread held ended before its call of slow did.',
    });
    thread.end();
    await left;
  });

  test('have their iterators advanced while the thread lasts only', async () => {
    await boot(1, { prove: true });
    const service = new Service();
    const numbers = spawn(() => {
      const guarded = guardInThread(service, calls);
      expect([...guarded.keys()]).toEqual(['a']);
      expect(guarded.numbers().take(3).toArray()).toEqual([1, 2, 3]);
      const kept = guarded.numbers();
      for (const number of kept) {
        expect(number).toBe(1);
        break;
      }
      return guarded.numbers();
    });
    expect(() => numbers.next()).toThrowError(outside);
    expect(() => [...numbers]).toThrowError(outside);

    let stream: AsyncGenerator<number> | undefined;
    let pending: Promise<unknown> | undefined;
    await spawn(async () => {
      stream = guardInThread(service, calls).stream();
      for await (const number of stream) {
        expect(number).toBe(1);
        break;
      }
      stream = guardInThread(service, calls).stream();
      expect(await stream.next()).toEqual({ value: 1, done: false });
      pending = stream.next().catch((error: unknown) => error);
    });
    expect(await pending).toEqual(outside);
    expect(() => stream?.next()).toThrowError(outside);
  });

  test('without watching of calls give what their methods give', async () => {
    await boot(1, { prove: true });
    const service = new Service();
    const [slow, numbers] = spawn(() => {
      const guarded = guardInThread(service);
      return [guarded.slow(1), guarded.numbers()] as const;
    });
    service.release();
    expect(await slow).toBe(1);
    expect(numbers.next().value).toBe(1);
  });
});
