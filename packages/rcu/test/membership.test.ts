/**
 * Goal: processors come and go while a machine runs, and whoever looks, calls or waits sees each of them as there or not there,
 * never as half a processor.
 * Method: workers of the machine (`add`, `remove`) and plain Workers that join with a ticket and do what they are told
 * (`Joiner`). Where an order matters, a thread stands still at a gate or at a stage of joining until the test lets it go on.
 */
import { Worker } from 'node:worker_threads';
import { randomFrom } from '@k42/tooling/random';
import { describe, expect, onTestFinished, test } from 'vitest';
import { currentProcessor, Machine, rcu, type Ticket } from '../src/index.ts';
import { PROCESSOR_STATE } from '../src/internal/layout.ts';
import {
  gone,
  incarnationOf,
  isFree,
  Joiner,
  membershipProgram,
  openGate,
  reached,
  runs,
  serving,
  stateOf,
  until,
} from './joiner.ts';
import type * as Program from './programs/membership.ts';
import { boot as bootAny, watch } from './support.ts';

const boot = (processors: number, options: Parameters<typeof bootAny>[1] = {}): Promise<Machine> =>
  bootAny(processors, { program: membershipProgram, maxProcessors: 8, ...options });
const moduleUrl = (tag: string): URL => new URL(`./programs/membershipModule.ts?${tag}`, import.meta.url);

