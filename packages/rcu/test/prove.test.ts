/**
 * Goal: in prove mode a reference that is used where no thread protects it throws, with the place; elsewhere nothing
 * changes, and outside prove mode nothing is checked.
 * Method: published references of every kind, used inside, after, and outside threads of their domain and of others.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { Domain, publish, rcu, rcuAssign, rcuDereference, spawn } from '../src/index.ts';
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
