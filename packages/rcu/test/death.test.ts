/**
 * Goal: a processor that dies, however it dies, is found gone by all the others; what waited for it ends, what it left behind
 * is done once, and its number is given to somebody else only when everybody has let go of it.
 * Method: workers that exit, throw or are terminated at a known place: at a gate, in a callback, in a loop. (Deaths at random
 * places are in `torture/`.)
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { describe, expect, onTestFinished, test } from 'vitest';
import { currentProcessor, type Machine, rcu } from '../src/index.ts';
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
import { boot as bootAny, watch } from './support.ts';

const boot = (processors: number, options: Parameters<typeof bootAny>[1] = {}): Promise<Machine> =>
  bootAny(processors, { program: membershipProgram, maxProcessors: 6, ...options });

/** What is published on a channel until the test ends. */
function listen<M>(name: string): M[] {
  const heard: M[] = [];
  const note = (message: unknown): void => void heard.push(message as M);
  subscribe(name, note);
  onTestFinished(() => void unsubscribe(name, note));
  return heard;
}

/** Warnings that the process emits until the test ends. */
function warnings(): string[] {
  const heard: string[] = [];
  const note = (warning: Error): void => void heard.push(warning.message);
  process.on('warning', note);
  onTestFinished(() => void process.off('warning', note));
  return heard;
}

const GONE = { code: 'K42_PROCESSOR_GONE' };

describe('every death', () => {
  test.each(['exits', 'throws', 'is terminated', 'is terminated in a loop'])(
    'a processor that %s is found gone by all, and nobody waits for it any more',
    async (how) => {
      const machine = await boot(3);
      const heardWarnings = warnings();
      const joiner = new Joiner();
      let victim: number;
      if (how === 'is terminated') victim = (await joiner.ask('join', machine.ticket())).number;
      else victim = await machine.add({ name: 'victim' });
      await Promise.all([1, 2].map((number) => machine.call(number, 'noteGone')));
      const heard = gone(victim);

      // A thread of it that a grace period waits for, and calls to it: from here, from 1, and by way of 1 from 2.
      const calls = [
        machine.run(victim, 'passGate', [0, 1]),
        machine.call(victim, 'passGate', [0, 1]),
        machine.run(1, 'callFrom', [victim, 'passGate', [0, 1]]),
        machine.run(2, 'callFrom', [1, 'callFrom', [victim, 'passGate', [0, 1]]]),
      ].map((call) => expect(call).rejects.toMatchObject({ ...GONE, processor: victim }));
      await reached(machine, 0);
      await until(async () => ((await view(machine, victim))?.domains[0]?.live ?? 0) >= 3, 'calls run there');
      const waits = [
        rcu.synchronize({ expedited: true }),
        machine.run(2, 'synchronizeHere'),
        machine.run(1, 'synchronizeHere'),
      ];
      const waiting = waits.map((wait) => watch(wait));
      await until(
        async () => (await view(machine, victim))?.domains[0]?.waitedForSince !== undefined,
        'it is waited for',
      );
      expect(waiting.map(({ settled }) => settled)).toEqual([false, false, false]);

      if (how === 'exits') machine.run(victim, 'exitNow').catch(() => {});
      else if (how === 'throws') machine.run(victim, 'throwUncaught').catch(() => {});
      else if (how === 'is terminated') await joiner.terminate();
      else {
        machine.run(victim, 'loopForEver', [1]).catch(() => {});
        await reached(machine, 1);
        await expect(machine.remove(victim, { deadlineMs: 20 })).rejects.toMatchObject({
          code: 'K42_DEADLINE',
        });
      }
      await Promise.all([...calls, heard, ...waits]);
      await isFree(machine, victim);
      for (const number of [1, 2]) expect(await machine.call(number, 'goneHeard')).toEqual([victim]);
      for (const call of [
        machine.call(victim, 'add', [1, 2]),
        machine.run(1, 'callFrom', [victim, 'add', [1, 2]]),
      ])
        await expect(call).rejects.toMatchObject(GONE);
      expect(machine.processors).toEqual([0, 1, 2]);
      expect(await machine.run(2, 'callFrom', [1, 'add', [1, 2]])).toBe(3);
      await rcu.barrier();
      if (how === 'throws') {
        await until(() => heardWarnings.length !== 0, 'the warning is emitted');
        expect(heardWarnings).toEqual([
          expect.stringMatching(/Processor 3 \(victim\) died: Error: nobody catches/),
        ]);
      }
      // Whoever comes next is somebody else.
      expect(await machine.add()).toBe(victim);
      expect(await machine.run(1, 'callFrom', [victim, 'whoAmI', []])).toMatchObject({ incarnation: 2 });
    },
  );

  test('what is answered just before a death arrives', async () => {
    // The answer and the end of the ports race: nothing that was posted may be lost.
    const machine = await boot(2, { maxProcessors: 3 });
    for (let round = 0; round < 8; round++) {
      const joiner = new Joiner();
      const { number } = await joiner.ask('join', machine.ticket());
      const answers = Promise.all(
        [1, 2, 3].map((value) => machine.run<number>(number, 'passGate', [round, value])),
      );
      await reached(machine, round);
      // This thread stands still until all of it has happened over there: then the events wait here. It may learn of
      // the end first, from a processor that noticed before; that is what happens here.
      openGate(machine, round);
      const left = joiner.ask('leave');
      const giveUpAt = performance.now() + 10_000;
      while (stateOf(machine, number) !== PROCESSOR_STATE.GONE)
        expect(performance.now()).toBeLessThan(giveUpAt);
      currentProcessor().noticeGone();
      await left;
      const settled = await answers.catch((error: { code: string }) => error.code);
      expect(settled).toEqual([1, 2, 3]);
      await isFree(machine, number);
      await joiner.terminate();
    }
  });
});