describe('growing and shrinking', () => {
  test('a processor that is added serves at once, and its number is used again when it has gone', async () => {
    const machine = await boot(2, { maxProcessors: 3 });
    expect(await machine.add()).toBe(2);
    expect(machine.processors).toEqual([0, 1, 2]);
    expect(await machine.call(2, 'whoAmI')).toMatchObject({ number: 2, incarnation: 1, name: 'k42:2' });
    expect(await machine.call(1, 'callFrom', [2, 'add', [2, 3]])).toBe(5);
    await machine.call(2, 'callFrom', [1, 'add', [2, 3]]);
    await expect(machine.add()).rejects.toMatchObject({ code: 'K42_MACHINE_FULL', processors: 3 });
    await machine.remove(2);
    expect(machine.processors).toEqual([0, 1]);
    await expect(machine.call(2, 'whoAmI')).rejects.toMatchObject({ code: 'K42_PROCESSOR_GONE' });
    expect(await machine.add({ name: 'second' })).toBe(2);
    expect(await machine.call(2, 'whoAmI')).toMatchObject({ number: 2, incarnation: 2, name: 'second' });
    expect(await machine.call(1, 'callFrom', [2, 'add', [2, 3]])).toBe(5);
  });

  test('bad arguments of remove change nothing', async () => {
    const machine = await boot(2);
    for (const number of [0, 2, -1, 60, Number.NaN])
      await expect(machine.remove(number)).rejects.toMatchObject({ code: 'K42_INVALID_ARGUMENT' });
    for (const deadlineMs of [0, -1, Number.NaN, Number.POSITIVE_INFINITY])
      await expect(machine.remove(1, { deadlineMs })).rejects.toMatchObject({ code: 'K42_INVALID_ARGUMENT' });
    expect(machine.processors).toEqual([0, 1]);
  });

  test('remove waits for threads and callbacks, and the caller of such a thread gets its result or error', async () => {
    // Several times: the answer races with the closing of the ports it goes through, the more as it is slow in coming.
    const machine = await boot(1);
    const slow = globalThis as { membershipSlow?: true };
    slow.membershipSlow = true;
    onTestFinished(() => void delete slow.membershipSlow);
    for (let round = 0; round < 8; round++) {
      const number = await machine.add();
      const fails = round % 2 === 1;
      const answer = machine
        .call(number, fails ? 'failAtGate' : 'passGate', [round, { round }])
        .catch((error: Error) => error.message);
      await reached(machine, round);
      const removed = machine.remove(number);
      const removing = watch(removed);
      await until(() => stateOf(machine, number) === PROCESSOR_STATE.LEAVING, 'it is leaving');
      await expect(machine.call(number, 'handIn', [round])).rejects.toMatchObject({
        code: 'K42_PROCESSOR_GONE',
      });
      expect(removing.settled).toBe(false);
      openGate(machine, round);
      expect(await answer).toEqual(fails ? `past gate ${round}` : { round });
      await removed;
    }
  });

  test('remove at its deadline ends a worker that does not leave, and says so', async () => {
    const machine = await boot(2);
    const looping = machine.run(1, 'loopForEver', [0]);
    const failed = expect(looping).rejects.toMatchObject({ code: 'K42_PROCESSOR_GONE', processor: 1 });
    await reached(machine, 0);
    await expect(machine.remove(1, { deadlineMs: 50 })).rejects.toMatchObject({ code: 'K42_DEADLINE' });
    await failed;
    await isFree(machine, 1);
    expect(await machine.add()).toBe(1);
    expect(incarnationOf(machine, 1)).toBe(2);
  });

  test('remove asked twice removes once; an add that the closing machine overtakes fails', async () => {
    const machine = await boot(2);
    // It cannot have left before it has been asked twice.
    const answer = machine.call(1, 'passGate', [0, 'answered']);
    await reached(machine, 0);
    const removed = [machine.remove(1), machine.remove(1)];
    openGate(machine, 0);
    expect(await answer).toBe('answered');
    await Promise.all(removed);
    expect(machine.processors).toEqual([0]);
    const adding = expect(machine.add()).rejects.toMatchObject({ code: 'K42_MACHINE_CLOSED' });
    await machine.close();
    await adding;
    await expect(machine.add()).rejects.toMatchObject({ code: 'K42_MACHINE_CLOSED' });
    await expect(machine.remove(1)).rejects.toMatchObject({ code: 'K42_MACHINE_CLOSED' });
    expect(() => machine.ticket()).toThrowError(expect.objectContaining({ code: 'K42_MACHINE_CLOSED' }));
  });

  test('an add that fails leaves nothing behind', async () => {
    const program = new URL('./programs/membershipOnce.ts', import.meta.url);
    const machine = await boot(1, { program, maxProcessors: 2 });
    for (let round = 1; round <= 2; round++) {
      const error = await machine.add().catch((thrown: unknown) => thrown as Error);
      expect(error).toMatchObject({ code: 'K42_BOOT_FAILED', processor: 1 });
      expect((error as Error).cause).toMatchObject({ name: 'RangeError', code: 'ONLY_MAIN' });
      await isFree(machine, 1);
    }
    expect(machine.processors).toEqual([0]);
    expect(await machine.call(0, 'hello')).toBe('hello');
  });

  test('why a worker could not even begin is said', async () => {
    const started = performance.now();
    const worker = { execArgv: ['--no-such-option'] };
    await expect(Machine.boot({ processors: 3, worker })).rejects.toMatchObject({
      code: 'K42_BOOT_FAILED',
      cause: { code: 'ERR_WORKER_INVALID_EXEC_ARGV' },
    });
    // It dies before it speaks: an error event, and a control channel that closes by itself.
    const execArgv = ['--import', 'data:text/javascript,throw new RangeError("early")'];
    await expect(Machine.boot({ processors: 2, worker: { execArgv } })).rejects.toMatchObject({
      code: 'K42_BOOT_FAILED',
      cause: { name: 'RangeError', message: 'early' },
    });
    // Not by the deadline.
    expect(performance.now() - started).toBeLessThan(20_000);
  });

  test('sixty processors boot at once, call each other and wait for each other', async () => {
    const machine = await boot(60, { maxProcessors: 60 });
    expect(machine.processors).toHaveLength(60);
    const asked = machine.processors.map((number) => machine.call<Program.Identity>(number, 'whoAmI'));
    const identities = await Promise.all(asked);
    expect(identities.map(({ number }) => number)).toEqual(machine.processors);
    expect(new Set(identities.map(({ threadId }) => threadId)).size).toBe(60);
    expect(await machine.call(58, 'callFrom', [57, 'add', [1, 1]])).toBe(2);
    const reader = machine.call(1, 'passGate', [0, 'read']);
    await reached(machine, 0);
    const synchronized = machine.run(59, 'synchronizeHere');
    const waiting = watch(synchronized);
    // Until 59 has asked and 1 knows that somebody waits for it.
    await until(async () => {
      const { processors } = await machine.snapshot();
      return processors[1]?.domains[0]?.waitedForSince !== undefined;
    }, '1 is waited for');
    expect(waiting.settled).toBe(false);
    openGate(machine, 0);
    expect(await reader).toBe('read');
    await synchronized;
    await expect(machine.add()).rejects.toMatchObject({ code: 'K42_MACHINE_FULL' });
  });
});

