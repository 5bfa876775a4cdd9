/**
 * Scenes of FORWARD and BLOCK: what is on the old object is waited for, whatever needs it gets through, and the rest waits.
 */
import { type Coid, create, handle } from '@k42/clustered';
import { type SwapReport, swap } from '../../src/index.ts';
import {
  beginThread,
  end,
  type Later,
  LaterOne,
  LaterTwo,
  NowOne,
  NowTwo,
  type Version,
} from '../programs/gated.ts';
import { GATE } from '../programs/gates.ts';
import { check, inPhase, inTime, mediatorOf, Scene, SWAP_MS, until, watch } from './scene.ts';

const OPTIONS = { deadlineMs: SWAP_MS, transferDeadlineMs: SWAP_MS } as const;

/** With how many processors each is played. */
const scenes: Readonly<Record<string, readonly [number, (scene: Scene) => Promise<void>]>> = {
  threads: [2, threads],
  openCalls: [1, openCalls],
  forwardedCalls: [1, forwardedCalls],
  iterators: [1, iterators],
  transferable: [1, transferable],
  completing: [1, completing],
  keptRep: [1, keptRep],
  nested: [1, nested],
  elsewhere: [2, elsewhere],
  withdrawal: [2, withdrawal],
  leftBehind: [1, leftBehind],
};

export const forwarding: Readonly<Record<string, () => Promise<void>>> = Object.fromEntries(
  Object.entries(scenes).map(([name, [processors, scene]]) => [
    `forward:${name}`,
    () => Scene.play(processors, scene),
  ]),
);

/** The swap has gone through, and the new object answers. */
async function goesThrough(swapping: Promise<SwapReport>, coid: Coid<Later>, what: string): Promise<void> {
  await inTime(swapping, `a swap to go through when ${what} has ended`);
  const version = await inTime(handle(coid).which(), 'a call after the swap');
  check(version === 'two', `After the swap ${version} answers.`);
}

/**
 * Begins a swap on this processor, where a thread that has nothing to do with it holds it in FORWARD; what is called from now on
 * is forwarded and counted. The function given ends the thread, and waits for the phase after.
 */
async function heldInForward(
  scene: Scene,
  coid: Coid<object>,
  swapping: () => Promise<SwapReport>,
): Promise<[swapping: Promise<SwapReport>, goOn: () => Promise<void>]> {
  scene.gates.shut(GATE.THREAD, 0);
  beginThread('holder', GATE.THREAD);
  const promise = swapping();
  watch(promise);
  const { block } = await inPhase(coid, 'forward');
  // Everybody else has nothing of before: what is called there now is forwarded as well.
  await until(() => block.notElapsed().join() === '0', 'the other processors to have no threads of before');
  await scene.settle();
  return [
    promise,
    async () => {
      scene.gates.open(GATE.THREAD, 0);
      await inTime(end('holder'), 'a thread to end');
    },
  ];
}

/** Threads of before end on the old object first, on whichever processor; nobody else is held up meanwhile. */
async function threads(scene: Scene): Promise<void> {
  const coid = create(LaterOne);
  await handle(coid).which();
  scene.gates.shut(GATE.THREAD, 1);
  await scene.run(1, 'beginThread', 'thread', GATE.THREAD, coid);
  const swapping = swap(coid, LaterTwo, OPTIONS);
  const state = watch(swapping);
  await until(() => mediatorOf(coid) !== undefined || state.settled, 'a swap to begin');
  await scene.settle();
  check(!state.settled, 'A thread from before the swap was not waited for.');
  const forwarded = handle(coid).which();
  const call = watch(forwarded);
  await scene.settle();
  check(call.settled, 'A call was held back while a thread elsewhere was waited for.');
  check((await forwarded) === 'one', 'a call in FORWARD is forwarded');
  scene.gates.open(GATE.THREAD, 1);
  check((await scene.run(1, 'end', 'thread')) === 'one', 'a thread from before is on the old object');
  await goesThrough(swapping, coid, 'a thread');
}

