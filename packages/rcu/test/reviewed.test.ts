/**
 * Goal: what a hostile reading of the package found does not come back.
 * Method: the shortest scenario that showed each fault.
 */
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Domain, type Machine, Mutex, publish, rcu, rcuAssign, rcuDereference, spawn } from '../src/index.ts';
import { boot as bootAny, gate, settle, until } from './support.ts';

const program = new URL('./programs/reviewed.ts', import.meta.url);
const boot = (processors: number, options: Parameters<typeof bootAny>[1] = {}): Promise<Machine> =>
  bootAny(processors, { program, maxProcessors: 4, ...options });

/** A thread that joins and leaves when told. */
function member(machine: Machine): { do(doing: 'join' | 'leave'): Promise<unknown>; worker: Worker } {
  const worker = new Worker(program, { workerData: { reviewed: machine.ticket() } });
  onTestFinished(async () => void (await worker.terminate()));
  return {
    worker,
    async do(doing) {
      worker.postMessage(doing);
      const [answer] = await once(worker, 'message');
      return answer;
    },
  };
}

describe('answers to those who are gone', () => {
  test.each(['synchronize', 'barrier'] as const)(
    'an answer to a processor that left does not end the %s of its successor',
    async (form) => {
      const machine = await boot(2);
      const first = member(machine);
      const number = (await first.do('join')) as number;
      await machine.run(1, 'openNamed', ['T1']);
      if (form === 'barrier') await machine.run(1, 'handInHere');
      await machine.run(number, 'beginWait', [form]);
      await machine.run(1, 'liveHere');
      await first.worker.terminate();
      await until(() => !machine.processors.includes(number), 'the first one is gone');
      const second = member(machine);
      expect(await second.do('join')).toBe(number);
      await machine.run(1, 'openNamed', ['T2']);
      if (form === 'barrier') await machine.run(1, 'handInHere');
      await machine.run(number, 'beginWait', [form]);
      await machine.run(1, 'liveHere');
      // T1 ends: what the first one has asked for has come to pass, and not what the second one has.
      await machine.run(1, 'closeNamed', ['T1']);
      await machine.run(1, 'liveHere');
      await settle();
      expect(await machine.run(number, 'howWaitEnded')).toBeUndefined();
      await machine.run(1, 'closeNamed', ['T2']);
      await until(async () => (await machine.run(number, 'howWaitEnded')) !== undefined, 'its own wait ends');
      expect(await machine.run(number, 'howWaitEnded')).toBe('ended');
    },
  );

  test('words that a dead processor left in a domain are not its successor’s', async () => {
    const machine = await boot(2);
    const domain = Domain.named('test/left');
    const first = member(machine);
    const number = (await first.do('join')) as number;
    await machine.run(number, 'openNamed', ['for ever', 'test/left']);
    await first.worker.terminate();
    await until(() => !machine.processors.includes(number), 'the first one is gone');
    const second = member(machine);
    expect(await second.do('join')).toBe(number);
    // The successor has never used the domain: nobody is asked, and nothing has to come to pass.
    expect(domain.poll(domain.startPoll())).toBe(true);
  });

  test('a cookie whose starter is gone is reached all the same', async () => {
    const machine = await boot(2);
    const first = member(machine);
    const number = (await first.do('join')) as number;
    await machine.run(1, 'openNamed', ['T1']);
    // Its own batch is in progress: the cookie's grace period has not been stamped when it dies.
    await machine.run(number, 'beginWait', ['synchronize']);
    await machine.run(1, 'liveHere');
    await machine.run(1, 'openNamed', ['T2']);
    const cookie = rcu.startPoll();
    await first.worker.terminate();
    await until(() => !machine.processors.includes(number), 'the first one is gone');
    await machine.run(1, 'closeNamed', ['T1']);
    await machine.run(1, 'closeNamed', ['T2']);
    await machine.run(1, 'openNamed', ['T3']);
    await until(() => rcu.poll(cookie), 'the cookie is reached');
    await machine.run(1, 'closeNamed', ['T3']);
  });
});