describe('tickets', () => {
  test('one ticket lets any Worker in, as often as it likes, each time as somebody new', async () => {
    const machine = await boot(2);
    const ticket = machine.ticket();
    const [first, second] = [new Joiner(), new Joiner()];
    expect(await first.ask('join', ticket)).toMatchObject({ number: 2, incarnation: 1, name: 'k42:2' });
    expect(await second.ask('join', ticket, { name: 'guest' })).toMatchObject({ number: 3, name: 'guest' });
    await serving(machine, [0, 1, 2, 3]);
    expect(await machine.call(3, 'callFrom', [2, 'add', [20, 22]])).toBe(42);
    expect(await first.ask('call', 3, 'callFrom', [1, 'add', [1, 2]])).toBe(3);
    await first.ask('leave');
    expect(await first.ask('isAttached')).toBe(false);
    await isFree(machine, 2);
    expect(await first.ask('join', ticket)).toMatchObject({ number: 2, incarnation: 2 });
    expect(await second.ask('call', 2, 'whoAmI', [])).toMatchObject({ incarnation: 2 });
    // The same function also reaches the host, and the other way round.
    expect(await second.ask('call', 0, 'whoAmI', [])).toMatchObject({ number: 0, threadId: 0 });
    // remove is for whoever is a processor, whoever made its thread.
    await machine.remove(2);
    expect(await first.ask('isAttached')).toBe(false);
  });

  test('what is wrong with a ticket is said, and the thread stays free to join', async () => {
    const machine = await boot(1, { maxProcessors: 2 });
    const ticket = machine.ticket();
    const joiner = new Joiner();
    const join = (wrong: unknown): Promise<unknown> => joiner.ask('join', wrong as Ticket);
    for (const wrong of [undefined, {}, { ...ticket, memory: new ArrayBuffer(8) }])
      await expect(join(wrong)).rejects.toMatchObject({ code: 'K42_INVALID_ARGUMENT' });
    await expect(join({ ...ticket, protocol: 999 })).rejects.toMatchObject({ code: 'K42_JOIN_FAILED' });
    await expect(join({ ...ticket, host: 123_456 })).rejects.toMatchObject({ code: 'K42_MACHINE_CLOSED' });
    // The host lets others join; just this machine is not known to it. It has to be told soon, not by the deadline.
    await expect(join({ ...ticket, machine: 'another' })).rejects.toMatchObject({
      code: 'K42_MACHINE_CLOSED',
    });
    for (const deadlineMs of [0, Number.NaN, Number.POSITIVE_INFINITY])
      await expect(joiner.ask('join', ticket, { deadlineMs })).rejects.toMatchObject({
        code: 'K42_INVALID_ARGUMENT',
      });
    expect(await joiner.ask('join', ticket)).toMatchObject({ number: 1, incarnation: 1 });
    await expect(joiner.ask('join', ticket)).rejects.toMatchObject({ code: 'K42_ALREADY_ATTACHED' });
    await expect(new Joiner().ask('join', ticket)).rejects.toMatchObject({
      code: 'K42_MACHINE_FULL',
      message: expect.stringContaining('maxProcessors'),
    });
    await machine.close();
    await expect(new Joiner().ask('join', ticket)).rejects.toMatchObject({ code: 'K42_MACHINE_CLOSED' });
  });

  test('two joins at once in one thread: one of them joins, and the number of the other comes back', async () => {
    const machine = await boot(1, { maxProcessors: 3 });
    const ticket = machine.ticket();
    const joiner = new Joiner();
    const outcomes = await joiner.ask('joinTwiceAtOnce', ticket);
    expect(outcomes.sort()).toEqual(['K42_ALREADY_ATTACHED', 'joined']);
    await until(() => [1, 2].some((number) => stateOf(machine, number) === 0), 'a number is free');
    expect(await joiner.ask('call', 0, 'add', [1, 2])).toBe(3);
    await new Joiner().ask('join', ticket);
    await serving(machine, [0, 1, 2]);
  });

  test('a machine outlives no host: those who joined one in a worker find it closed when that worker ends', async () => {
    const host = new Worker(
      `const { parentPort } = require('node:worker_threads');
       import(${JSON.stringify(new URL('../src/index.ts', import.meta.url).href)}).then(async ({ Machine }) => {
         const machine = await Machine.boot({ processors: 1, maxProcessors: 3 });
         setInterval(() => {}, 1e6);
         parentPort.postMessage(machine.ticket());
       });`,
      { eval: true },
    );
    try {
      const ticket = await new Promise<Ticket>((resolve, reject) => {
        host.once('message', resolve);
        host.once('error', reject);
      });
      const joiner = new Joiner();
      await joiner.ask('join', ticket);
      // One that waits for something, to see that it fails.
      const waiting = joiner.ask('call', 0, `loopForEver`, [0]);
      await host.terminate();
      await expect(waiting).rejects.toMatchObject({ code: expect.stringMatching(/^K42_/) });
      await until(async () => !(await joiner.ask('isAttached')), 'it is no processor any more');
      await expect(joiner.ask('join', ticket)).rejects.toMatchObject({ code: 'K42_MACHINE_CLOSED' });
    } finally {
      await host.terminate();
    }
  });
});

