/**
 * Scenes of TRANSFER: nothing runs on the old object any more, every part is moved before the swap is decided, and who comes now
 * waits.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { type Coid, create, handle } from '@k42/clustered';
import { touchedProcessors } from '@k42/clustered/interpose';
import { swap } from '../../src/index.ts';
import {
  BusyOne,
  callFromExports,
  context,
  contexts,
  type Later,
  LaterOne,
  LaterTwo,
  type Now,
  StrictTwo,
  type Version,
} from '../programs/gated.ts';
import { COUNT, GATE } from '../programs/gates.ts';
import { check, inTime, refusal, Scene, SWAP_MS, until, watch } from './scene.ts';

const OPTIONS = { deadlineMs: SWAP_MS, transferDeadlineMs: SWAP_MS } as const;

/** With how many processors each is played. */
const scenes: Readonly<Record<string, readonly [number, (scene: Scene) => Promise<void>]>> = {
  shares: [2, shares],
  barrier: [2, barrier],
  validation: [2, validation],
  invalid: [1, invalid],
  latecomer: [2, latecomer],
  synchronousLatecomer: [3, synchronousLatecomer],
  order: [1, order],
  overflow: [1, overflow],
  deadline: [1, deadline],
  signal: [2, signal],
  lateExport: [2, lateExport],
  lateShare: [2, lateShare],
  reentry: [1, reentry],
  freeze: [1, freeze],
  thaw: [1, thaw],
};

export const transfers: Readonly<Record<string, () => Promise<void>>> = Object.fromEntries(
  Object.entries(scenes).map(([name, [processors, scene]]) => [
    `transfer:${name}`,
    () => Scene.play(processors, scene),
  ]),
);

/** Processors 0 and 1 call an object, so that each has a part of it. */
async function touched(scene: Scene): Promise<Coid<Later>> {
  const coid = create(LaterOne);
  await handle(coid).which();
  await scene.run(1, 'whichHere', coid);
  return coid;
}

/** The swap is decided when every part has been moved, and not before. */
async function shares(scene: Scene): Promise<void> {
  const coid = await touched(scene);
  scene.gates.shut(GATE.EXPORT, 1);
  const swapping = swap(coid, LaterTwo, OPTIONS);
  const state = watch(swapping);
  await until(
    () => state.settled || scene.gates.standing(GATE.EXPORT, 1) !== 0,
    'processor 1 to move its part, or the swap to be over',
  );
  await scene.settle();
  check(!state.settled, 'A swap was decided before every part was moved.');
  scene.gates.open(GATE.EXPORT, 1);
  await inTime(swapping, 'a swap to go through when all parts are moved');
  check((await handle(coid).which()) === 'two', 'the new object answers');
}

/** Imports that need all exports wait for them. */
async function barrier(scene: Scene): Promise<void> {
  const coid = await touched(scene);
  scene.gates.shut(GATE.EXPORT, 1);
  const swapping = swap(coid, StrictTwo, OPTIONS);
  watch(swapping);
  await scene.standing(GATE.EXPORT, 1);
  await scene.settle();
  check(scene.gates.count(COUNT.IMPORTS) === 0, 'An import began before all exports had ended.');
  scene.gates.open(GATE.EXPORT, 1);
  await inTime(swapping, 'a swap to go through when all parts are exported');
  check(scene.gates.count(COUNT.IMPORTS) === 3, 'three parts are imported');
}

/** The new object looks at itself when it is whole, everywhere. */
async function validation(scene: Scene): Promise<void> {
  const coid = await touched(scene);
  scene.gates.shut(GATE.IMPORT, 1);
  const swapping = swap(coid, StrictTwo, OPTIONS);
  watch(swapping);
  await scene.standing(GATE.IMPORT, 1);
  await scene.settle();
  const count = (): number => scene.gates.count(COUNT.VALIDATIONS);
  check(count() === 0, 'The new object was validated before every part was imported.');
  scene.gates.open(GATE.IMPORT, 1);
  await inTime(swapping, 'a swap to go through when all parts are imported');
  check(count() === 2, `The new object was validated ${count()} times.`);
}

/** A new object that is not as it should be does not serve. */
async function invalid(scene: Scene): Promise<void> {
  const coid = create(LaterOne);
  await handle(coid).which();
  scene.gates.invalid = true;
  const code = await refusal(inTime(swap(coid, StrictTwo, OPTIONS), 'a swap to end'));
  check(code === 'K42_SWAP_VALIDATION', `An invalid object was swapped in: ${code}`);
  check((await handle(coid).which()) === 'one', 'the old object answers');
}

