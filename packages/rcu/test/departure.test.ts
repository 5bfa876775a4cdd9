/**
 * Goal: a processor that departs in order hands over what it keeps when its threads and its deferred work are done, and
 * everybody it tells has heard of it before the end; one that is closed or dies hands over nothing.
 * Method: workers of the machine and plain Workers that post in a listener of their departure; the host and processor 1 note
 * what they hear, in order. Where the order could depend on who is faster, the host stands still until all has happened.
 */
import { expect, onTestFinished, test } from 'vitest';
import { currentProcessor, type Machine } from '../src/index.ts';
import { PROCESSOR_STATE } from '../src/internal/layout.ts';
import { isFree, Joiner, membershipProgram, openGate, reached, runs, stateOf, until } from './joiner.ts';
import { boot as bootAny, settle, watch } from './support.ts';

const boot = (processors: number, options: Parameters<typeof bootAny>[1] = {}): Promise<Machine> =>
  bootAny(processors, { program: membershipProgram, maxProcessors: 4, ...options });

/** What the host hears of processors that depart or are gone, in order. */
function listen(): string[] {
  const processor = currentProcessor();
  const heard: string[] = [];
  processor.onSystemMessage('test/departing', (from, what) => heard.push(`${from} departs: ${what}`));
  processor.onGone((number) => heard.push(`${number} is gone`));
  return heard;
}

/** Stands still until a processor is gone: what this thread is to hear of it waits here meanwhile. */
function standStillUntilGone(machine: Machine, number: number): void {
  const giveUpAt = performance.now() + 10_000;
  while (stateOf(machine, number) !== PROCESSOR_STATE.GONE) expect(performance.now()).toBeLessThan(giveUpAt);
}

test('a worker of the machine, and a thread that has joined, are heard before they are gone, everywhere', async () => {
  const machine = await boot(2);
  const heard = listen();
  await machine.run(1, 'noteDepartures');
  // Several times: that it departs and that it is gone come through several ports, and from others.
  for (let round = 0; round < 8; round++) {
    const joiner = new Joiner();
    await joiner.ask('join', machine.ticket());
    await joiner.ask('tellAtDeparture', 0, undefined, 1);
    const left = joiner.ask('leave');
    if (round % 2 === 0) standStillUntilGone(machine, 2);
    if (round % 4 === 0) currentProcessor().noticeGone();
    await left;
    await isFree(machine, 2);
    const expected = ['2 departs: first of 0', '2 is gone'];
    expect(heard.splice(0)).toEqual(expected);
    expect(await machine.run(1, 'departuresHeard')).toEqual(expected);

    expect(await machine.add()).toBe(2);
    await machine.run(2, 'tellAtDeparture', [1, undefined, 1]);
    await machine.remove(2);
    const removed = ['2 departs: first of 1', '2 is gone'];
    expect(heard.splice(0)).toEqual(removed);
    expect(await machine.run(1, 'departuresHeard')).toEqual(removed);
  }
  expect([runs(machine, 0), runs(machine, 1)]).toEqual([8, 8]);
});

test('it comes after the threads and the deferred work, in the order of the listeners', async () => {
  const machine = await boot(2);
  const heard = listen();
  await machine.run(1, 'tellAtDeparture', [0]);
  await machine.run(1, 'tellAtDeparture', [1]);
  await machine.run(1, 'finishBeforeLeaving', [3]);
  const answer = machine.call(1, 'passGate', [2, 'answered']);
  await reached(machine, 2);
  const removed = machine.remove(1);
  const removing = watch(removed);
  await until(() => stateOf(machine, 1) === PROCESSOR_STATE.LEAVING, 'it is leaving');
  await settle();
  expect([runs(machine, 0), removing.settled]).toEqual([0, false]);
  openGate(machine, 2);
  expect(await answer).toBe('answered');
  await removed;
  expect(heard).toEqual(['1 departs: first of 0', '1 departs: first of 1', '1 is gone']);
  // Once while the thread was live, and once after it: it might have left something to do.
  expect(runs(machine, 3)).toBeGreaterThanOrEqual(2000);
});