describe('names', () => {
  test('processors are known by name in snapshots, errors and to the system', async () => {
    const machine = await boot(2, { name: 'shop' });
    await machine.add({ name: 'till' });
    const joiner = new Joiner();
    await joiner.ask('join', machine.ticket(), { name: 'cellar' });
    const { processors, unresponsive } = await machine.snapshot();
    expect(unresponsive).toEqual([]);
    expect(processors.map(({ name }) => name)).toEqual(['shop:0', 'shop:1', 'till', 'cellar']);
    const [first, till] = await Promise.all(
      [1, 2].map((number) => machine.call<Program.Identity>(number, 'whoAmI')),
    );
    // Node 24 and newer can tell what a thread was named.
    if (first?.threadName !== undefined)
      expect([first.threadName, till?.threadName]).toEqual(['shop:1', 'till']);
    await joiner.ask('holdThread', 'counting bottles');
    await expect(rcu.synchronize({ deadlineMs: 20 })).rejects.toMatchObject({
      code: 'K42_GRACE_PERIOD_DEADLINE',
      message: expect.stringMatching(/processor 3 \(cellar\): 1 threads \(counting bottles\)/),
      report: {
        waiting: 0,
        blockers: [{ processor: 3, name: 'cellar', kind: 'reader', threads: ['counting bottles'] }],
      },
    });
    await joiner.ask('endThread', 'counting bottles');
    await rcu.synchronize();
  });

  test('a snapshot shows threads, generations and callbacks, and who does not answer', async () => {
    const machine = await boot(3);
    const reader = machine.call(1, 'passGate', [0, 1]);
    await reached(machine, 0);
    await machine.run(2, 'handIn', [5]);
    const blocked = machine.call(2, 'blockAtGate', [1]);
    await reached(machine, 1);
    const { processors, unresponsive } = await machine.snapshot();
    expect(unresponsive).toEqual([2]);
    expect(processors.map(({ processor }) => processor)).toEqual([0, 1]);
    expect(processors[1]).toMatchObject({ incarnation: 1, threads: ['passGate'] });
    expect(processors[1]?.domains[0]).toMatchObject({ name: 'machine', live: 1 });
    expect(processors[1]?.domains[0]?.counts).toHaveLength(2);
    // An event loop that stands still is told apart from a reader that takes its time.
    const stalled = await rcu.barrier({ deadlineMs: 20 }).catch((thrown: unknown) => thrown as Error);
    expect(stalled).toMatchObject({
      code: 'K42_GRACE_PERIOD_DEADLINE',
      message: expect.stringContaining('processor 2 (k42:2): its event loop does not run'),
    });
    const unlucky = await rcu.synchronize({ deadlineMs: 20 }).catch((thrown: unknown) => thrown as Error);
    expect(unlucky).toMatchObject({
      report: {
        blockers: [
          { processor: 1, kind: 'reader', threads: ['passGate'], threadCount: 1 },
          { processor: 2, kind: 'unresponsive' },
        ],
      },
    });
    openGate(machine, 1);
    await blocked;
    const later = await machine.snapshot();
    expect(later.unresponsive).toEqual([]);
    // What 2 has handed in waits for the thread on 1.
    expect(later.processors[2]?.domains[0]).toMatchObject({ callbacksPending: 1 });
    expect(later.processors[2]?.domains[0]?.gracePeriods).toMatchObject([{ waitingFor: [1] }]);
    openGate(machine, 0);
    await reader;
  });
});