describe('a number is given out again', () => {
  test('only when everybody has let go of the dead', async () => {
    const machine = await boot(2, { maxProcessors: 3 });
    const events = listen<{ processor: number; event: string; seenBy: number }>('k42:rcu:processor');
    const joiner = new Joiner();
    await joiner.ask('join', machine.ticket());
    const blocked = machine.run(1, 'blockAtGate', [0]);
    await reached(machine, 0);
    const heard = gone(2);
    await joiner.terminate();
    await heard;
    // 1 has not heard of it.
    await expect(machine.add()).rejects.toMatchObject({ code: 'K42_MACHINE_FULL' });
    expect(events.map(({ event }) => event)).toEqual(['joined', 'gone']);
    openGate(machine, 0);
    await blocked;
    await isFree(machine, 2);
    expect(events.at(-1)).toMatchObject({ processor: 2, incarnation: 1, event: 'buried' });
    // That the one before served does not mean that this one does.
    const second = new Joiner();
    const control = new Int32Array(new SharedArrayBuffer(4));
    await second.ask('stopAt', 'live', control, machine.ticket());
    const joined = second.ask('join', machine.ticket());
    await until(() => Atomics.load(control, 0) === 1, 'it is live');
    expect(incarnationOf(machine, 2)).toBe(2);
    expect(machine.processors).toEqual([0, 1]);
    Atomics.store(control, 0, 2);
    Atomics.notify(control, 0);
    expect(await joined).toMatchObject({ number: 2 });
    await serving(machine, [0, 1, 2]);
  });

  test('and when all on the host have heard of it, who have come after the machine had been booted included', async () => {
    const machine = await boot(1);
    const joiner = new Joiner();
    await joiner.ask('join', machine.ticket());
    const states: number[] = [];
    for (let listener = 0; listener < 2; listener++)
      currentProcessor().onGone((number) => states.push(stateOf(machine, number)));
    await joiner.terminate();
    await isFree(machine, 1);
    expect(states).toEqual([PROCESSOR_STATE.GONE, PROCESSOR_STATE.GONE]);
  });

  test('and nothing meant for the dead reaches whoever has it then', async () => {
    const machine = await boot(2, { maxProcessors: 3 });
    const [first, second] = [new Joiner(), new Joiner()];
    const { number } = await first.ask('join', machine.ticket());
    // Fresh processors number their calls alike, so that an answer to the first one would fit the call of the second.
    void first.ask('call', 1, 'passGate', [0, 'of the first']);
    void first.ask('call', 0, 'passGate', [0, 'of the first']);
    await reached(machine, 0);
    await first.terminate();
    await isFree(machine, number);
    expect(await second.ask('join', machine.ticket())).toMatchObject({ number, incarnation: 2 });
    const answers = [
      second.ask('call', 1, 'passGate', [1, 'of the second']),
      second.ask('call', 0, 'passGate', [1, 'of the second']),
    ];
    const waiting = answers.map((answer) => watch(answer));
    await reached(machine, 1);
    openGate(machine, 0);
    // Both have gone through their gates, and their answers would be here.
    await until(async () => (await view(machine, 1))?.domains[0]?.live === 1, 'the first call has ended');
    await second.ask('call', 1, 'add', [1, 2]);
    await second.ask('call', 0, 'add', [1, 2]);
    expect(waiting.map(({ settled }) => settled)).toEqual([false, false]);
    openGate(machine, 1);
    expect(await Promise.all(answers)).toEqual(['of the second', 'of the second']);
  });

  test('a call that is running for the dead is told', async () => {
    const machine = await boot(2);
    const joiner = new Joiner();
    await joiner.ask('join', machine.ticket());
    void joiner.ask('call', 1, 'endWhenAborted', [0]);
    await reached(machine, 0);
    await joiner.terminate();
    await until(async () => (await view(machine, 1))?.domains[0]?.live === 0, 'the call has ended');
  });
});

