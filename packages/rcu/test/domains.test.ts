/**
 * Goal: each form of waiting for a grace period keeps its promise, alone and shared, in the machine's domain and in others.
 * Method: threads held open by gates here and on another processor; every wait is looked at before and after the gate opens.
 */
import { channel } from 'node:diagnostics_channel';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type Cookie, Domain, rcu, type StallReport, spawn } from '../src/index.ts';
import { boot, gate, settle, until, watch } from './support.ts';

/** Collects what is published on a channel until the test ends. */
function collect<M>(name: string): M[] {
  const messages: M[] = [];
  const listener = (message: unknown): void => void messages.push(message as M);
  channel(name).subscribe(listener);
  onTestFinished(() => void channel(name).unsubscribe(listener));
  return messages;
}

describe('waiting', () => {
  test('each form waits for a thread of another processor, and for nothing else', async () => {
    const machine = await boot(2);
    await machine.run(1, 'openThread', ['machine']);
    const cookie = rcu.startPoll();
    const forms = {
      synchronize: watch(rcu.synchronize()),
      expedited: watch(rcu.synchronize({ expedited: true })),
      call: watch(new Promise<void>((resolve) => void rcu.call(resolve))),
      retire: watch(new Promise<object>((resolve) => void rcu.retire({}, resolve))),
      barrier: watch(rcu.barrier()),
      conditional: watch(rcu.conditional(cookie)),
    };
    // A round trip to the other processor and back, and whatever follows from it.
    await machine.run(1, 'whoAmI');
    await settle();
    expect(rcu.poll(cookie)).toBe(false);
    for (const [form, state] of Object.entries(forms)) expect([form, state.settled]).toEqual([form, false]);
    await machine.run(1, 'closeThread', ['machine']);
    await until(() => Object.values(forms).every((state) => state.settled), 'every form settled');
    expect(rcu.poll(cookie)).toBe(true);
    await rcu.conditional(cookie);
  });

  test('concurrent callers share grace periods', async () => {
    const machine = await boot(2);
    await machine.run(1, 'openThread', ['machine']);
    const before = rcu.view().gracePeriodsEnded;
    const waits: Promise<unknown>[] = [];
    for (let caller = 0; caller < 500; caller++) {
      waits.push(rcu.synchronize(), new Promise<void>((resolve) => void rcu.call(resolve)));
      if (caller % 10 === 0) await nextTurn();
    }
    await machine.run(1, 'closeThread', ['machine']);
    await Promise.all(waits);
    // The first one's, and the one that all others share.
    expect(rcu.view().gracePeriodsEnded - before).toBe(2);
  });

  test('nothing handed in after a batch was stamped runs with it', async () => {
    await boot(1);
    const { passed, open } = gate();
    const first = spawn(() => passed);
    const early = watch(rcu.synchronize());
    await settle();
    // The grace period of `early` has begun. This thread begins after it and before `late` is asked for.
    const second = gate();
    const thread = spawn(() => second.passed);
    let late = false;
    rcu.call(() => {
      late = true;
    });
    open();
    await first;
    await until(() => early.settled, 'the first wait');
    await settle();
    expect(late).toBe(false);
    second.open();
    await thread;
    await until(() => late, 'the second callback');
  });

  test('a domain knows nothing of the threads of another', async () => {
    const machine = await boot(2);
    const own = Domain.named('test/own');
    await machine.run(1, 'openThread', ['test/own']);
    await rcu.synchronize();
    await rcu.barrier();
    const wait = watch(own.synchronize());
    await machine.run(1, 'whoAmI');
    await settle();
    expect(wait.settled).toBe(false);
    // Inside a thread of one domain the grace period of another may be waited for.
    await rcu.spawn(() => Domain.named('test/third').synchronize());
    await machine.run(1, 'closeThread', ['test/own']);
    await until(() => wait.settled, 'the own domain');
    expect(Domain.named('test/own')).toBe(own);
    expect(() => Domain.named('')).toThrowError(expect.objectContaining({ code: 'K42_INVALID_ARGUMENT' }));
    expect(() => Domain.named('x'.repeat(200))).toThrowError(
      expect.objectContaining({ code: 'K42_INVALID_ARGUMENT' }),
    );
  });

  test('a cookie is good on another processor, and only for its domain', async () => {
    const machine = await boot(3);
    await machine.run(1, 'openThread', ['machine']);
    const cookie = await machine.run<Cookie>(2, 'startPollHere');
    expect(rcu.poll(cookie)).toBe(false);
    expect(() => Domain.named('test/other').poll(cookie)).toThrowError(
      expect.objectContaining({ code: 'K42_INVALID_ARGUMENT' }),
    );
    await machine.run(1, 'closeThread', ['machine']);
    // It has started a grace period: nobody needs to wait for it to pass.
    await until(() => rcu.poll(cookie), 'the cookie of another processor');
    expect(await machine.run(2, 'pollHere', [cookie])).toBe(true);
  });

  test('an idle processor is not woken: no message goes out', async () => {
    const machine = await boot(2);
    const bell = machine.memory.i32;
    const rung = (await machine.run(1, 'doorbellHere')) as number;
    for (let round = 0; round < 1000; round++) await rcu.synchronize();
    expect(bell).toBeDefined();
    expect(await machine.run(1, 'doorbellHere')).toBe(rung);
  });

  test('waits on an idle machine do not keep the event loop from its work', async () => {
    await boot(1);
    let turns = 0;
    const count = (): void => {
      turns++;
      if (turns < 3) setImmediate(count);
    };
    setImmediate(count);
    for (let round = 0; round < 100_000 && turns < 3; round++) await rcu.synchronize();
    expect(turns).toBe(3);
  });
});