describe('modules', () => {
  test('whoever joins has loaded the machine’s modules before it serves its first call', async () => {
    const machine = await boot(1);
    const module = moduleUrl('before');
    await machine.load(module);
    const joiner = new Joiner();
    const joined = joiner.ask('join', machine.ticket());
    // It is called as soon as it is live, that is, long before it has loaded the module.
    await until(() => stateOf(machine, 1) === PROCESSOR_STATE.LIVE, 'it is live');
    const early = machine.call(1, { module, name: 'loaded' });
    // Imported before it serves, and by nobody else: this call is of the program, and does not load the module itself.
    const first = machine.call(1, 'whoAmI');
    expect(await early).toEqual(['?before']);
    await first;
    await joined;
    expect(await joiner.ask('globalOf', 'membershipModule')).toEqual(['?before']);
  });

  test('a call that is given up before its processor serves does not begin there', async () => {
    const machine = await boot(1);
    await machine.load(moduleUrl('slow'));
    const joiner = new Joiner();
    const joined = joiner.ask('join', machine.ticket());
    await until(() => stateOf(machine, 1) === PROCESSOR_STATE.LIVE, 'it is live');
    const controller = new AbortController();
    const given = machine.call(1, 'countRun', [0], { signal: controller.signal });
    const kept = machine.call(1, 'countRun', [1]);
    controller.abort(new Error('no longer'));
    await expect(given).rejects.toThrow('no longer');
    await kept;
    await joined;
    expect([runs(machine, 0), runs(machine, 1)]).toEqual([0, 1000]);
  });

  test('however a load and a join fall together, nobody is left without the module', async () => {
    const machine = await boot(2, { maxProcessors: 4 });
    const ticket = machine.ticket();
    const joiners = [new Joiner(), new Joiner()];
    const random = randomFrom(42);
    for (let round = 0; round < 25; round++) {
      const module = moduleUrl(`race${round}`);
      const joins = joiners.map((joiner) => joiner.ask('join', ticket));
      for (let turns = random(12); turns > 0; turns--) await new Promise(setImmediate);
      await machine.load(module);
      const identities = await Promise.all(joins);
      for (const { number } of identities) {
        const tags = await machine.call<string[]>(number, { module: moduleUrl('race0'), name: 'loaded' });
        expect(tags, `round ${round}`).toContain(`?race${round}`);
      }
      await Promise.all(joiners.map((joiner) => joiner.ask('leave')));
      await Promise.all(identities.map(({ number }) => isFree(machine, number)));
    }
  });

  test('a module that does not load is on no list: whoever joins later is not hurt', async () => {
    const machine = await boot(2);
    const missing = new URL('./programs/missing.ts', import.meta.url);
    const mainOnly = new URL('./programs/membershipOnce.ts', import.meta.url);
    await expect(machine.load(missing)).rejects.toMatchObject({ code: 'ERR_MODULE_NOT_FOUND' });
    // This one loads here, and fails on processor 1.
    await expect(machine.load(mainOnly)).rejects.toMatchObject({ code: 'ONLY_MAIN' });
    await expect(machine.load(mainOnly)).rejects.toMatchObject({ code: 'ONLY_MAIN' });
    const joiner = new Joiner();
    const { number } = await joiner.ask('join', machine.ticket());
    // Any processor may have a module loaded everywhere.
    await joiner.ask('load', moduleUrl('by joiner').href);
    expect(await machine.call(1, { module: moduleUrl('by joiner'), name: 'loaded' })).toContain(
      '?by%20joiner',
    );
    expect(await machine.add()).toBe(number + 1);
  });

  test('a program that fails in the joiner fails its join, with its error, and the number comes back', async () => {
    const program = new URL('./programs/membershipOnce.ts', import.meta.url);
    const machine = await boot(1, { program, maxProcessors: 2 });
    const joiner = new Joiner();
    for (let round = 0; round < 2; round++) {
      await expect(joiner.ask('join', machine.ticket())).rejects.toMatchObject({
        code: 'ONLY_MAIN',
        kind: 'RangeError',
      });
      expect(await joiner.ask('isAttached')).toBe(false);
      await isFree(machine, 1);
    }
    expect(machine.processors).toEqual([0]);
  });
});