describe('portable callbacks', () => {
  test('those not begun run once on the host, the one begun is reported, and a barrier covers them', async () => {
    const machine = await boot(3);
    const events = listen<{ event: string; args: unknown[] }>('k42:rcu:callback');
    const heardWarnings = warnings();
    // 0 and 1 run on processor 2; it stands still in 2; 3 and 4 wait behind that one, 5 for a reader as well.
    await machine.run(2, 'handInPortable', [[0, 1]]);
    await rcu.barrier();
    expect([runs(machine, 0), runs(machine, 1)]).toEqual([1000, 1000]);
    const batch = machine.run(2, 'handInBlockingThenPortable', [2, 0, [3, 4]]);
    batch.catch(() => {});
    await reached(machine, 0);
    const heard = gone(2);
    const removed = machine.remove(2, { deadlineMs: 20 });
    await expect(removed).rejects.toMatchObject({ code: 'K42_DEADLINE' });
    await heard;
    await machine.run(1, 'barrierHere');
    expect([2, 3, 4].map((id) => runs(machine, id))).toEqual([1000, 1, 1]);
    await rcu.barrier();
    await rcu.synchronize();
    expect([0, 1, 2, 3, 4].map((id) => runs(machine, id))).toEqual([1000, 1000, 1000, 1, 1]);
    expect(events.map(({ event, args }) => [event, args[0]])).toEqual([
      ['interrupted', 2],
      ['inherited', 3],
      ['inherited', 4],
    ]);
    await until(() => heardWarnings.length !== 0, 'the warning is emitted');
    expect(heardWarnings).toEqual([expect.stringContaining('portable callback countRunAndBlock')]);
  });

  test('inherited ones wait for readers as they would have', async () => {
    const machine = await boot(2);
    const joiner = new Joiner();
    await joiner.ask('join', machine.ticket());
    const reader = machine.call(1, 'passGate', [0, 1]);
    await reached(machine, 0);
    await joiner.ask('handInPortable', [0]);
    await joiner.ask('handIn', 1);
    await joiner.terminate();
    await isFree(machine, 2);
    const barrier = rcu.barrier();
    const waiting = watch(barrier);
    await machine.run(1, 'add', [1, 2]);
    expect(waiting.settled).toBe(false);
    expect(runs(machine, 0)).toBe(0);
    openGate(machine, 0);
    await reader;
    await barrier;
    // The closure died with the heap it lived in.
    expect([runs(machine, 0), runs(machine, 1)]).toEqual([1, 0]);
    // What is over is not inherited again with the number.
    const second = new Joiner();
    expect(await second.ask('join', machine.ticket())).toMatchObject({ number: 2, incarnation: 2 });
    const another = machine.call(1, 'passGate', [1, 1]);
    await reached(machine, 1);
    await second.ask('handInPortable', [2]);
    await second.terminate();
    await isFree(machine, 2);
    openGate(machine, 1);
    await another;
    await rcu.barrier();
    expect([runs(machine, 0), runs(machine, 1), runs(machine, 2)]).toEqual([1, 0, 1]);
  });

  test('a processor that leaves has run its own, and leaves none', async () => {
    const machine = await boot(1);
    const events = listen('k42:rcu:callback');
    const joiner = new Joiner();
    for (let round = 1; round <= 2; round++) {
      await joiner.ask('join', machine.ticket());
      await joiner.ask('handInPortable', [0, 1, 0]);
      await joiner.ask('leave');
      await isFree(machine, 1);
    }
    await rcu.barrier();
    expect([runs(machine, 0), runs(machine, 1)]).toEqual([4000, 2000]);
    expect(events).toEqual([]);
  });

  test('a death that only others have found is known to the host before it says that a barrier is over', async () => {
    const machine = await boot(2);
    const joiner = new Joiner();
    await joiner.ask('join', machine.ticket());
    const reader = machine.call(1, 'passGate', [0, 1]);
    await reached(machine, 0);
    await joiner.ask('handInPortable', [3]);
    const heard: number[] = [];
    currentProcessor().onGone((number) => heard.push(number));
    void joiner.terminate();
    // This thread stands still until 1 has found it out: the table says so, and no event has told the host.
    const giveUpAt = performance.now() + 10_000;
    while (stateOf(machine, 2) !== PROCESSOR_STATE.GONE) expect(performance.now()).toBeLessThan(giveUpAt);
    expect(heard).toEqual([]);
    const barrier = rcu.barrier();
    const burials = currentProcessor().burials();
    expect(heard).toEqual([2]);
    openGate(machine, 0);
    await Promise.all([reader, burials, barrier]);
    expect(runs(machine, 3)).toBe(1);
  });
});

async function view(
  machine: Machine,
  number: number,
): Promise<Awaited<ReturnType<Machine['snapshot']>>['processors'][number] | undefined> {
  const { processors } = await machine.snapshot();
  return processors.find(({ processor }) => processor === number);
}
