/**
 * Goal: processors are real threads that come up together, call each other's functions, and leave cleanly.
 * Method: machines of main thread and workers; each test boots its own and closes it.
 */
import { afterEach, describe, expect, test } from 'vitest';
import { currentProcessorIfAny, Machine, type MachineOptions } from '../src/index.ts';
import { WORKBENCH } from './programs/workbench.ts';

const program = new URL('./programs/workbench.ts', import.meta.url);
let machine: Machine;
const boot = async (processors: number, options: Partial<MachineOptions> = {}): Promise<Machine> => {
  machine = await Machine.boot({ processors, program, ...options });
  return machine;
};
afterEach(async () => machine?.close());

describe('Machine', () => {
  test('runs an exported function on every processor, and carries results back', async () => {
    await boot(3);
    const numbers = await Promise.all([0, 1, 2].map((number) => machine.call(number, 'whoAmI')));
    expect(numbers).toEqual([0, 1, 2]);
    expect(await machine.run(2, 'add', [20, 22])).toBe(42);
    expect(await machine.call(1, { module: program, name: 'add' }, [1, 2])).toBe(3);
  });

  test('carries errors back with name, code, fields and cause', async () => {
    await boot(2);
    const error = await machine.call(1, 'fail').catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ name: 'RangeError', message: 'asked to fail', code: 'ASKED', at: 42 });
    expect((error as Error).cause).toMatchObject({ message: 'the cause' });
  });

  test('refuses bad arguments before anything starts', async () => {
    await expect(Machine.boot({ processors: 0 })).rejects.toMatchObject({ code: 'K42_INVALID_ARGUMENT' });
    await expect(Machine.boot({ processors: 61 })).rejects.toMatchObject({ code: 'K42_INVALID_ARGUMENT' });
    await expect(Machine.boot({ processors: 1, program: './relative.ts' })).rejects.toMatchObject({
      code: 'K42_INVALID_ARGUMENT',
    });
    expect(currentProcessorIfAny()).toBeUndefined();
    await boot(2);
    await expect(Machine.boot({ processors: 1 })).rejects.toMatchObject({ code: 'K42_ALREADY_ATTACHED' });
    await expect(machine.call(2, 'whoAmI')).rejects.toMatchObject({ code: 'K42_INVALID_ARGUMENT' });
    await expect(machine.call(1, 'noSuch')).rejects.toMatchObject({ code: 'K42_NO_SUCH_EXPORT' });
  });

  test('a program that does not load fails the boot and leaves nothing behind', async () => {
    const missing = new URL('./programs/missing.ts', import.meta.url);
    await expect(Machine.boot({ processors: 2, program: missing })).rejects.toMatchObject({
      code: 'K42_BOOT_FAILED',
    });
    expect(currentProcessorIfAny()).toBeUndefined();
  });

  test('a processor that exits fails the calls that wait for it; the others go on', async () => {
    await boot(3);
    const waiting = machine.run(1, 'neverSettles');
    const asked = machine.call(1, 'exitNow');
    await expect(waiting).rejects.toMatchObject({ code: 'K42_PROCESSOR_GONE', processor: 1 });
    await expect(asked).rejects.toMatchObject({ code: 'K42_PROCESSOR_GONE' });
    await expect(machine.call(1, 'whoAmI')).rejects.toMatchObject({ code: 'K42_PROCESSOR_GONE' });
    expect(await machine.call(2, 'whoAmI')).toBe(2);
    // A grace period does not wait for the dead.
    await machine.run(2, 'synchronizeHere');
  });

  test('a module that does not load is reported every time it is asked for', async () => {
    await boot(2);
    const missing = new URL('./programs/missing.ts', import.meta.url);
    await expect(machine.load(missing)).rejects.toThrow();
    await expect(machine.load(missing)).rejects.toThrow();
  });

  test('a call that is not answered in time is given up and says what it was', async () => {
    await boot(2);
    await expect(machine.run(1, 'neverSettles', [], { deadlineMs: 20 })).rejects.toMatchObject({
      code: 'K42_DEADLINE',
      message: expect.stringContaining('neverSettles'),
    });
  });

  test('close waits for deferred callbacks on all processors', async () => {
    await boot(3);
    const { memory } = machine;
    const counter = memory.block('test/workbench', WORKBENCH.BYTES) / 4 + WORKBENCH.COUNTER;
    await Promise.all([0, 1, 2].map((number) => machine.call(number, 'deferSomething')));
    await machine.close();
    expect(Atomics.load(memory.i32, counter)).toBe(3);
    expect(currentProcessorIfAny()).toBeUndefined();
    await expect(machine.call(0, 'whoAmI')).rejects.toMatchObject({ code: 'K42_MACHINE_CLOSED' });
  });
});

describe('machine memory', () => {
  test('recycles blocks, zeroed, and counts what is in use', async () => {
    await boot(1, { memoryBytes: 1 << 20 });
    const { memory } = machine;
    const before = memory.allocatedBytes;
    const first = memory.allocate(100);
    memory.u8.fill(7, first, first + 100);
    memory.free(first, 100);
    const second = memory.allocate(128);
    expect(second).toBe(first);
    expect(memory.u8.subarray(second, second + 128).every((byte) => byte === 0)).toBe(true);
    memory.free(second, 128);
    expect(memory.allocatedBytes).toBe(before);
  });

  test('exhaustion is a typed error and changes nothing', async () => {
    await boot(1, { memoryBytes: 1 << 16 });
    const { memory } = machine;
    const before = memory.allocatedBytes;
    expect(() => memory.allocate(1 << 17)).toThrowError(
      expect.objectContaining({ code: 'K42_OUT_OF_MACHINE_MEMORY' }),
    );
    expect(memory.allocatedBytes).toBe(before);
    memory.free(memory.allocate(64), 64);
  });

  test('a named block is one block, whoever asks, and has one size', async () => {
    await boot(1);
    const offset = machine.memory.block('test/named', 100);
    expect(machine.memory.block('test/named', 100)).toBe(offset);
    expect(() => machine.memory.block('test/named', 1000)).toThrowError(/exists with/);
  });
});