describe('joining that comes to nothing', () => {
  test('a member that does not answer fails the join in time; afterwards the number is good again', async () => {
    const machine = await boot(2, { maxProcessors: 3, bootDeadlineMs: 1000 });
    const blocked = machine.run(1, 'blockAtGate', [0]);
    await reached(machine, 0);
    const joiner = new Joiner();
    await expect(joiner.ask('join', machine.ticket())).rejects.toMatchObject({
      code: 'K42_JOIN_FAILED',
      message: expect.stringContaining('processors 1 did not answer'),
    });
    // Processor 1 has not let go of the newcomer it has not even heard of: nobody may have its number.
    await expect(joiner.ask('join', machine.ticket())).rejects.toMatchObject({ code: 'K42_MACHINE_FULL' });
    openGate(machine, 0);
    await blocked;
    await isFree(machine, 2);
    const { number } = await joiner.ask('join', machine.ticket());
    expect(await machine.call(1, 'callFrom', [number, 'add', [1, 2]])).toBe(3);
  });

  test('the deadline of the joining thread counts for its modules as well', async () => {
    const machine = await boot(1, { maxProcessors: 2 });
    const never = `data:text/javascript,import { isMainThread } from 'node:worker_threads'; if (!isMainThread) await new Promise(() => setInterval(() => {}, 1e6));`;
    await machine.load(never);
    const joiner = new Joiner();
    await expect(joiner.ask('join', machine.ticket(), { deadlineMs: 300 })).rejects.toMatchObject({
      code: 'K42_JOIN_FAILED',
    });
    expect(await joiner.ask('isAttached')).toBe(false);
    await isFree(machine, 1);
  });

  test('a thread that stands still past the host’s deadline is given up, and takes nobody’s place later', async () => {
    const machine = await boot(1, { maxProcessors: 2, bootDeadlineMs: 1000 });
    const ticket = machine.ticket();
    const joiner = new Joiner();
    const control = new Int32Array(new SharedArrayBuffer(4));
    await joiner.ask('stopAt', 'join', control, ticket);
    const joined = joiner.ask('join', ticket);
    await until(() => Atomics.load(control, 0) === 1, 'it has asked');
    await until(() => stateOf(machine, 1) === PROCESSOR_STATE.GONE, 'it is given up');
    // It may act on its welcome any moment: nobody else gets its number meanwhile.
    await expect(new Joiner().ask('join', ticket)).rejects.toMatchObject({ code: 'K42_MACHINE_FULL' });
    Atomics.store(control, 0, 2);
    Atomics.notify(control, 0);
    await expect(joined).rejects.toMatchObject({ code: 'K42_JOIN_FAILED' });
    await isFree(machine, 1);
    expect(machine.processors).toEqual([0]);
    expect(await joiner.ask('join', ticket)).toMatchObject({ number: 1, incarnation: 2 });
    expect(await machine.call(1, 'add', [1, 2])).toBe(3);
  });

  test.each(['join', 'live'] as const)(
    'a thread that dies when it has come to "%s" leaves its number to the next',
    async (stage) => {
      const machine = await boot(2, { maxProcessors: 3 });
      const ticket = machine.ticket();
      const joiner = new Joiner();
      const control = new Int32Array(new SharedArrayBuffer(4));
      await joiner.ask('stopAt', stage, control, ticket);
      void joiner.ask('join', ticket);
      await until(() => Atomics.load(control, 0) === 1, `it has come to ${stage}`);
      // A call to one that is live and does not serve yet.
      const early =
        stage === 'live' ? machine.call(2, 'whoAmI') : Promise.reject({ code: 'K42_PROCESSOR_GONE' });
      const failed = expect(early).rejects.toMatchObject({ code: 'K42_PROCESSOR_GONE' });
      await joiner.terminate();
      await failed;
      await isFree(machine, 2);
      expect(machine.processors).toEqual([0, 1]);
      expect(await new Joiner().ask('join', ticket)).toMatchObject({ number: 2, incarnation: 2 });
      expect(await machine.call(1, 'callFrom', [2, 'add', [1, 2]])).toBe(3);
      await machine.run(1, 'synchronizeHere');
    },
  );

  test('a machine that closes refuses whoever is joining, and does not wait for it', async () => {
    const machine = await boot(1, { maxProcessors: 2 });
    const joiner = new Joiner();
    const control = new Int32Array(new SharedArrayBuffer(4));
    await joiner.ask('stopAt', 'join', control, machine.ticket());
    const joined = joiner.ask('join', machine.ticket());
    await until(() => Atomics.load(control, 0) === 1, 'it has asked');
    await machine.close();
    Atomics.store(control, 0, 2);
    Atomics.notify(control, 0);
    await expect(joined).rejects.toMatchObject({ code: 'K42_MACHINE_CLOSED' });
    expect(await joiner.ask('isAttached')).toBe(false);
    // And the joiner is good for another machine.
    const another = await boot(1, { maxProcessors: 2 });
    expect(await joiner.ask('join', another.ticket())).toMatchObject({ number: 1 });
  });
});