test('it does not come while a thread is live, in whichever turn that began', async () => {
  const machine = await boot(1);
  const heard = listen();
  const joiner = new Joiner();
  await joiner.ask('join', machine.ticket());
  await joiner.ask('tellAtDeparture', 0);
  await joiner.ask('beginThreadWhenLeaving', 0);
  const left = joiner.ask('leave');
  await reached(machine, 0);
  await settle();
  expect(heard).toEqual([]);
  openGate(machine, 0);
  await left;
  await isFree(machine, 1);
  expect(heard).toEqual(['1 departs: first of 0', '1 is gone']);
});

test('a listener that throws is an uncaught exception, and keeps neither the others nor the departure', async () => {
  const machine = await boot(1);
  const heard = listen();
  const joiner = new Joiner();
  await joiner.ask('join', machine.ticket());
  await joiner.ask('catchUncaught');
  await joiner.ask('tellAtDeparture', 0, 'throw');
  await joiner.ask('tellAtDeparture', 1);
  await joiner.ask('leave');
  await isFree(machine, 1);
  expect(heard).toEqual(['1 departs: first of 0', '1 departs: first of 1', '1 is gone']);
  expect(await joiner.ask('uncaught')).toEqual(['departure listener 0 throws']);
});

test('a listener that begins a thread puts the departure off until it has ended; then all are called again', async () => {
  const machine = await boot(1);
  const heard = listen();
  const joiner = new Joiner();
  await joiner.ask('join', machine.ticket());
  await joiner.ask('tellAtDeparture', 0, 'begin a thread');
  await joiner.ask('tellAtDeparture', 1);
  const left = joiner.ask('leave');
  await reached(machine, 0);
  await until(() => heard.length === 2, 'both have been called');
  await settle();
  expect(stateOf(machine, 1)).toBe(PROCESSOR_STATE.LEAVING);
  expect(heard.splice(0)).toEqual(['1 departs: first of 0', '1 departs: first of 1']);
  openGate(machine, 0);
  await left;
  await isFree(machine, 1);
  expect(heard).toEqual(['1 departs: second of 0', '1 departs: first of 1', '1 is gone']);
});

test('none is called when the machine closes, or at a death', async () => {
  const machine = await boot(2);
  const heard = listen();
  const [joiner, victim] = [new Joiner(), new Joiner()];
  await joiner.ask('join', machine.ticket());
  await victim.ask('join', machine.ticket());
  await machine.run(1, 'tellAtDeparture', [0]);
  await joiner.ask('tellAtDeparture', 0);
  await victim.ask('tellAtDeparture', 0);
  currentProcessor().onDeparture(() => heard.push('the host departs'));
  await victim.terminate();
  await isFree(machine, 3);
  await machine.close();
  await until(async () => !(await joiner.ask('isAttached')), 'it is no processor any more');
  expect(runs(machine, 0)).toBe(0);
  expect(heard[0]).toBe('3 is gone');
  expect(heard.filter((what) => what.includes('depart'))).toEqual([]);
});

test('a machine that closes while one is leaving does not wait for its departure', async () => {
  const machine = await boot(1);
  const joiner = new Joiner();
  await joiner.ask('join', machine.ticket());
  await joiner.ask('tellAtDeparture', 0);
  await joiner.ask('holdThread', 'lasting');
  const left = joiner.ask('leave');
  onTestFinished(() => left.catch(() => {}));
  await until(() => stateOf(machine, 1) === PROCESSOR_STATE.LEAVING, 'it is leaving');
  await machine.close();
  await until(async () => !(await joiner.ask('isAttached')), 'it is no processor any more');
  await joiner.ask('endThread', 'lasting');
  await left;
  expect(runs(machine, 0)).toBe(0);
});