describe('a machine that closes', () => {
  test('fails every wait instead of ending it', async () => {
    const machine = await boot(2);
    const { passed, open } = gate();
    const thread = spawn(() => passed);
    rcu.call(() => {});
    const waits = {
      plain: rcu.synchronize(),
      expedited: rcu.synchronize({ expedited: true }),
      barrier: rcu.barrier(),
      domain: Domain.named('test/closing').spawn(() => rcu.conditional(rcu.startPoll())),
    };
    const results = Promise.allSettled(Object.values(waits));
    await settle();
    await machine.close({ closeDeadlineMs: 50 }).catch(() => {});
    for (const result of await results)
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'K42_MACHINE_CLOSED' } });
    open();
    await thread;
  });

  test('runs no callback afterwards, and forgets what was retired', async () => {
    const machine = await boot(2);
    const { passed, open } = gate();
    const thread = spawn(() => passed);
    const object = {};
    let reclaimed = 0;
    rcu.retire(object, () => void reclaimed++);
    await machine.close({ closeDeadlineMs: 50 }).catch(() => {});
    open();
    await thread;
    await settle();
    expect(reclaimed).toBe(0);
    await boot(1);
    rcu.retire(object, () => void reclaimed++);
    await rcu.barrier();
    expect(reclaimed).toBe(1);
  });
});

describe('work that hands in work', () => {
  test('is finished before the machine closes, from one domain to another and back', async () => {
    const machine = await boot(1);
    const other = Domain.named('test/chain');
    let steps = 0;
    const step = (): void => {
      steps++;
      if (steps < 20) (steps % 2 === 0 ? rcu : other).call(step);
    };
    rcu.call(step);
    await machine.close();
    expect(steps).toBe(20);
  });
});

test('a module stays on the list if one of several loads of it has succeeded', async () => {
  const machine = await boot(2);
  const slow = `data:text/javascript,
    await new Promise((resolve) => setTimeout(resolve, 200));
    globalThis.reviewedLoaded = true;`;
  const [late, loaded] = await Promise.allSettled([
    machine.load(slow, { deadlineMs: 20 }),
    machine.load(slow),
  ]);
  expect(late).toMatchObject({ status: 'rejected', reason: { code: 'K42_DEADLINE' } });
  expect(loaded.status).toBe('fulfilled');
  // Who joins has it before it serves.
  expect(await machine.run(await machine.add(), 'hasLoaded')).toBe(true);
});

describe('what would take a processor down', () => {
  test('whatever is thrown reaches the caller as an error', async () => {
    const machine = await boot(2);
    await expect(machine.call(1, 'throwBare')).rejects.toBeInstanceOf(Error);
    await expect(machine.call(1, 'throwSpiteful')).rejects.toMatchObject({ message: 'spiteful' });
    expect(machine.processors).toEqual([0, 1]);
  });

  test('the callbacks of the dead are inherited whatever the limit', async () => {
    const limited = Domain.named('test/limited', { highWaterMark: 2, max: 3 });
    const machine = await boot(1);
    const first = member(machine);
    const number = (await first.do('join')) as number;
    const { passed, open } = gate();
    const reader = limited.spawn(() => passed);
    await machine.run(number, 'handInPortableHere', [6]);
    await first.worker.terminate();
    await until(() => !machine.processors.includes(number), 'it is gone');
    const barrier = limited.barrier();
    open();
    await reader;
    await barrier;
    expect(Atomics.load(machine.memory.i32, machine.memory.block('test/reviewed', 64) / 4)).toBe(6);
    expect(await member(machine).do('join')).toBe(number);
  });

  test('a process out of file descriptors takes no lock for that of a dead holder', () => {
    const script = `
      import { openSync } from 'node:fs';
      import { currentTask, isTaskAlive } from ${JSON.stringify(new URL('../src/internal/owners.ts', import.meta.url).href)};
      const { task, started } = currentTask();
      try { for (;;) openSync('/dev/null'); } catch {}
      process.exitCode = isTaskAlive(task, started) ? 42 : 1;
    `;
    const args = [
      '-c',
      'ulimit -n 64; exec "$0" "$@"',
      process.execPath,
      '--input-type=module',
      '-e',
      script,
    ];
    expect(spawnSync('sh', args, { encoding: 'utf8' })).toMatchObject({ status: 42 });
  });
});