describe('leaving', () => {
  test('a second leave is refused, and after the first one the thread is no processor', async () => {
    const machine = await boot(1);
    const joiner = new Joiner();
    await joiner.ask('join', machine.ticket());
    expect(await joiner.ask('leaveTwiceAtOnce')).toEqual(['left', 'K42_ALREADY_LEAVING']);
    await expect(joiner.ask('leave')).rejects.toMatchObject({ code: 'K42_NOT_ATTACHED' });
    await expect(joiner.ask('handIn', 0)).rejects.toMatchObject({ code: 'K42_NOT_ATTACHED' });
    await expect(joiner.ask('synchronize')).rejects.toMatchObject({ code: 'K42_NOT_ATTACHED' });
  });

  test('it ends after threads that begin meanwhile, and after what layers above have to finish', async () => {
    const machine = await boot(1);
    const joiner = new Joiner();
    await joiner.ask('join', machine.ticket());
    await joiner.ask('finishBeforeLeaving', 0);
    await joiner.ask('holdThread', 'first');
    const left = joiner.ask('leave');
    const leaving = watch(left);
    await until(() => stateOf(machine, 1) === PROCESSOR_STATE.LEAVING, 'it is leaving');
    await joiner.ask('holdThread', 'second');
    await joiner.ask('endThread', 'first');
    // Until what waits for the first thread has had its turns.
    for (let round = 0; round < 20; round++) await joiner.ask('isAttached');
    expect(leaving.settled).toBe(false);
    expect(stateOf(machine, 1)).toBe(PROCESSOR_STATE.LEAVING);
    await joiner.ask('endThread', 'second');
    await left;
    expect(runs(machine, 0)).toBeGreaterThanOrEqual(1000);
  });

  test('it ends after the callbacks handed in', async () => {
    const machine = await boot(2);
    const joiner = new Joiner();
    await joiner.ask('join', machine.ticket());
    // The callback cannot run before this thread has ended.
    const reader = machine.call(1, 'passGate', [0, 1]);
    await reached(machine, 0);
    await joiner.ask('handIn', 0);
    const left = joiner.ask('leave');
    const leaving = watch(left);
    await until(() => stateOf(machine, 2) === PROCESSOR_STATE.LEAVING, 'it is leaving');
    await machine.call(1, 'add', [1, 2]);
    expect(leaving.settled).toBe(false);
    expect(runs(machine, 0)).toBe(0);
    openGate(machine, 0);
    await left;
    expect(runs(machine, 0)).toBe(1000);
    await reader;
  });

  test('at its deadline a thread that lasts keeps it a member, whom grace periods wait for; then it leaves by itself', async () => {
    const machine = await boot(2);
    const joiner = new Joiner();
    await joiner.ask('join', machine.ticket());
    await joiner.ask('holdThread', 'lasting');
    await expect(joiner.ask('leave', { deadlineMs: 20 })).rejects.toMatchObject({ code: 'K42_DEADLINE' });
    expect(await joiner.ask('isAttached')).toBe(true);
    await expect(joiner.ask('leave')).rejects.toMatchObject({ code: 'K42_ALREADY_LEAVING' });
    await expect(machine.call(2, 'whoAmI')).rejects.toMatchObject({
      code: 'K42_PROCESSOR_GONE',
      message: expect.stringContaining('leaving'),
    });
    await expect(machine.run(1, 'callFrom', [2, 'whoAmI', []])).rejects.toMatchObject({
      code: 'K42_PROCESSOR_GONE',
    });
    await expect(rcu.synchronize({ deadlineMs: 20 })).rejects.toMatchObject({
      report: { blockers: [{ processor: 2, threads: ['lasting'] }] },
    });
    const heard = gone(2);
    const synchronized = rcu.synchronize();
    await joiner.ask('endThread', 'lasting');
    await synchronized;
    await heard;
    expect(await joiner.ask('isAttached')).toBe(false);
    await isFree(machine, 2);
    expect(await joiner.ask('join', machine.ticket())).toMatchObject({ number: 2, incarnation: 2 });
  });

  test('the host cannot leave or join its own machine', async () => {
    const { joinMachine, leaveMachine } = await import('../src/index.ts');
    const machine = await boot(1, { maxProcessors: 2 });
    const ticket = machine.ticket();
    await expect(leaveMachine()).rejects.toMatchObject({ code: 'K42_INVALID_ARGUMENT' });
    await expect(joinMachine(ticket)).rejects.toMatchObject({ code: 'K42_ALREADY_ATTACHED' });
    await machine.close();
    await expect(joinMachine(ticket)).rejects.toMatchObject({ code: 'K42_INVALID_ARGUMENT' });
  });

  test('a closed machine lets go of those who joined: their threads live on', async () => {
    const machine = await boot(2);
    const joiner = new Joiner();
    await joiner.ask('join', machine.ticket());
    await machine.close();
    await until(async () => !(await joiner.ask('isAttached')), 'it is no processor any more');
    await expect(joiner.ask('handIn', 0)).rejects.toMatchObject({ code: 'K42_NOT_ATTACHED' });
    expect(() => currentProcessor()).toThrowError(expect.objectContaining({ code: 'K42_NOT_ATTACHED' }));
  });
});

