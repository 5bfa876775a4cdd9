/**
 * Swaps that are held in a phase until the test lets them go on: in FORWARD by a thread, in BLOCK by a forwarded call, in
 * TRANSFER by an export. For objects of `programs/boxes.ts` with asynchronous methods only.
 */
import { type Coid, handle } from '@k42/clustered';
import { currentRoot, rootView } from '@k42/clustered/interpose';
import { currentProcessor, spawn } from '@k42/rcu';
import { expect } from 'vitest';
import type { SwapReport } from '../src/index.ts';
import { phaseName } from '../src/internal/swapBlock.ts';
import { MediatorRoot } from '../src/mediator.ts';
import { type Box, GATE } from './programs/boxes.ts';
import { closeGate, openGate, passGate, standingAt } from './programs/tape.ts';
import { until } from './support.ts';

export type HeldPhase = 'forward' | 'block' | 'transfer';
export const HELD_PHASES: readonly HeldPhase[] = ['forward', 'block', 'transfer'];

/** The mediator of the swap an object is in, if it is in one. */
export function mediatorOf(coid: Coid<object>): MediatorRoot | undefined {
  const root = rootView(currentRoot(coid));
  return root instanceof MediatorRoot ? root : undefined;
}

/** Waits until a swap of the object has come to a phase. */
export async function reached(coid: Coid<object>, phase: HeldPhase): Promise<MediatorRoot> {
  await until(() => {
    const mediator = mediatorOf(coid);
    return mediator !== undefined && phaseName(mediator.block.phase()) === phase;
  });
  return mediatorOf(coid) as MediatorRoot;
}

export interface Held {
  readonly swapped: Promise<SwapReport>;
  readonly mediator: MediatorRoot;
  /** Lets it go on; settles when what held it is over. */
  release(): Promise<void>;
}

const boxes = new URL('./programs/boxes.ts', import.meta.url);

/** What holds a swap in a phase, on which processor. */
const HOLDERS: Readonly<Record<HeldPhase, (coid: Coid<Box>) => Promise<unknown>>> = {
  forward: () =>
    spawn(async function holdingThread() {
      await passGate(GATE.THREAD);
    }),
  // On the other processor: this one's own threads are to be gone before the call below is made.
  block: () => currentProcessor().call(1, { module: boxes, name: 'holdThread' }),
  transfer: async () => {},
};

/**
 * Begins a swap of an object that this processor and processor 1 call, and holds it in a phase: on this processor, as far as it
 * can be said.
 */
export async function holdIn(
  phase: HeldPhase,
  coid: Coid<Box>,
  begin: () => Promise<SwapReport>,
): Promise<Held> {
  const box = handle(coid);
  await box.put(0);
  closeGate(phase === 'transfer' ? GATE.EXPORT : GATE.THREAD);
  const holder = HOLDERS[phase](coid);
  if (phase !== 'transfer') await until(() => standingAt(GATE.THREAD) > 0);
  const swapped = begin();
  swapped.catch(() => {});
  let mediator = await reached(coid, phase === 'transfer' ? 'transfer' : 'forward');
  let held = holder;
  if (phase === 'block') {
    // Calls made before are waited for as threads, those of now as what the swap has forwarded.
    await until(() => !mediator.block.notElapsed().includes(currentProcessor().number));
    closeGate(GATE.CALL);
    held = box.hold();
    openGate(GATE.THREAD);
    await holder;
    mediator = await reached(coid, 'block');
  }
  return {
    swapped,
    mediator,
    async release(): Promise<void> {
      for (const gate of [GATE.THREAD, GATE.CALL, GATE.EXPORT]) openGate(gate);
      await held;
    },
  };
}

/** Expects that a promise does not settle for many turns. */
export async function expectPending(promise: Promise<unknown>): Promise<void> {
  let settled = false;
  const note = (): void => {
    settled = true;
  };
  promise.then(note, note);
  for (let turn = 0; turn < 100; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
  expect(settled).toBe(false);
}