/** A processor first touched now queues its call, and has it answered by the new object. */
async function latecomer(scene: Scene): Promise<void> {
  const coid = create(LaterOne);
  await handle(coid).which();
  scene.gates.shut(GATE.EXPORT, 0);
  const swapping = swap(coid, LaterTwo, OPTIONS);
  await scene.standing(GATE.EXPORT, 0);
  await scene.run(1, 'beginCall', 'late', coid, 'which');
  await scene.settle();
  scene.gates.open(GATE.EXPORT, 0);
  const { queued } = await inTime(swapping, 'a swap to go through');
  check(queued === 1, 'A swap was over before the queue of a latecomer was run.');
  const version = await inTime(
    scene.machine.run(1, 'end', ['late']),
    'the call of a latecomer to be answered',
  );
  check(version === 'two', `The call of a latecomer was answered by ${version}.`);
}

/** A synchronous call there waits for the outcome. */
async function synchronousLatecomer(scene: Scene): Promise<void> {
  const coid = await scene.run<Coid<Now>>(1, 'createHere');
  scene.gates.shut(GATE.EXPORT, 1, 'hard');
  const swapping = scene.machine.run<readonly number[]>(1, 'swapHere', [coid, OPTIONS]);
  watch(swapping);
  await scene.standing(GATE.EXPORT, 1);
  const late = scene.machine.run<Version>(2, 'whichHere', [coid]);
  const state = watch(late);
  await until(() => touchedProcessors(coid).includes(2), 'a latecomer to call');
  // Time to be answered, if anybody answers.
  await delay(100);
  check(!state.settled, 'A synchronous latecomer did not wait for the outcome.');
  scene.gates.open(GATE.EXPORT, 1);
  const version = await inTime(late, 'a synchronous latecomer to be answered');
  check(version === 'two', `A synchronous latecomer ran on the old object: ${version}`);
  const participants = await inTime(swapping, 'a swap to go through');
  check(participants.join() === '1', `participants are ${participants}`);
}

/** What waits runs in the order in which it came, each call in its caller's asynchronous context. */
async function order(scene: Scene): Promise<void> {
  const coid = create(LaterOne);
  await handle(coid).note(0);
  scene.gates.shut(GATE.EXPORT, 0);
  const swapping = swap(coid, LaterTwo, OPTIONS);
  await scene.standing(GATE.EXPORT, 0);
  const calls = [1, 2, 3, 4].map((n) => context.run(n, () => handle(coid).note(n)));
  scene.gates.open(GATE.EXPORT, 0);
  await inTime(Promise.all(calls), 'queued calls to be answered');
  await inTime(swapping, 'a swap to go through');
  const list = (await handle(coid).note(5)).join();
  check(list === '0,1,2,3,4,5', `Calls ran in the order ${list}.`);
  check(contexts.join() === ',1,2,3,4,', `Calls ran in the contexts ${contexts}, not in their callers'.`);
}

/** Too many calls end the swap, and not the calls. */
async function overflow(scene: Scene): Promise<void> {
  const coid = create(LaterOne);
  await handle(coid).note(0);
  scene.gates.shut(GATE.EXPORT, 0);
  const swapping = swap(coid, LaterTwo, { ...OPTIONS, queueBound: 3 });
  const code = refusal(swapping);
  await scene.standing(GATE.EXPORT, 0);
  const calls = [1, 2, 3, 4].map((n) => handle(coid).note(n));
  check(
    (await inTime(code, 'a swap to be given up for its queue')) === 'K42_SWAP_QUEUE_OVERFLOW',
    `a queue overflows: ${await code}`,
  );
  await inTime(Promise.all(calls), 'queued calls to be answered');
  scene.gates.open(GATE.EXPORT, 0);
  check((await handle(coid).note(5)).join() === '0,1,2,3,4,5', 'calls that waited ran in order');
}

/** The transfer has a deadline of its own. */
async function deadline(scene: Scene): Promise<void> {
  const coid = create(LaterOne);
  await handle(coid).which();
  scene.gates.shut(GATE.EXPORT, 0);
  const swapping = swap(coid, LaterTwo, { deadlineMs: SWAP_MS, transferDeadlineMs: 50 });
  const code = await inTime(refusal(swapping), 'a transfer to pass its deadline');
  check(code === 'K42_SWAP_DEADLINE', `a late transfer: ${code}`);
  check((await handle(coid).which()) === 'one', 'the old object answers');
  scene.gates.open(GATE.EXPORT, 0);
}