test('twenty threads join at once and come and go at random: everybody is always reached', async () => {
  const { K42_SEED = '20260' } = process.env;
  const seed = Number(K42_SEED);
  const random = randomFrom(seed);
  const again = `K42_SEED=${seed} pnpm --filter @k42/rcu exec vitest run test/membership.test.ts`;
  const machine = await boot(2, { maxProcessors: 22 });
  const ticket = machine.ticket();
  const joiners = Array.from({ length: 20 }, () => new Joiner());
  const numbers = new Map<Joiner, number>();
  await Promise.all(
    joiners.map(async (joiner) => numbers.set(joiner, (await joiner.ask('join', ticket)).number)),
  );
  const all = Array.from({ length: 22 }, (_, number) => number);
  await serving(machine, all, again);
  // Those who joined at the same time know each other, too.
  await Promise.all(
    joiners.flatMap((joiner) =>
      machine.processors.map(async (to) => expect(await joiner.ask('call', to, 'add', [1, to])).toBe(1 + to)),
    ),
  );
  for (let round = 0; round < 12; round++) {
    await Promise.all(
      joiners.map(async (joiner) => {
        const number = numbers.get(joiner);
        if (number === undefined) {
          numbers.set(joiner, (await joiner.ask('join', ticket)).number);
        } else if (random(3) === 0) {
          numbers.delete(joiner);
          await joiner.ask('leave');
          if (machine.processors.includes(number)) await isFree(machine, number);
        } else if (random(2) === 0) {
          expect(await joiner.ask('call', 1, 'callFrom', [number, 'add', [1, number]]), again).toBe(
            1 + number,
          );
        } else await joiner.ask('synchronize');
      }),
    );
    const here = [...numbers.values()].sort((a, b) => a - b);
    for (const number of machine.processors)
      if (number > 1 && !here.includes(number)) await isFree(machine, number);
    await serving(machine, [0, 1, ...here], again);
    const identities = await Promise.all(
      here.map((number) => machine.call<Program.Identity>(number, 'whoAmI')),
    );
    expect(
      identities.map(({ number }) => number),
      again,
    ).toEqual(here);
  }
  await rcu.barrier();
});
