/**
 * Scenes of the stop point. Two of them stand in for the swaps themselves: which swaps hold a processor at once is a matter of
 * microseconds otherwise.
 */
import { type Coid, create, handle } from '@k42/clustered';
import { currentProcessor } from '@k42/rcu';
import { swap } from '../../src/index.ts';
import { StopPoint, type Stoppable } from '../../src/internal/stopPoint.ts';
import { beginThread, end, type Now, NowOne, NowTwo } from '../programs/gated.ts';
import { GATE } from '../programs/gates.ts';
import { check, inPhase, inTime, Scene, SWAP_MS, until, watch } from './scene.ts';

const scenes: Readonly<Record<string, readonly [number, (scene: Scene) => Promise<void>]>> = {
  ready: [2, ready],
  othersFirst: [1, othersFirst],
  budget: [1, budget],
};

export const stops: Readonly<Record<string, () => Promise<void>>> = Object.fromEntries(
  Object.entries(scenes).map(([name, [processors, scene]]) => [
    `stop:${name}`,
    () => Scene.play(processors, scene),
  ]),
);

/** Where there are synchronous methods a processor is ready only while it holds still. */
async function ready(scene: Scene): Promise<void> {
  const coid: Coid<Now> = create(NowOne);
  handle(coid).which();
  await scene.run(1, 'whichHere', coid);
  const { gates } = scene;
  gates.shut(GATE.CALL, 0);
  gates.shut(GATE.THREAD, 0);
  gates.shut(GATE.TURN, 1, 'hard');
  await scene.run(1, 'nothing');
  beginThread('holder', GATE.THREAD);
  const swapping = swap(coid, NowTwo, { deadlineMs: SWAP_MS, maxPauseMs: 200 });
  const state = watch(swapping);
  await inPhase(coid, 'forward');
  await scene.settle();
  const held = handle(coid).hold(GATE.CALL);
  gates.open(GATE.THREAD, 0);
  await end('holder');
  // Processor 0 is kept from being ready by a call; processor 1 has stopped by now, in vain.
  const { block } = await inPhase(coid, 'block');
  await scene.settle();
  const turn = scene.machine.run(1, 'stand');
  watch(turn);
  await scene.standing(GATE.TURN, 1);
  gates.open(GATE.CALL, 0);
  check((await held) === 'one', 'a forwarded call is on the old object');
  await scene.settle([0]);
  check(block.waiting().length !== 0, 'TRANSFER began while a processor was in the midst of a turn.');
  check(!state.settled, 'a swap waits for a processor');
  gates.open(GATE.TURN, 1);
  await inTime(swapping, 'a swap to go through when a turn has ended');
  check(handle(coid).which() === 'two', 'the new object answers');
}

/** A swap as the stop point sees it; it notes what it is told. */
class Standin implements Stoppable {
  pauseMs = 5;
  phase: 'block' | 'ready' | 'transfer' | 'decided' = 'block';
  readonly told: string[];
  readonly name: string;
  onReady: () => void = () => {};
  steps = 0;

  constructor(name: string, told: string[]) {
    this.name = name;
    this.told = told;
  }

  canBeReady(): boolean {
    return this.phase === 'block';
  }

  becomeReady(): void {
    this.phase = 'ready';
    this.told.push(`${this.name} ready`);
    this.onReady();
  }

  withdraw(): boolean {
    if (this.phase !== 'ready') return false;
    this.phase = 'block';
    this.told.push(`${this.name} withdrawn`);
    return true;
  }

  transferring(): boolean {
    return this.phase === 'transfer';
  }

  transfer(): void {
    this.told.push(`${this.name} transfers`);
    this.phase = 'decided';
  }

  decided(): boolean {
    return this.phase === 'decided';
  }

  stepLater(): void {
    this.steps++;
  }

  stopped(): void {}
}

/** Before user code of a share runs, the processor is no longer ready in anything else. */
async function othersFirst(_scene: Scene): Promise<void> {
  const told: string[] = [];
  const stop = new StopPoint(currentProcessor());
  const [moved, waiting] = [new Standin('moved', told), new Standin('waiting', told)];
  moved.onReady = () => {
    moved.phase = 'transfer';
  };
  // It joins the stop that the other one has begun.
  waiting.onReady = () => stop.enter(moved);
  stop.enter(waiting);
  const order = told.join(', ');
  check(
    order.indexOf('waiting withdrawn') !== -1 &&
      order.indexOf('waiting withdrawn') < order.indexOf('moved transfers'),
    `A share began while the processor was ready in another swap: ${order}.`,
  );
  check(waiting.steps === 1, 'who was sent away steps again');
}

/** After a stop in vain the event loop runs for a while before there is another. */
async function budget(_scene: Scene): Promise<void> {
  const told: string[] = [];
  const stop = new StopPoint(currentProcessor());
  const waiting = new Standin('waiting', told);
  waiting.pauseMs = 200;
  stop.enter(waiting);
  stop.enter(waiting);
  check(
    told.join() === 'waiting ready,waiting withdrawn',
    'A processor stopped again before its event loop had run.',
  );
  // As a swap would, whenever it is told to step; a timer may be early by less than a millisecond.
  let steps = 0;
  const stopsAgain = (): boolean => {
    if (waiting.steps === steps) return false;
    steps = waiting.steps;
    stop.enter(waiting);
    return told.length === 4;
  };
  await until(stopsAgain, 'a processor to stop again when its event loop has run');
}