/** A waiting call from before the swap is waited for, though it is no thread. */
async function openCalls(scene: Scene): Promise<void> {
  const coid = create(LaterOne);
  scene.gates.shut(GATE.CALL, 0);
  const parked = handle(coid).park(GATE.CALL);
  const swapping = swap(coid, LaterTwo, OPTIONS);
  const state = watch(swapping);
  await scene.settle();
  check(!state.settled, 'An open call from before the swap was not waited for.');
  scene.gates.open(GATE.CALL, 0);
  check((await inTime(parked, 'an open call to end')) === 'one', 'an open call is on the old object');
  await goesThrough(swapping, coid, 'an open call');
}

/** A call forwarded during the swap is waited for. */
async function forwardedCalls(scene: Scene): Promise<void> {
  const coid = create(LaterOne);
  const [swapping, goOn] = await heldInForward(scene, coid, () => swap(coid, LaterTwo, OPTIONS));
  const state = watch(swapping);
  scene.gates.shut(GATE.CALL, 0);
  const held = handle(coid).hold(GATE.CALL);
  await goOn();
  await scene.settle();
  check(!state.settled, 'A forwarded call was not waited for.');
  const late = handle(coid).which();
  scene.gates.open(GATE.CALL, 0);
  check((await inTime(held, 'a forwarded call to end')) === 'one', 'it is on the old object');
  check((await inTime(late, 'a call that has waited')) === 'two', 'A call in BLOCK was not held back.');
  await goesThrough(swapping, coid, 'a forwarded call');
}

/** An iterator that was given during the swap is waited for. */
async function iterators(scene: Scene): Promise<void> {
  const coid = create(NowOne);
  handle(coid).which();
  const [swapping, goOn] = await heldInForward(scene, coid, () => swap(coid, NowTwo, OPTIONS));
  const state = watch(swapping);
  const items = handle(coid).items();
  check(items.next().value === 'one', 'an iterator is of the old object');
  await goOn();
  await scene.settle();
  check(!state.settled, 'An iterator was not waited for.');
  items.return?.();
  await inTime(swapping, 'a swap to go through when an iterator has ended');
  check(handle(coid).which() === 'two', 'the new object answers');
}

/** A transferable call is taken along: it holds nothing up, and is ended by the new object. */
async function transferable(scene: Scene): Promise<void> {
  const coid = create(LaterOne);
  const before = handle(coid).pop();
  const [swapping, goOn] = await heldInForward(scene, coid, () => swap(coid, LaterTwo, OPTIONS));
  const during = handle(coid).pop();
  await goOn();
  await inTime(swapping, 'a swap that takes open calls along');
  await handle(coid).push(1);
  await handle(coid).push(2);
  const items = await inTime(Promise.all([before, during]), 'transferred calls to end');
  check(items.join() === '1,2', `transferred calls ended with ${items}`);
}

/** In BLOCK a call that others wait for gets through. */
async function completing(scene: Scene): Promise<void> {
  const coid = create(LaterOne);
  const [swapping, goOn] = await heldInForward(scene, coid, () => swap(coid, LaterTwo, OPTIONS));
  const taken = handle(coid).take();
  await goOn();
  await inPhase(coid, 'block');
  await scene.settle();
  await inTime(handle(coid).push(7), 'a completing call in BLOCK');
  check((await inTime(taken, 'a call that was completed')) === 7, 'the item is given');
  await goesThrough(swapping, coid, 'a waiting call');
}

/** A Rep that a thread has kept from the midst of a swap leads to whatever the object is by then. */
async function keptRep(scene: Scene): Promise<void> {
  const coid = create(LaterOne);
  const [swapping, goOn] = await heldInForward(scene, coid, () => swap(coid, LaterTwo, OPTIONS));
  scene.gates.shut(GATE.CALL, 0);
  // Until there is a call the slot has the default object, which leads to the table by itself.
  await handle(coid).which();
  beginThread('keeper', GATE.CALL, coid);
  await goOn();
  await goesThrough(swapping, coid, 'a thread from before');
  scene.gates.open(GATE.CALL, 0);
  const version = await inTime(end('keeper'), 'a call by a Rep that was kept');
  check(version === 'two', `A kept Rep leads to ${version}.`);
}

