/**
 * Deaths of a participant and of an initiator at operations on shared memory, and at moments, chosen at random.
 *
 * What becomes of the swap is not known beforehand: it goes through everywhere or nowhere, and everything else is as after a death
 * at a chosen point.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Machine } from '@k42/rcu';
import { randomFrom, seedOf } from '@k42/tooling/random';
import { swap, swapsInProgress } from '../../src/index.ts';
import { type Kind, versionOf } from '../programs/tally.ts';
import { AT, STEP } from '../programs/tallyControls.ts';
import {
  addProcessor,
  type Counts,
  check,
  codeOf,
  inTime,
  outcomeOf,
  STOPPING,
  Stage,
  type Victim,
  WAIT_MS,
} from './harness.ts';

const VICTIM = 2;
/** What a swap may say when somebody has died. */
const EXPECTED = ['K42_SWAP_PROCESSOR_GONE', 'K42_PROCESSOR_GONE'];
/** A death may cost what was being made or freed: an object and a Mediator, and a chunk of an arena that nobody knew yet. */
const BYTES_PER_DEATH = 2560 + 65_536;

interface Life {
  readonly stage: Stage;
  readonly victim: Victim;
  /** What is swapped to. */
  readonly version: number;
  /** How many there were before. */
  readonly life: number;
}

/** A swap during which the victim is made to die; whether it went through. */
async function swapWithDeath(
  { stage, victim, version }: Life,
  byVictim: boolean,
  die: () => void,
): Promise<boolean> {
  const { machine, coid, kind } = stage;
  // One that is so late is not held up by the dead alone.
  const options = { argument: false, deadlineMs: 6000 };
  const swapped = outcomeOf<unknown>(
    byVictim
      ? machine.run(VICTIM, 'swapHere', [coid, kind, version, options])
      : swap(coid, versionOf(kind, version), options),
  );
  die();
  const outcome = await inTime(swapped, 'a swap to end when a processor has died');
  // It may not have come to its end by itself.
  victim.kill();
  await victim.gone();
  if ('error' in outcome) {
    const code = String(codeOf(outcome.error));
    check(EXPECTED.includes(code), `the swap failed with ${code}: ${outcome.error}`);
  }
  const end = performance.now() + WAIT_MS;
  while ((await swapsInProgress()).length !== 0)
    check(performance.now() < end, 'a swap is still in progress');
  const serves = await stage.servedVersion();
  if (!byVictim)
    check((serves === version) === !('error' in outcome), `version ${serves} serves: ${outcome}`);
  return serves === version;
}

async function lives(
  machine: Machine,
  kind: Kind,
  count: number,
  one: (life: Life) => Promise<boolean>,
): Promise<Counts> {
  const stage = new Stage(machine, kind);
  const victims: Victim[] = [];
  try {
    stage.controls.set(AT.TORN, count);
    stage.startCallers([0, 1]);
    let through = 0;
    for (let life = 0; life < count; life++) {
      const victim = await stage.victim();
      victims.push(victim);
      check(victim.number === VICTIM, `the victim is processor ${victim.number}`);
      await stage.touch([0, 1, VICTIM]);
      stage.startCallers([VICTIM]);
      const version = (await stage.servedVersion()) === 1 ? 2 : 1;
      if (await one({ stage, victim, version, life })) through++;
      await stage.swapAgain(1);
    }
    const successor = await addProcessor(stage.machine);
    await stage.swapAgain(successor);
    const { calls, ofTheDead } = await stage.stopCallers();
    await stage.audit(count);
    await machine.remove(successor);
    const lost = await stage.close(count * BYTES_PER_DEATH);
    return { deaths: count, through, failed: count - through, calls, ofTheDead, lost };
  } finally {
    stage.stop();
    for (const victim of victims) await victim.end();
  }
}

/** At the n-th operation of the victim's thread since the swap began. */
export function atOperations(
  machine: Machine,
  kind: Kind,
  seed: number,
  count: number,
  nths?: readonly number[],
): Promise<Counts> {
  const random = randomFrom(seedOf(seed, kind === 'calm' ? 1 : 2));
  return lives(machine, kind, count, async (life) => {
    const { controls } = life.stage;
    const nth = nths?.[life.life] ?? 1 + random(800);
    await machine.run(VICTIM, { module: STOPPING, name: 'stopAtOperations' });
    const byVictim = random(2) === 0;
    try {
      life.victim.killAt(STEP.ATOMIC);
      return await swapWithDeath(life, byVictim, () => controls.arm(STEP.ATOMIC, VICTIM, nth));
    } catch (error) {
      throw new Error(`at operation ${nth}, ${byVictim ? 'initiator' : 'participant'}: ${error}`, {
        cause: error,
      });
    } finally {
      controls.open(STEP.ATOMIC);
    }
  });
}

/** At a moment within some milliseconds from the beginning of a swap. */
export function atRandom(machine: Machine, kind: Kind, seed: number, count: number): Promise<Counts> {
  const random = randomFrom(seedOf(seed, kind === 'calm' ? 3 : 4));
  return lives(machine, kind, count, async (life) => {
    const afterMs = random(12);
    const byVictim = random(2) === 0;
    try {
      return await swapWithDeath(life, byVictim, () => void delay(afterMs).then(() => life.victim.kill()));
    } catch (error) {
      throw new Error(
        `life ${life.life}, after ${afterMs} ms, ${byVictim ? 'initiator' : 'participant'}: ${error}`,
        {
          cause: error,
        },
      );
    }
  });
}
