/** What several tests need: directories that vanish, machines, seeds. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { objectCounts } from '@k42/clustered';
import { Machine } from '@k42/rcu';
import { onTestFinished } from 'vitest';

export const program: URL = new URL('./programs/files.ts', import.meta.url);
export const IMPLEMENTATIONS = ['shared', 'distributed'] as const;
export const PAGE = 4096;

export function temporaryDirectory(): string {
  const path = mkdtempSync(join(tmpdir(), 'k42-fcm-test-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** A machine that is closed after the test. */
export async function boot(processors: number, memoryBytes: number = 64 * 2 ** 20): Promise<Machine> {
  const machine = await Machine.boot({ processors, program, memoryBytes });
  onTestFinished(async () => machine.close());
  return machine;
}

/** Calls an exported function of the program on every processor at once. */
export function onAll<R>(machine: Machine, name: string, ...args: unknown[]): Promise<R[]> {
  return Promise.all(machine.processors.map((number) => machine.call<R>(number, name, args)));
}

/** The same, as a program instead of a thread: a swap need not wait for its end. */
export function runOnAll<R>(machine: Machine, name: string, ...args: unknown[]): Promise<R[]> {
  return Promise.all(machine.processors.map((number) => machine.run<R>(number, name, args)));
}

/** Bytes of machine memory in use, without what the arenas of objects have set aside. */
export function bytesInUse({ memory }: Machine): number {
  const { bytes, reservedBytes } = objectCounts();
  return memory.allocatedBytes - reservedBytes + bytes;
}

/** Turns of the event loop until a condition holds, a bounded number of them. */
export async function until(holds: () => boolean): Promise<void> {
  for (let turn = 0; turn < 20_000; turn++) {
    if (holds()) return;
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  throw new Error(`never: ${holds}`);
}

/** A word of shared memory, through which programs are told to stop or tell that they have. */
export function stopWord(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(8));
}

/** Descriptors open in this process. */
export function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

/** Seeds to run a test with: those of the test, or the one in K42_SEED to replay a failure. */
export function seeds(...numbers: number[]): number[] {
  return process.env.K42_SEED === undefined ? numbers : [Number(process.env.K42_SEED)];
}

/** Runs a seeded test and says how to replay it if it fails. */
export async function withSeed(file: string, seed: number, run: () => Promise<void>): Promise<void> {
  try {
    await run();
  } catch (error) {
    console.error(`replay: K42_SEED=${seed} pnpm --filter @k42/fcm test test/${file}.test.ts`);
    throw error;
  }
}
