/**
 * Scenes of what comes after the decision: ownership passes once, the table is swung, what has waited runs first, and nothing is
 * freed that anybody may use.
 */
import { type Coid, create, handle } from '@k42/clustered';
import { currentRoot, rootView } from '@k42/clustered/interpose';
import { swap } from '../../src/index.ts';
import { MediatorRoot } from '../../src/mediator.ts';
import { beginThread, end, type Later, LaterOne, LaterTwo, whenAdopting } from '../programs/gated.ts';
import { COUNT, GATE } from '../programs/gates.ts';
import { check, inPhase, inTime, mediatorOf, refusal, Scene, SWAP_MS, until, watch } from './scene.ts';

const OPTIONS = { deadlineMs: SWAP_MS, transferDeadlineMs: SWAP_MS } as const;

/** With how many processors each is played. */
const scenes: Readonly<Record<string, readonly [number, (scene: Scene) => Promise<void>]>> = {
  handOver: [2, handOver],
  decidedOnce: [1, decidedOnce],
  slot: [1, slot],
  everybody: [2, everybody],
  threads: [2, threads],
  swing: [2, swing],
  earlierQueue: [2, earlierQueue],
  refused: [1, refused],
};

export const ends: Readonly<Record<string, () => Promise<void>>> = Object.fromEntries(
  Object.entries(scenes).map(([name, [processors, scene]]) => [
    `end:${name}`,
    () => Scene.play(processors, scene),
  ]),
);

/** Ownership passes once. */
async function handOver(scene: Scene): Promise<void> {
  const coid = create(LaterOne);
  await handle(coid).which();
  await scene.run(1, 'whichHere', coid);
  await inTime(swap(coid, LaterTwo, OPTIONS), 'a swap to go through');
  await scene.settle();
  const times = scene.gates.count(COUNT.ADOPTIONS);
  check(times === 1, `Ownership passed ${times} times.`);
}

/** What is decided stays decided, whoever wants to give up now. */
async function decidedOnce(_scene: Scene): Promise<void> {
  const coid = create(LaterOne);
  await handle(coid).which();
  const aborting = new AbortController();
  whenAdopting(() => aborting.abort());
  const code = await inTime(
    refusal(swap(coid, LaterTwo, { ...OPTIONS, signal: aborting.signal })),
    'a swap to end',
  );
  whenAdopting(undefined);
  check(code === undefined, `A swap that was decided was given up: ${code}`);
  check((await handle(coid).which()) === 'two', 'the new object answers');
}

/** After the swap calls go where they went before it: through the slot to the Rep, and through nothing else. */
async function slot(scene: Scene): Promise<void> {
  const coid = create(LaterOne);
  const object = handle(coid);
  const inSlot = (): object => Reflect.get(object, '$rep') as object;
  await object.which();
  const ownClass = inSlot().constructor;
  scene.gates.shut(GATE.EXPORT, 0);
  const swapping = swap(coid, LaterTwo, OPTIONS);
  await scene.standing(GATE.EXPORT, 0);
  const queued = object.which();
  const mediating = inSlot();
  check(mediating.constructor !== ownClass, 'in a swap calls go through the Mediator');
  scene.gates.open(GATE.EXPORT, 0);
  await inTime(swapping, 'a swap to go through');
  check((await queued) === 'two', 'a queued call is answered by the new object');
  check(inSlot() !== mediating, 'The slot was left on the Mediator.');
  check((await object.which()) === 'two', 'the new object answers');
  check(inSlot().constructor === ownClass, `After a swap the slot has a ${inSlot().constructor.name}.`);
}

/** A swap is over when every processor has done its part. */
async function everybody(scene: Scene): Promise<void> {
  const coid = create(LaterOne);
  await handle(coid).which();
  await scene.run(1, 'whichHere', coid);
  const { gates } = scene;
  gates.shut(GATE.IMPORT, 0);
  const swapping = swap(coid, LaterTwo, OPTIONS);
  const state = watch(swapping);
  const { block } = await inPhase(coid, 'transfer');
  await until(() => block.sharesMissing().join() === '0', 'processor 1 to have moved its part');
  gates.shut(GATE.TURN, 1, 'hard');
  watch(scene.machine.run(1, 'stand'));
  await scene.standing(GATE.TURN, 1);
  gates.open(GATE.IMPORT, 0);
  await until(() => mediatorOf(coid) === undefined, 'the swap to be decided');
  await scene.settle([0]);
  check(!state.settled, 'A swap was over before every processor had done its part.');
  gates.open(GATE.TURN, 1);
  const { processors } = await inTime(swapping, 'a swap to be over');
  check(processors.size === 2, 'the report is of both processors');
}