describe('callbacks', () => {
  test('run in order, in later turns, and one that throws loses no other', async () => {
    await boot(1);
    const others = process.rawListeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    const uncaught: unknown[] = [];
    process.on('uncaughtException', (error) => void uncaught.push(error));
    onTestFinished(() => {
      process.removeAllListeners('uncaughtException');
      for (const listener of others) process.on('uncaughtException', listener as () => void);
    });
    const order: number[] = [];
    for (let i = 0; i < 1000; i++) {
      rcu.call(() => {
        order.push(i);
        if (i === 500) throw new Error('asked to');
      });
    }
    expect(order).toEqual([]);
    await rcu.barrier();
    await nextTurn();
    expect(order).toEqual(Array.from({ length: 1000 }, (_, i) => i));
    expect(uncaught).toMatchObject([{ message: 'asked to' }]);
  });

  test('a flood meets back-pressure, then a refusal that hands nothing in', async () => {
    await boot(1);
    const domain = Domain.named('test/flood', { highWaterMark: 100, max: 200 });
    const { passed, open } = gate();
    const thread = domain.spawn(() => passed);
    let ran = 0;
    const answers = Array.from({ length: 200 }, () => domain.call(() => void ran++));
    expect(answers.filter(Boolean)).toHaveLength(99);
    expect(() => domain.call(() => void ran++)).toThrowError(
      expect.objectContaining({ code: 'K42_CALLBACK_OVERFLOW', max: 200 }),
    );
    expect(() => domain.retire({}, () => void ran++)).toThrowError(
      expect.objectContaining({ code: 'K42_CALLBACK_OVERFLOW' }),
    );
    const drained = watch(domain.drained());
    await settle();
    expect(drained.settled).toBe(false);
    open();
    await thread;
    await domain.drained();
    expect(domain.callbacksPending).toBeLessThanOrEqual(50);
    await domain.barrier();
    expect(ran).toBe(200);
  });

  test('an object is retired once until it is reclaimed', async () => {
    await boot(1);
    const object = { reclaimed: 0 };
    const reclaim = (of: typeof object): void => void of.reclaimed++;
    rcu.retire(object, reclaim);
    expect(() => rcu.retire(object, reclaim)).toThrowError(
      expect.objectContaining({ code: 'K42_DOUBLE_RETIRE' }),
    );
    await rcu.barrier();
    expect(object.reclaimed).toBe(1);
    rcu.retire(object, reclaim);
    await rcu.barrier();
    expect(object.reclaimed).toBe(2);
  });

  test('a barrier waits for the callbacks of other processors', async () => {
    const machine = await boot(3);
    await machine.run(2, 'openThread', ['machine']);
    await machine.run(1, 'deferSomething');
    const barrier = watch(rcu.barrier());
    await machine.run(1, 'whoAmI');
    await settle();
    expect(barrier.settled).toBe(false);
    await machine.run(2, 'closeThread', ['machine']);
    await until(() => barrier.settled, 'the barrier');
    expect(await machine.run(1, 'ranAlready')).toBe(true);
  });

  test('bad arguments and a thread that is no processor are refused', async () => {
    const attached = { code: 'K42_NOT_ATTACHED' };
    expect(() => rcu.call(() => {})).toThrowError(expect.objectContaining(attached));
    await expect(rcu.synchronize()).rejects.toMatchObject(attached);
    await expect(rcu.barrier()).rejects.toMatchObject(attached);
    const machine = await boot(1);
    const invalid = { code: 'K42_INVALID_ARGUMENT' };
    expect(() => rcu.call(undefined as never)).toThrowError(expect.objectContaining(invalid));
    expect(() => rcu.retire(undefined as never, () => {})).toThrowError(expect.objectContaining(invalid));
    expect(() => rcu.retire({}, undefined as never)).toThrowError(expect.objectContaining(invalid));
    await expect(rcu.synchronize({ deadlineMs: 0 })).rejects.toMatchObject(invalid);
    await machine.close();
    expect(() => rcu.call(() => {})).toThrowError(expect.objectContaining(attached));
  });
});

