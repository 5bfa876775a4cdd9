/**
 * Scenes of deaths at chosen points of a swap: it goes on without the dead where nothing is lost with them, and is given up
 * elsewhere.
 */
import { type Coid, create, handle } from '@k42/clustered';
import { currentRoot, implementationOf } from '@k42/clustered/interpose';
import { swap } from '../../src/index.ts';
import { type Later, LaterOne, LaterTwo } from '../programs/gated.ts';
import { COUNT, GATE } from '../programs/gates.ts';
import { check, holdUntil, inPhase, inTime, refusal, Scene, SWAP_MS, until, Victim, watch } from './scene.ts';

const OPTIONS = { deadlineMs: SWAP_MS, transferDeadlineMs: SWAP_MS } as const;

const scenes = { beforeTransfer, inShare, inHandOver, initiator, alone };

export const deaths: Readonly<Record<string, () => Promise<void>>> = Object.fromEntries(
  Object.entries(scenes).map(([name, scene]) => [
    `death:${name}`,
    () =>
      Scene.play(
        1,
        async (stage) => {
          const victim = await Victim.join(stage.machine);
          await stage.machine.load(new URL('../programs/gated.ts', import.meta.url));
          await scene(stage, victim);
        },
        1,
      ),
  ]),
);

/** An object that the victim and this processor have called. */
async function touched(scene: Scene, victim: Victim): Promise<Coid<Later>> {
  const coid = create(LaterOne);
  await handle(coid).which();
  await scene.run(victim.number, 'whichHere', coid);
  return coid;
}

/** Whoever has not begun its share has nothing that is missed. */
async function beforeTransfer(scene: Scene, victim: Victim): Promise<void> {
  const coid = await touched(scene, victim);
  scene.gates.shut(GATE.THREAD, victim.number);
  await scene.run(victim.number, 'beginThread', 'thread', GATE.THREAD);
  const swapping = swap(coid, LaterTwo, OPTIONS);
  watch(swapping);
  await inPhase(coid, 'forward');
  await victim.kill();
  const { participants } = await inTime(swapping, 'a swap to go on without the dead');
  check(participants.join() === '0', `participants are ${participants}`);
}

/** What a share has begun to move is neither here nor there. */
async function inShare(scene: Scene, victim: Victim): Promise<void> {
  const coid = await touched(scene, victim);
  scene.gates.shut(GATE.EXPORT, victim.number);
  const code = refusal(swap(coid, LaterTwo, OPTIONS));
  await scene.standing(GATE.EXPORT, victim.number);
  const { block } = await inPhase(coid, 'transfer');
  await until(
    () => block.sharesMissing().join() === String(victim.number),
    'this processor to have moved its part',
  );
  await victim.kill();
  const said = await inTime(code, 'a swap to end when a processor has died in its share');
  check(said === 'K42_SWAP_PROCESSOR_GONE', `A swap went through without a part: ${said}`);
  check((await handle(coid).which()) === 'one', 'the old object answers');
}

/** Whoever passes ownership on may die in it: another does it again. */
async function inHandOver(scene: Scene, victim: Victim): Promise<void> {
  const coid = await touched(scene, victim);
  const { gates } = scene;
  gates.shut(GATE.IMPORT, victim.number);
  gates.shut(GATE.ADOPT, victim.number);
  const swapping = swap(coid, LaterTwo, OPTIONS);
  watch(swapping);
  const { block } = await inPhase(coid, 'transfer');
  await until(
    () => block.sharesMissing().join() === String(victim.number),
    'this processor to have moved its part',
  );
  gates.open(GATE.IMPORT, victim.number);
  // In this very turn, lest this processor decides the swap.
  holdUntil(() => gates.standing(GATE.ADOPT, victim.number) !== 0, 'the victim to pass ownership on');
  await victim.kill();
  await inTime(swapping, 'a swap to go through when a processor has died as it passed ownership on');
  const times = gates.count(COUNT.ADOPTIONS);
  check(times === 2, `Ownership passed ${times} times.`);
  check((await handle(coid).which()) === 'two', 'the new object answers');
}

/** The swap of one that is gone is given up, and what it has made is freed. */
async function initiator(scene: Scene, victim: Victim): Promise<void> {
  const coid = await touched(scene, victim);
  const { gates } = scene;
  gates.shut(GATE.THREAD, victim.number);
  await scene.run(victim.number, 'beginThread', 'thread', GATE.THREAD);
  watch(scene.machine.run(victim.number, 'swapHere', [coid, OPTIONS]));
  await inPhase(coid, 'forward');
  await victim.kill();
  await until(() => !implementationOf(currentRoot(coid)).standsIn, 'the swap of a dead initiator to end');
  check((await handle(coid).which()) === 'one', 'The swap of a dead initiator went through.');
  await until(() => gates.count(COUNT.RECLAIMED_TWO) === 1, 'what a dead initiator had made to be freed');
  await inTime(swap(coid, LaterTwo, OPTIONS), 'the next swap to go through');
}

/** The same where nobody else knows of the swap, after it was decided: the host finds it in the table and sees to its end. */
async function alone(scene: Scene, victim: Victim): Promise<void> {
  const coid = create(LaterOne);
  const { gates } = scene;
  gates.shut(GATE.ADOPT, victim.number);
  watch(scene.machine.run(victim.number, 'swapHere', [coid, OPTIONS]));
  await scene.standing(GATE.ADOPT, victim.number);
  await victim.kill();
  const version = await inTime(handle(coid).which(), 'a call on an object whose swap nobody sees to');
  check(version === 'two', `A swap that was decided was undone by a death: ${version} answers.`);
  await until(() => gates.count(COUNT.ADOPTIONS) === 2, 'ownership to be passed on again');
  await until(() => gates.count(COUNT.RECLAIMED_ONE) === 1, 'what a dead initiator had made to be freed');
}
