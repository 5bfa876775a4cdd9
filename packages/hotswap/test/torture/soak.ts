/**
 * Thousands of swaps under load: `node --conditions=@k42/source --expose-gc test/torture/soak.ts [swaps [pauseMs]]`, 10 000
 * by default, half of them of an object with synchronous methods and half of one without.
 *
 * Three processors call the object in bursts, in every way there is, with a pause of one millisecond between two (0: they do nothing
 * else), and take turns in swapping it to and fro. What is looked at: that each call has run once, in order and on the object of its time, that no promise was rejected unseen,
 * that nothing is left in machine memory, and that the heap of no thread grows. Callers are stopped for a moment each time the heaps
 * are measured.
 */
import process from 'node:process';
import type { Machine } from '@k42/rcu';
import type { SwapReport } from '../../src/index.ts';
import { KINDS, type Kind } from '../programs/tally.ts';
import { AT } from '../programs/tallyControls.ts';
import { bootMachine, type Counts, check, closeMachine, inTime, Stage } from './harness.ts';

const PROCESSORS = [0, 1, 2];
const SWAPS = 10_000;
/** A heap may be so much larger at the end than after a third of the swaps: tables and caches that have a bound. */
const HEAP_GROWTH_BYTES = 1_500_000;
/** Each so often, the heaps are measured. */
const PARTS = 3;

async function heaps(machine: Machine): Promise<number[]> {
  return Promise.all(PROCESSORS.map((number) => machine.run<number>(number, 'heapHere')));
}

interface Tallied {
  calls: number;
  forwarded: number;
  queued: number;
  longestBlockMs: number;
  longestStopMs: number;
}

/** So many swaps under load. */
async function part(stage: Stage, swaps: number, pauseMs: number, tallied: Tallied): Promise<void> {
  stage.startCallers(PROCESSORS, pauseMs);
  for (let swap = 0; swap < swaps; swap++) {
    const version = stage.version.endsWith('@1') ? 2 : 1;
    const by = PROCESSORS[swap % PROCESSORS.length] as number;
    const swapped = stage.machine.run<SwapReport>(by, 'swapHere', [stage.coid, stage.kind, version]);
    const { forwarded, queued, longestBlockMs, longestStopMs } = await inTime(
      swapped,
      'a swap to go through',
    );
    tallied.forwarded += forwarded;
    tallied.queued += queued;
    tallied.longestBlockMs = Math.max(tallied.longestBlockMs, longestBlockMs);
    tallied.longestStopMs = Math.max(tallied.longestStopMs, longestStopMs);
  }
  tallied.calls += (await stage.stopCallers()).calls;
  await stage.audit();
}

async function soakOne(machine: Machine, kind: Kind, swaps: number, pauseMs: number): Promise<Counts> {
  const stage = new Stage(machine, kind);
  try {
    await stage.touch(PROCESSORS);
    for (const number of PROCESSORS) await machine.run(number, 'countRejections');
    const began = performance.now();
    const tallied: Tallied = { calls: 0, forwarded: 0, queued: 0, longestBlockMs: 0, longestStopMs: 0 };
    const measured: number[][] = [];
    for (let count = 0; count < PARTS; count++) {
      await part(stage, Math.ceil(swaps / PARTS), pauseMs, tallied);
      measured.push(await heaps(machine));
    }
    const milliseconds = Math.round(performance.now() - began);
    const [early, , late] = measured as [number[], number[], number[]];
    const growth = late.map((bytes, number) => bytes - (early[number] as number));
    if (globalThis.gc !== undefined)
      check(
        Math.max(...growth) < HEAP_GROWTH_BYTES,
        `the heaps have grown by ${growth} bytes: ${JSON.stringify(measured)}`,
      );
    check(
      stage.controls.get(AT.REJECTIONS) === 0,
      `${stage.controls.get(AT.REJECTIONS)} rejections were not handled`,
    );
    const lost = await stage.close();
    return { swaps, milliseconds, ...tallied, heapGrowthBytes: Math.max(...growth), lost };
  } finally {
    stage.stop();
  }
}

/** @throws if anything was seen that must not be */
export async function soak(swaps: number, pauseMs: number): Promise<Readonly<Record<Kind, Counts>>> {
  const machine = await bootMachine({ processors: 3 });
  try {
    const [calm, sync] = KINDS;
    return {
      calm: await soakOne(machine, calm, Math.ceil(swaps / 2), pauseMs),
      sync: await soakOne(machine, sync, Math.ceil(swaps / 2), pauseMs),
    };
  } finally {
    await closeMachine(machine);
  }
}

if (import.meta.main) {
  console.log(JSON.stringify(await soak(Number(process.argv[2] ?? SWAPS), Number(process.argv[3] ?? 1))));
  process.exit();
}