/** A thread that has begun before a processor lets go of the swap is waited for, before the old object is freed. */
async function threads(scene: Scene): Promise<void> {
  const coid = create(LaterOne);
  await handle(coid).which();
  await scene.run(1, 'whichHere', coid);
  const { gates } = scene;
  gates.shut(GATE.EXPORT, 0);
  const swapping = swap(coid, LaterTwo, OPTIONS);
  await scene.standing(GATE.EXPORT, 0);
  gates.shut(GATE.THREAD, 1);
  await scene.run(1, 'beginThread', 'thread', GATE.THREAD);
  gates.open(GATE.EXPORT, 0);
  await inTime(swapping, 'a swap to go through');
  await scene.settle();
  check(gates.count(COUNT.RECLAIMED_ONE) === 0, 'An object was freed while a thread might still use it.');
  gates.open(GATE.THREAD, 1);
  await until(() => gates.count(COUNT.RECLAIMED_ONE) === 1, 'the old object to be freed');
}

/**
 * Processor 1 has moved its part and stands; the swap is decided, and the next one has begun before it goes on.
 * @param queued whether calls wait on processor 1
 */
async function nextSwapBegins(
  scene: Scene,
  turn: (coid: number) => Promise<unknown>,
  queued: boolean,
): Promise<[coid: Coid<Later>, turned: Promise<unknown>, over: () => Promise<void>]> {
  const coid = create(LaterOne);
  await handle(coid).which();
  await scene.run(1, 'whichHere', coid);
  const { gates } = scene;
  gates.shut(GATE.IMPORT, 0);
  const first = swap(coid, LaterTwo, OPTIONS);
  watch(first);
  const { block } = await inPhase(coid, 'transfer');
  await until(() => block.sharesMissing().join() === '0', 'processor 1 to have moved its part');
  if (queued) for (const n of [1, 2]) await scene.run(1, 'beginCall', `note ${n}`, coid, 'note', [n]);
  gates.shut(GATE.TURN, 1, 'hard');
  const turned = turn(coid);
  watch(turned);
  await scene.standing(GATE.TURN, 1);
  gates.open(GATE.IMPORT, 0);
  await until(() => mediatorOf(coid) === undefined, 'the swap to be decided');
  gates.shut(GATE.THREAD, 0);
  beginThread('holder', GATE.THREAD);
  const second = swap(coid, LaterOne, OPTIONS);
  watch(second);
  await inPhase(coid, 'forward');
  gates.open(GATE.TURN, 1);
  return [
    coid,
    turned,
    async () => {
      gates.open(GATE.THREAD, 0);
      await inTime(Promise.all([end('holder'), first, second]), 'both swaps to go through');
    },
  ];
}

/** Who is late swings the table from its own swap's Mediator, and from no other. */
async function swing(scene: Scene): Promise<void> {
  const [coid, turned, over] = await nextSwapBegins(scene, () => scene.machine.run(1, 'stand'), false);
  await inTime(turned, 'a turn to end');
  await scene.settle();
  check(
    rootView(currentRoot(coid)) instanceof MediatorRoot,
    'The next swap was taken out of the table by the one before.',
  );
  await over();
}

/** What has waited for a swap runs before anything that comes by way of the next. */
async function earlierQueue(scene: Scene): Promise<void> {
  const turn = (coid: number): Promise<unknown> => scene.machine.run(1, 'standThenStep', [coid, 3]);
  const [, turned, over] = await nextSwapBegins(scene, turn, true);
  const list = String(await inTime(turned, 'a call by way of the next swap'));
  check(list === '1,2,3', `Calls that had waited were overtaken by way of the next swap: ${list}.`);
  await over();
}

/** A swap that comes second leaves nothing of what it has made. */
async function refused(scene: Scene): Promise<void> {
  const coid = create(LaterOne);
  await handle(coid).which();
  const first = swap(coid, LaterTwo, OPTIONS);
  const code = await inTime(refusal(swap(coid, LaterTwo, OPTIONS)), 'a second swap to be refused');
  check(code === 'K42_SWAP_IN_PROGRESS', `a second swap: ${code}`);
  check(scene.gates.count(COUNT.RECLAIMED_TWO) === 1, 'What a refused swap had made was left behind.');
  await inTime(first, 'the first swap to go through');
}