/** A forwarded call that calls the object again gets through: it would never end otherwise. */
async function nested(scene: Scene): Promise<void> {
  const coid = create(LaterOne);
  const [swapping, goOn] = await heldInForward(scene, coid, () => swap(coid, LaterTwo, OPTIONS));
  scene.gates.shut(GATE.CALL, 0);
  const nesting = handle(coid).holdThenCall(GATE.CALL, coid);
  await goOn();
  await inPhase(coid, 'block');
  scene.gates.open(GATE.CALL, 0);
  const version = await inTime(nesting, 'a call that a forwarded call has made');
  check(version === 'one', `The call of a forwarded call was answered by ${version}.`);
  await goesThrough(swapping, coid, 'a nested call');
}

/** So does one that it makes through another processor. */
async function elsewhere(scene: Scene): Promise<void> {
  const coid = create(LaterOne);
  await scene.run(1, 'whichHere', coid);
  const [swapping, goOn] = await heldInForward(scene, coid, () => swap(coid, LaterTwo, OPTIONS));
  scene.gates.shut(GATE.CALL, 0);
  const nesting = handle(coid).holdThenCallOn(GATE.CALL, 1, coid);
  await goOn();
  await inPhase(coid, 'block');
  await scene.settle();
  scene.gates.open(GATE.CALL, 0);
  const version = await inTime(nesting, 'a call that a forwarded call has made on another processor');
  check(version === 'one', `The call of a forwarded call was answered by ${version} elsewhere.`);
  await goesThrough(swapping, coid, 'a nested call');
}

/** A processor that was ready and forwards a call after all is waited for again. */
async function withdrawal(scene: Scene): Promise<void> {
  const { gates } = scene;
  const coid = create(LaterOne);
  await handle(coid).which();
  await scene.run(1, 'whichHere', coid);
  const [swapping, goOn] = await heldInForward(scene, coid, () => swap(coid, LaterTwo, OPTIONS));
  const state = watch(swapping);
  gates.shut(GATE.CALL, 1);
  gates.shut(GATE.THIRD_CALL, 1);
  gates.shut(GATE.OTHER_CALL, 0);
  // A call on processor 1 keeps the swap in BLOCK, calls the object on this one, and ends before that call does.
  await scene.run(1, 'beginCall', 'held', coid, 'startOn', [
    GATE.CALL,
    0,
    coid,
    GATE.OTHER_CALL,
    GATE.THIRD_CALL,
  ]);
  await goOn();
  const { block } = await inPhase(coid, 'block');
  await until(() => block.waiting().join() === '1', 'processor 0 to be ready');
  gates.open(GATE.CALL, 1);
  await scene.standing(GATE.OTHER_CALL, 0);
  gates.open(GATE.THIRD_CALL, 1);
  await scene.run(1, 'end', 'held');
  await scene.settle();
  check(!state.settled, 'A marked call on the old object was not waited for.');
  gates.open(GATE.OTHER_CALL, 0);
  const version = await scene.run<Version>(1, 'end', 'left');
  check(version === 'one', `A marked call was answered by ${version}.`);
  await goesThrough(swapping, coid, 'a marked call');
}

/** What a forwarded call has left behind is no part of it. */
async function leftBehind(scene: Scene): Promise<void> {
  const coid = create(LaterOne);
  const [swapping, goOn] = await heldInForward(scene, coid, () => swap(coid, LaterTwo, OPTIONS));
  scene.gates.shut(GATE.CALL, 0);
  scene.gates.shut(GATE.OTHER_CALL, 0);
  const held = handle(coid).hold(GATE.CALL);
  await inTime(handle(coid).leave(GATE.OTHER_CALL, coid), 'a call that leaves something behind');
  await goOn();
  await inPhase(coid, 'block');
  scene.gates.open(GATE.OTHER_CALL, 0);
  await scene.settle();
  scene.gates.open(GATE.CALL, 0);
  await inTime(held, 'a forwarded call to end');
  const version = await inTime(end('left'), 'what was left behind to call');
  check(version === 'two', 'What a forwarded call had left behind was taken for a part of it.');
  await goesThrough(swapping, coid, 'a forwarded call');
}
