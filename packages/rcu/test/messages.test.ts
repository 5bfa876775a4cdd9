/**
 * Goal: calls between processors carry arguments, results, errors and the wish to give up; system messages arrive whether the
 * receiver runs its event loop, drains its ports by hand or sleeps on its doorbell.
 * Method: calls in all directions (from here, to here, from worker to worker), of functions that stand at gates.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { MessageChannel } from 'node:worker_threads';
import { describe, expect, onTestFinished, test } from 'vitest';
import { currentProcessor, type Machine, moving } from '../src/index.ts';
import { Joiner, membershipProgram, openGate, reached, runs, until } from './joiner.ts';
import type * as Program from './programs/membership.ts';
import { boot as bootAny, gate, watch } from './support.ts';

const boot = (processors: number, options: Parameters<typeof bootAny>[1] = {}): Promise<Machine> =>
  bootAny(processors, { program: membershipProgram, maxProcessors: 6, ...options });

describe('typed calls', () => {
  test('take the arguments of the function and give what it gives', async () => {
    const machine = await boot(2);
    const module = machine.module<typeof Program>();
    const sum: number = await module.call(1, 'add', [20, 22]);
    expect(sum).toBe(42);
    const { name } = await module.run(1, 'whoAmI', []);
    expect(name).toBe('k42:1');
    // A promise is awaited, and what was moved is the thing itself.
    const passed: string = await module.call(1, 'identity', ['x']).then(String);
    expect(passed).toBe('x');
    const { buffer } = await module.call(1, 'makeMoved', [16]);
    expect(buffer.byteLength).toBe(16);
    // @ts-expect-error no such function
    await expect(module.call(1, 'noSuch', [])).rejects.toMatchObject({ code: 'K42_NO_SUCH_EXPORT' });
    // @ts-expect-error WORDS is no function
    await expect(module.call(1, 'WORDS', [])).rejects.toMatchObject({ code: 'K42_NO_SUCH_EXPORT' });
    // @ts-expect-error an argument is missing
    expect(await module.call(1, 'add', [1])).toBeNaN();
    // @ts-expect-error an argument of another type
    expect(await module.call(1, 'add', ['1', 2])).toBe('12');
    // @ts-expect-error a result of another type
    const wrong: string = await module.call(1, 'add', [1, 2]);
    expect(wrong).toBe(3);
  });

  test('of another module name it; without one there is the program, or an error', async () => {
    const machine = await boot(2, { program: undefined } as never);
    expect(() => machine.module()).toThrowError(expect.objectContaining({ code: 'K42_INVALID_ARGUMENT' }));
    await expect(machine.call(1, 'add', [1, 2])).rejects.toMatchObject({ code: 'K42_INVALID_ARGUMENT' });
    const named = machine.module<typeof Program>(membershipProgram);
    expect(await named.call(1, 'add', [1, 2])).toBe(3);
    expect(() => machine.module('./relative.ts')).toThrowError(
      expect.objectContaining({ code: 'K42_INVALID_ARGUMENT' }),
    );
  });
});

describe('calls', () => {
  test("begin in the order in which they were made, whatever order a module's imports end in", async () => {
    const machine = await boot(2);
    const module = machine.module<typeof Program>();
    for (const processor of machine.processors) {
      const made = Array.from({ length: 300 }, (_, index) => index);
      const turns = await Promise.all(made.map((index) => module.run(processor, 'turnOf', [index])));
      expect(turns).toEqual(made);
    }
  });

  test('go from worker to worker and to oneself, to the host and through several', async () => {
    const machine = await boot(3);
    expect(await machine.call(1, 'callFrom', [2, 'add', [1, 2]])).toBe(3);
    expect(await machine.call(1, 'callFrom', [1, 'add', [1, 2]])).toBe(3);
    expect(await machine.call(1, 'callFrom', [0, 'whoAmI', []])).toMatchObject({ number: 0 });
    const around = await machine.call(1, 'callFrom', [2, 'callFrom', [0, 'callFrom', [1, 'whoAmI', []]]]);
    expect(around).toMatchObject({ number: 1 });
    expect(await machine.call(0, 'whoAmI')).toMatchObject({ number: 0 });
  });

  test('copy their arguments and results, also when they go to oneself', async () => {
    const machine = await boot(2);
    const given = { list: [1, { two: 2 }], when: new Date(0), map: new Map([[1, 'x']]) };
    for (const number of [0, 1]) {
      const got = await machine.call(number, 'identity', [given]);
      expect(got).toEqual(given);
      expect(got).not.toBe(given);
      for (const call of [
        machine.call(number, 'identity', [() => 1]),
        machine.call(number, 'cannotBeCloned'),
      ])
        await expect(call, `on ${number}`).rejects.toMatchObject({ name: 'DataCloneError' });
    }
    // Nothing is left behind by what could not be sent: a machine with calls pending would fail them when it closes.
    expect(await machine.call(1, 'add', [1, 2])).toBe(3);
    await machine.remove(1);
  });

  test('move what is in their transfer lists, there and back', async () => {
    const machine = await boot(2);
    for (const number of [0, 1]) {
      const buffer = new ArrayBuffer(32);
      new Uint8Array(buffer)[0] = 9;
      const kept = await machine.call(number, 'bytesOf', [buffer]);
      expect([kept, buffer.byteLength]).toEqual([{ bytes: 32, first: 9 }, 32]);
      const moved = await machine.call(number, 'bytesOf', [buffer], { transfer: [buffer] });
      expect([moved, buffer.byteLength]).toEqual([{ bytes: 32, first: 9 }, 0]);
      // What is gone already cannot be moved again; the call has not begun.
      await expect(machine.call(number, 'bytesOf', [buffer], { transfer: [buffer] })).rejects.toMatchObject({
        name: 'DataCloneError',
      });
      const back = await machine.call<{ buffer: ArrayBuffer }>(number, 'makeMoved', [64]);
      expect(new Uint8Array(back.buffer)[0]).toBe(7);
      expect(back.buffer.byteLength).toBe(64);
      expect(await machine.call(number, 'lastMovedBytes')).toBe(0);
    }
    expect(moving(1, []).value).toBe(1);
  });

  test('a port that is moved goes on working where it is', async () => {
    const machine = await boot(2);
    const { port1, port2 } = new MessageChannel();
    onTestFinished(() => port1.close());
    const answered = new Promise((resolve) => port1.once('message', resolve));
    await machine.call(1, 'postOn', [port2, 'hello'], { transfer: [port2] });
    expect(await answered).toBe('hello');
  });

  test('are given up by a signal, whose reason reaches the caller, and the callee knows', async () => {
    const machine = await boot(3);
    const reason = new RangeError('changed my mind');
    for (const number of [0, 1]) {
      const controller = new AbortController();
      const call = machine.call(number, 'endWhenAborted', [number], { signal: controller.signal });
      await reached(machine, number);
      controller.abort(reason);
      await expect(call).rejects.toBe(reason);
      await until(() => gateOf(machine, number) === 2, 'the callee knows');
    }
    // Before it begins: nothing is sent.
    const aborted = AbortSignal.abort(reason);
    await expect(machine.call(1, 'countRun', [3], { signal: aborted })).rejects.toBe(reason);
    await machine.call(1, 'add', [1, 2]);
    expect(runs(machine, 3)).toBe(0);
  });

  test('are given up at their deadline, and the callee knows', async () => {
    const machine = await boot(2);
    for (const number of [0, 1]) {
      const call = machine.call(number, 'endWhenAborted', [number], { deadlineMs: 30 });
      await expect(call).rejects.toMatchObject({
        code: 'K42_DEADLINE',
        deadlineMs: 30,
        message: expect.stringContaining(`endWhenAborted on processor ${number}`),
      });
      await until(() => gateOf(machine, number) === 2, 'the callee knows');
    }
    for (const deadlineMs of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31])
      await expect(machine.call(1, 'add', [1, 2], { deadlineMs })).rejects.toMatchObject({
        code: 'K42_INVALID_ARGUMENT',
      });
    expect(await machine.call(1, 'add', [1, 2], { deadlineMs: 2 ** 31 - 1 })).toBe(3);
  });

  test('that are pending when the machine closes fail, here and to oneself', async () => {
    const machine = await boot(2);
    const pending = [0, 1].map((number) => machine.run(number, 'passGate', [number, 1]));
    const failed = pending.map((call) =>
      expect(call).rejects.toMatchObject({ code: expect.stringMatching(/MACHINE_CLOSED|PROCESSOR_GONE/) }),
    );
    await reached(machine, 0);
    await reached(machine, 1);
    // The one on the worker never ends: it is not waited for long.
    await machine.close({ closeDeadlineMs: 50 });
    await Promise.all(failed);
    openGate(machine, 0);
  });

  test('carry errors that are no errors, and rings of causes', async () => {
    const machine = await boot(2);
    await expect(machine.call(1, 'throwValue', ['just a string'])).rejects.toMatchObject({
      message: 'just a string',
    });
    const ring = await machine.call(1, 'throwRing').catch((thrown: unknown) => thrown as Error);
    expect(ring).toMatchObject({ message: 'around', cause: { message: 'around' } });
  });
});

describe('system messages', () => {
  test('reach a processor that sleeps on its doorbell, and one that drains its ports by hand', async () => {
    const machine = await boot(2);
    const { passed, open } = gate();
    currentProcessor().onSystemMessage('test/echoed', open);
    await machine.call(1, 'answerEcho');
    const sleeper = machine.run<number>(1, 'sleepUntilServed', [0]);
    await reached(machine, 0);
    const started = performance.now();
    currentProcessor().post(1, 'test/echo', 'hello');
    // Far less than the 20 s of its sleep: it was the bell that woke it.
    expect(await sleeper).toBeGreaterThanOrEqual(1);
    expect(performance.now() - started).toBeLessThan(10_000);
    await passed;
  });

  test('are received without the event loop getting a turn', async () => {
    const machine = await boot(2);
    const echoed: unknown[] = [];
    currentProcessor().onSystemMessage('test/echoed', (from, payload) => echoed.push([from, payload]));
    await machine.call(1, 'answerEcho');
    currentProcessor().post(1, 'test/echo', 'hello');
    const giveUpAt = performance.now() + 10_000;
    while (echoed.length === 0 && performance.now() < giveUpAt) {
      const seen = currentProcessor().doorbell();
      currentProcessor().serveSystemMessages();
      if (echoed.length === 0) currentProcessor().sleep(seen, 100);
    }
    expect(echoed).toEqual([[1, 'hello']]);
  });

  test('to oneself are handled in a later turn, or when they are served, in order', async () => {
    await boot(1);
    const processor = currentProcessor();
    const got: unknown[] = [];
    processor.onSystemMessage('test/own', (from, payload) => {
      got.push([from, payload]);
      if (payload === 1) processor.post(0, 'test/own', 3);
    });
    processor.post(0, 'test/own', 1);
    processor.post(0, 'test/own', 2);
    expect(got).toEqual([]);
    processor.serveSystemMessages();
    expect(got.map((entry) => (entry as unknown[])[1])).toEqual([1, 2, 3]);
    processor.post(0, 'test/own', 4);
    await until(() => got.length === 4, 'it is handled by itself');
    expect(() => processor.onSystemMessage('test/own', () => {})).toThrow(/two handlers/);
  });

  test('to nobody are dropped', async () => {
    await boot(1, { maxProcessors: 3 });
    currentProcessor().post(2, 'test/own', 1);
    currentProcessor().serveSystemMessages();
  });
});

describe('copies of the package', () => {
  test('a second copy in one thread is refused, and the error names both', () => {
    const copy = mkdtempSync(join(import.meta.dirname, 'copy-'));
    onTestFinished(() => rmSync(copy, { recursive: true }));
    cpSync(new URL('../src', import.meta.url), copy, { recursive: true });
    const [first, second] = [
      new URL('../src/index.ts', import.meta.url),
      pathToFileURL(join(copy, 'index.ts')),
    ];
    const source = `
      const { currentProcessorIfAny } = await import(${JSON.stringify(first.href)});
      const outcome = await import(${JSON.stringify(second.href)}).then(() => 'loaded', (error) => error);
      console.log(JSON.stringify({ code: outcome.code, message: outcome.message }));`;
    const { stdout } = spawnSync(process.execPath, ['--input-type=module', '--eval', source], {
      encoding: 'utf8',
    });
    const { code, message } = JSON.parse(stdout) as { code: string; message: string };
    expect(code).toBe('K42_DUPLICATE_PACKAGE');
    expect(message).toContain(new URL('.', first).href);
    expect(message).toContain(copy);
  });
});

test('a join that fails leaves no call pending at others', async () => {
  // A call to a newcomer that is live and does not serve yet is kept; it fails when the newcomer dies.
  const machine = await boot(2);
  const joiner = new Joiner();
  const control = new Int32Array(new SharedArrayBuffer(4));
  await joiner.ask('stopAt', 'live', control, machine.ticket());
  void joiner.ask('join', machine.ticket());
  await until(() => Atomics.load(control, 0) === 1, 'it is live');
  const calls = [machine.call(2, 'add', [1, 2]), machine.call(1, 'callFrom', [2, 'add', [1, 2]])];
  const waiting = calls.map((call) => watch(call));
  const failed = calls.map((call) => expect(call).rejects.toMatchObject({ code: 'K42_PROCESSOR_GONE' }));
  await machine.call(1, 'add', [1, 2]);
  expect(waiting.map(({ settled }) => settled)).toEqual([false, false]);
  await joiner.terminate();
  await Promise.all(failed);
  openGate(machine, 0);
});

function gateOf(machine: Machine, number: number): number {
  return Atomics.load(machine.memory.i32, machine.memory.block('test/membership', 1024) / 4 + number);
}