/** When the swap is given up, who waited anywhere goes on at once. */
async function signal(scene: Scene): Promise<void> {
  const coid = await touched(scene);
  scene.gates.shut(GATE.EXPORT, 0);
  const aborting = new AbortController();
  const code = refusal(swap(coid, LaterTwo, { ...OPTIONS, signal: aborting.signal }));
  await scene.standing(GATE.EXPORT, 0);
  await scene.run(1, 'beginCall', 'queued', coid, 'which');
  await scene.settle();
  aborting.abort();
  check(
    (await inTime(code, 'a swap to be given up by its signal')) === 'K42_SWAP_ABORTED',
    `a signal: ${await code}`,
  );
  const version = await inTime(
    scene.machine.run(1, 'end', ['queued']),
    'a queued call on another processor to be answered after an abort',
  );
  check(version === 'one', `A call was answered by ${version} after an abort.`);
  scene.gates.open(GATE.EXPORT, 0);
}

/** What an export brings after the swap was given up is dropped. */
async function lateExport(scene: Scene): Promise<void> {
  const coid = await touched(scene);
  const { gates } = scene;
  gates.shut(GATE.EXPORT, 1, 'hard');
  const aborting = new AbortController();
  const code = refusal(swap(coid, LaterTwo, { ...OPTIONS, signal: aborting.signal }));
  await scene.standing(GATE.EXPORT, 1);
  aborting.abort();
  await inTime(code, 'a swap to be given up by its signal');
  gates.open(GATE.EXPORT, 1);
  await scene.settle();
  check(gates.count(COUNT.IMPORTS, 1) === 0, 'A late export was imported.');
  check((await handle(coid).which()) === 'one', 'the old object answers');
}

/** Nothing that a share may still touch is freed, though clients go on. */
async function lateShare(scene: Scene): Promise<void> {
  const coid = await touched(scene);
  const { gates } = scene;
  gates.shut(GATE.EXPORT, 1);
  const aborting = new AbortController();
  const code = refusal(swap(coid, LaterTwo, { ...OPTIONS, signal: aborting.signal }));
  await scene.standing(GATE.EXPORT, 1);
  aborting.abort();
  await inTime(code, 'a swap to be given up by its signal');
  check((await scene.run(1, 'whichHere', coid)) === 'one', 'clients go on');
  await scene.settle();
  check(gates.count(COUNT.RECLAIMED_TWO) === 0, 'An object was freed that a share might still touch.');
  gates.open(GATE.EXPORT, 1);
  await until(() => gates.count(COUNT.RECLAIMED_TWO) === 1, 'the new object of a swap given up to be freed');
}

/** A share that calls the object it is moving is told so, for the two would wait for each other. */
async function reentry(_scene: Scene): Promise<void> {
  const coid = create(LaterOne);
  await handle(coid).which();
  callFromExports(coid);
  const code = await inTime(
    refusal(swap(coid, LaterTwo, OPTIONS)),
    'an export that calls its own object to be refused',
  );
  callFromExports(undefined);
  check(code === 'K42_SWAP_EXPORT', `an export that calls its own object: ${code}`);
  check((await handle(coid).which()) === 'one', 'the old object answers');
}

/** Background work has stopped before any part is moved. */
async function freeze(scene: Scene): Promise<void> {
  const coid = create(BusyOne);
  await handle(coid).which();
  scene.gates.shut(GATE.FREEZE, 0);
  const swapping = swap(coid, LaterTwo, OPTIONS);
  const state = watch(swapping);
  await scene.standing(GATE.FREEZE, 0);
  await scene.settle();
  check(!state.settled && scene.gates.count(COUNT.IMPORTS) === 0, 'A freeze was not awaited.');
  scene.gates.open(GATE.FREEZE, 0);
  await inTime(swapping, 'a swap to go through when background work has stopped');
}

/** It goes on when the swap is given up. */
async function thaw(scene: Scene): Promise<void> {
  const coid = create(BusyOne);
  await handle(coid).which();
  scene.gates.invalid = true;
  const code = await inTime(refusal(swap(coid, StrictTwo, OPTIONS)), 'a swap to end');
  check(code === 'K42_SWAP_VALIDATION', `an invalid object: ${code}`);
  await scene.settle();
  const thaws = scene.gates.count(COUNT.THAWS);
  check(thaws === 1, `Background work went on ${thaws} times after an abort.`);
}