describe('waits that would never end, or end at once', () => {
  test('drained is refused inside a thread, and has a deadline', async () => {
    const machine = await boot(2);
    const domain = Domain.named('test/drained', { highWaterMark: 2, max: 10 });
    await machine.run(1, 'openNamed', ['reader', 'test/drained']);
    for (let i = 0; i < 5; i++) domain.call(() => {});
    await expect(domain.spawn(() => domain.drained())).rejects.toMatchObject({
      code: 'K42_GRACE_PERIOD_DEADLOCK',
    });
    await expect(domain.drained({ deadlineMs: 20 })).rejects.toMatchObject({
      code: 'K42_GRACE_PERIOD_DEADLINE',
    });
    await machine.run(1, 'closeNamed', ['reader']);
    await domain.drained();
  });

  test('a deadline that no timer can wait is refused', async () => {
    const machine = await boot(1);
    const invalid = { code: 'K42_INVALID_ARGUMENT' };
    for (const deadlineMs of [Number.POSITIVE_INFINITY, 2 ** 31, Number.NaN, 0, -1]) {
      await expect(rcu.synchronize({ deadlineMs })).rejects.toMatchObject(invalid);
      await expect(rcu.barrier({ deadlineMs })).rejects.toMatchObject(invalid);
      await expect(machine.call(0, 'liveHere', [], { deadlineMs })).rejects.toMatchObject(invalid);
    }
  });

  test('expedited waits leave the event loop its turns, and nothing behind when they are given up', async () => {
    const machine = await boot(2);
    let turned = false;
    setImmediate(() => {
      turned = true;
    });
    for (let round = 0; round < 100_000 && !turned; round++) await rcu.synchronize({ expedited: true });
    expect(turned).toBe(true);
    await machine.run(1, 'openNamed', ['reader']);
    const waits = Array.from({ length: 50 }, () => rcu.synchronize({ expedited: true, deadlineMs: 20 }));
    const rung = (await machine.run(1, 'liveHere')) as number;
    expect(rung).toBe(1);
    for (const result of await Promise.allSettled(waits)) expect(result.status).toBe('rejected');
    expect(rcu.view().gracePeriods).toEqual([]);
    await machine.run(1, 'closeNamed', ['reader']);
    await rcu.synchronize();
  });

  test('a callable thenable is waited for', async () => {
    const { passed, open } = gate();
    // biome-ignore lint/suspicious/noThenProperty: a thenable is what is tested
    const thenable = Object.assign(() => {}, { then: passed.then.bind(passed) });
    const thread = spawn(() => thenable);
    expect(rcu.liveThreads).toBe(1);
    open();
    await thread;
    expect(rcu.liveThreads).toBe(0);
  });

  test('very many waiters can be looked at', async () => {
    const machine = await boot(1);
    const { passed, open } = gate();
    const thread = spawn(() => passed);
    const own = Domain.named('test/waiters');
    for (let i = 0; i < 300_000; i++) rcu.call(() => {});
    expect(own.view().waitedForSince).toBeUndefined();
    await nextTurn();
    expect((await machine.snapshot()).processors).toHaveLength(1);
    open();
    await thread;
    await rcu.barrier();
  });
});

describe('prove mode is no obstacle', () => {
  class Node {
    #secret = 1;
    readonly inner: { value: number } = { value: 2 };
    readonly Kind = Map;
    get secret(): number {
      return this.#secret;
    }
  }

  test('to comparing, constructing, retiring and publishing what was read', async () => {
    await boot(1, { prove: true });
    const one = publish(new Node());
    const other = publish<Node | undefined>(undefined);
    spawn(() => {
      expect(rcuDereference(one)).toBe(rcuDereference(one));
      expect(new (rcuDereference(one).Kind)().size).toBe(0);
      rcuAssign(other, rcuDereference(one));
    });
    expect(spawn(() => rcuDereference(other)?.secret)).toBe(1);
    const old = spawn(() => rcuDereference(one));
    rcuAssign(one, new Node());
    let secret = 0;
    rcu.retire(old, (node) => {
      secret = node.secret;
    });
    expect(() => rcu.retire(old, () => {})).toThrowError(
      expect.objectContaining({ code: 'K42_DOUBLE_RETIRE' }),
    );
    await rcu.barrier();
    expect(secret).toBe(1);
  });

  test('to words that another domain protects; and it sees what a reference leads to', async () => {
    await boot(1, { prove: true });
    const words = new Int32Array(new SharedArrayBuffer(4));
    expect(Domain.named('test/words').spawn(() => rcuDereference(words, 0))).toBe(0);
    const map = publish(new Map<string, Node>());
    const one = publish(new Node());
    spawn(() => rcuDereference(map).set('a', rcuDereference(one)));
    expect(spawn(() => rcuDereference(map).get('a')?.secret)).toBe(1);
    expect(spawn(() => new Set([rcuDereference(one)]).has(rcuDereference(one)))).toBe(true);
    const resolved = await spawn(async () => [rcuDereference(one)]);
    expect(resolved).toHaveLength(1);
    const inner = spawn(() => rcuDereference(publish(new Node())).inner);
    expect(() => inner.value).toThrowError(expect.objectContaining({ code: 'K42_OUTSIDE_THREAD' }));
  });

  test('to a mutex', async () => {
    const machine = await boot(1, { prove: true });
    const { currentProcessor } = await import('../src/index.ts');
    const mutex = new Mutex(
      machine.memory.i32,
      machine.memory.block('test/mutex', 64) / 4,
      currentProcessor().owner,
    );
    expect(mutex.withLock(() => spawn(() => 1))).toBe(1);
  });
});