describe('waits that cannot or do not end', () => {
  test('inside a synchronous thread every wait is refused at once', async () => {
    await boot(1);
    const deadlock = { code: 'K42_GRACE_PERIOD_DEADLOCK' };
    await expect(spawn(() => rcu.synchronize())).rejects.toMatchObject(deadlock);
    await expect(spawn(() => rcu.barrier())).rejects.toMatchObject(deadlock);
    await expect(spawn(() => rcu.synchronize({ expedited: true }))).rejects.toMatchObject(deadlock);
  });

  test('the deadline names thread, processor and how long, wherever the thread is', async () => {
    const machine = await boot(2, { name: 'unit' });
    const stalls = collect<StallReport>('k42:rcu:stall');
    await machine.run(1, 'openThread', ['machine']);
    const error = await rcu.synchronize({ deadlineMs: 60 }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: 'K42_GRACE_PERIOD_DEADLINE',
      deadlineMs: 60,
      report: {
        blockers: [{ processor: 1, name: 'unit:1', kind: 'reader', threads: ['held open'], threadCount: 1 }],
      },
    });
    expect((error as Error).message).toContain('held open');
    expect((error as { report: StallReport }).report.blockers[0]?.atLeastMs).toBeGreaterThanOrEqual(50);
    expect(stalls).toHaveLength(1);
    // Given up by this caller only: the grace period itself goes on, and ends.
    await machine.run(1, 'closeThread', ['machine']);
    await rcu.synchronize();
  });

  test('an event loop that does not run is told from a reader', async () => {
    const machine = await boot(2);
    await machine.run(1, 'openThread', ['machine']);
    const stuck = machine.run(1, 'standStill', []);
    await until(
      () => Atomics.load(machine.memory.i32, machine.memory.block('test/standStill', 64) / 4) === 1,
      'it stands',
    );
    const error = await rcu.synchronize({ deadlineMs: 30 }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ report: { blockers: [{ processor: 1, kind: 'unresponsive' }] } });
    const snapshot = await machine.snapshot();
    expect(snapshot.unresponsive).toEqual([1]);
    Atomics.store(machine.memory.i32, machine.memory.block('test/standStill', 64) / 4, 2);
    Atomics.notify(machine.memory.i32, machine.memory.block('test/standStill', 64) / 4);
    await stuck;
    await machine.run(1, 'closeThread', ['machine']);
  });

  test('a signal ends a wait with its reason, before and while it lasts', async () => {
    const machine = await boot(2);
    await machine.run(1, 'openThread', ['machine']);
    const reason = new Error('enough');
    await expect(rcu.synchronize({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const controller = new AbortController();
    const waits = [
      rcu.synchronize({ signal: controller.signal }),
      rcu.barrier({ signal: controller.signal }),
    ];
    rcu.call(() => {});
    await settle();
    controller.abort(reason);
    for (const wait of waits) await expect(wait).rejects.toBe(reason);
    await machine.run(1, 'closeThread', ['machine']);
  });

  test('a grace period that lasts too long is reported though nobody has set a deadline', async () => {
    const machine = await boot(2, { stallMs: 50 });
    const stalls = collect<StallReport>('k42:rcu:stall');
    const warnings: Error[] = [];
    const onWarning = (warning: Error): void => void warnings.push(warning);
    process.on('warning', onWarning);
    onTestFinished(() => void process.off('warning', onWarning));
    await machine.run(1, 'openThread', ['machine']);
    rcu.call(() => {});
    await until(() => warnings.length !== 0, 'the warning');
    expect(warnings[0]?.message).toContain('held open');
    expect(stalls[0]).toMatchObject({ blockers: [{ processor: 1, kind: 'reader' }] });
    await machine.run(1, 'closeThread', ['machine']);
  });
});

describe('looking', () => {
  test('a snapshot shows threads, generations and callbacks of every processor', async () => {
    const machine = await boot(2, { name: 'looked' });
    await machine.run(1, 'openThread', ['machine']);
    await machine.run(1, 'deferSomething');
    const { processors, unresponsive } = await machine.snapshot();
    expect(unresponsive).toEqual([]);
    const view = processors.find((candidate) => candidate.processor === 1);
    expect(view).toMatchObject({ name: 'looked:1', incarnation: 1, threads: ['held open'] });
    expect(view?.domains.find((domain) => domain.name === 'machine')).toMatchObject({
      live: 1,
      callbacksPending: 1,
    });
    await machine.run(1, 'closeThread', ['machine']);
  });

  test('grace periods that had to wait publish their begin and end', async () => {
    const machine = await boot(2);
    const events = collect<{ phase: string; domain: string; waitingFor?: number[] }>('k42:rcu:grace-period');
    await rcu.synchronize();
    expect(events).toEqual([]);
    await machine.run(1, 'openThread', ['machine']);
    const wait = rcu.synchronize();
    await settle();
    await machine.run(1, 'closeThread', ['machine']);
    await wait;
    expect(events).toMatchObject([{ phase: 'begin', domain: 'machine', waitingFor: [1] }, { phase: 'end' }]);
  });
});
