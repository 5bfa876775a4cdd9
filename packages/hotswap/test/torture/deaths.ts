/**
 * Deaths at chosen points of a swap: of a participant, of the one that began it, of a processor that came late.
 *
 * The victim stands at a gate, and a thread that is no processor kills it there. Afterwards the swap has gone through on every
 * living processor or on none, for a reason that says so; every call of the living has run once and in order; a retry works;
 * whoever has the dead one's number next takes part as it did; and nothing is left but what the scene says.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Machine } from '@k42/rcu';
import { swap, swapsInProgress } from '../../src/index.ts';
import { exchange } from '../../src/internal/exchange.ts';
import { PHASE } from '../../src/internal/layout.ts';
import { type Kind, versionOf } from '../programs/tally.ts';
import { AT, STEP, type Step } from '../programs/tallyControls.ts';
import {
  addProcessor,
  type Counts,
  check,
  codeOf,
  inTime,
  mediatorIn,
  type Outcome,
  outcomeOf,
  STOPPING,
  Stage,
  until,
  type Victim,
  WAIT_MS,
} from './harness.ts';

export type Role = 'participant' | 'initiator';

const HOST = 0;
const OTHER = 1;
export const VICTIM = 2;

interface Setting {
  readonly stage: Stage;
  readonly victim: Victim;
  readonly kind: Kind;
  readonly role: Role;
}

type Act = (setting: Setting) => Promise<void> | void;

/** A way to die. */
export interface Scene {
  /** Before the swap begins. */
  readonly before?: Act;
  /** While it goes on, until the victim is dead or about to be. */
  readonly during?: Act;
  /** Whether the swap goes through without it. */
  readonly goesThrough: Readonly<Record<Role, boolean>>;
  readonly kinds?: readonly Kind[];
  readonly roles?: readonly Role[];
  /** Who has called the object before. */
  readonly touched?: readonly number[];
  /** Who begins the swap, where the victim does not: by default the host. */
  readonly begunBy?: number;
  readonly maxPauseMs?: number;
  /** The victim may not come to its point in one swap: then there is another one. */
  readonly isByChance?: boolean;
  /** How often each half of the hand-over is made in this swap, at least. */
  readonly adopted?: number;
  /** Bytes that the death may cost. */
  readonly bytesLost?: number;
}

const EVERYBODY = [HOST, OTHER, VICTIM];
/** Whoever began it is missed until it is decided. */
const WITHOUT_IT = { participant: true, initiator: false };
const NEVER = { participant: false, initiator: false };
const ALWAYS = { participant: true, initiator: true };

/** It takes no part, and is not stopped. */
const HOST_LOOKS_ON = { touched: [OTHER, VICTIM], begunBy: OTHER };

/** What a new Root takes: a record, its state, its shares. */
const OBJECT_BYTES = 192;
/** And what an object that has been called takes together with a Mediator. */
const RECLAIMED_BYTES = 2560;

function atGate(step: Step, passes = 0): Act {
  return ({ stage, victim }) => {
    stage.controls.arm(step, VICTIM, passes);
    victim.killAt(step);
  };
}

/** Just after it has opened a phase, before it has told anybody. */
function afterOpening(phase: bigint): Act {
  return async (setting) => {
    const { stage } = setting;
    stage.controls.set(AT.PHASE, Number(phase));
    await stage.machine.run(VICTIM, { module: STOPPING, name: 'stopAtPhases' });
    await atGate(STEP.PHASE)(setting);
  };
}

/** Validates last, and decides the swap therefore. */
const decides: Act = ({ stage: { controls } }) => {
  controls.set(AT.VALIDATED, 0);
  controls.set(AT.OTHERS, EVERYBODY.length - 1);
  controls.set(AT.LAST, 1 + VICTIM);
};

const all =
  (...acts: readonly Act[]): Act =>
  async (setting) => {
    for (const act of acts) await act(setting);
  };

/** A thread that is older than the swap lasts until it is let go. */
const threadOn =
  (number: number): Act =>
  async ({ stage: { machine, controls } }) => {
    controls.set(AT.LINGER_THREAD, 1);
    machine.call(number, 'lingerInThread').catch(() => {});
    await machine.run(number, 'auditHere', []).catch(() => {});
  };
const endThreads: Act = ({ stage }) => stage.controls.set(AT.LINGER_THREAD, 0);

/** A call on the old object, begun in FORWARD, lasts until it is let go: the swap stays in BLOCK. */
const callOn =
  (number: number): Act =>
  async ({ stage }) => {
    const { machine, controls, coid } = stage;
    await mediatorIn(coid, 'forward');
    await stage.heardOf([number]);
    controls.set(AT.LINGER_CALL, 1);
    await machine.run(number, 'begin', [coid, 'linger', 0, 0]);
  };
const endCalls: Act = ({ stage }) => stage.controls.set(AT.LINGER_CALL, 0);

const inBlock: Act = async ({ stage }) => {
  await mediatorIn(stage.coid, 'block');
};

const kill: Act = ({ victim }) => victim.kill();

/** A call of the victim's that waits for the outcome. */
const queueOnVictim =
  (method: 'addAtGate' | 'addLater'): Act =>
  async ({ stage }) => {
    await stage.machine.run(VICTIM, 'begin', [stage.coid, method, stage.newCaller(), 1]);
  };

/** Another one stands in its validation, while the victim comes to the end of its share. */
const otherStands: Act = ({ stage }) => stage.controls.arm(STEP.VALIDATE, OTHER);
const whenDone: Act = async ({ stage, victim }) => {
  const { block } = await mediatorIn(stage.coid, 'transfer');
  await until(
    () => stage.controls.standsAt(STEP.VALIDATE) && !block.sharesMissing().includes(VICTIM),
    () => `the victim alone to have done its share; missing: ${block.sharesMissing()}`,
  );
  victim.kill();
  await victim.gone();
  stage.controls.open(STEP.VALIDATE);
};

export const scenes: Readonly<Record<string, Scene>> = {
  'in FORWARD, with a thread': {
    goesThrough: WITHOUT_IT,
    before: threadOn(VICTIM),
    during: async ({ stage, victim }) => {
      const { block } = await mediatorIn(stage.coid, 'forward');
      await delay(5);
      check(block.notElapsed().includes(VICTIM), 'The victim has no thread.');
      victim.kill();
    },
  },
  'having just opened BLOCK': {
    goesThrough: WITHOUT_IT,
    before: all(threadOn(VICTIM), afterOpening(PHASE.BLOCK)),
    during: async (setting) => {
      const { block } = await mediatorIn(setting.stage.coid, 'forward');
      await until(
        () => block.notElapsed().join() === String(VICTIM),
        () => `the others to have no threads: ${block.notElapsed()}`,
      );
      await endThreads(setting);
    },
  },
  'in BLOCK, with a forwarded call': {
    goesThrough: WITHOUT_IT,
    before: threadOn(OTHER),
    during: all(callOn(VICTIM), endThreads, inBlock, kill),
  },
  'in a freeze': { goesThrough: WITHOUT_IT, before: atGate(STEP.FREEZE) },
  'at a stop point': {
    goesThrough: WITHOUT_IT,
    kinds: ['sync'],
    maxPauseMs: 200,
    before: threadOn(HOST),
    during: all(callOn(HOST), endThreads, async ({ stage, victim }) => {
      const view = await mediatorIn(stage.coid, 'block');
      // Whoever hears of an arrival stops, each time longer, and in vain while the host's call lasts.
      const end = performance.now() + 300;
      await until(
        () => {
          exchange().announce(view);
          return performance.now() > end && !view.block.waiting().includes(VICTIM);
        },
        () => 'the victim to be stopped',
      );
      victim.kill();
      await victim.gone();
    }),
  },
  'having just opened TRANSFER': {
    goesThrough: WITHOUT_IT,
    // Who is the last to stop cannot be chosen.
    kinds: ['calm'],
    before: all(threadOn(OTHER), afterOpening(PHASE.TRANSFER)),
    during: all(callOn(VICTIM), endThreads, async (setting) => {
      const { block } = await mediatorIn(setting.stage.coid, 'block');
      await until(
        () => block.waiting().join() === String(VICTIM),
        () => `the others to be ready: ${block.waiting()}`,
      );
      await endCalls(setting);
    }),
  },
  'in its first export': { goesThrough: NEVER, before: atGate(STEP.EXPORT) },
  'in its second export': {
    goesThrough: NEVER,
    roles: ['initiator'],
    touched: [VICTIM],
    before: atGate(STEP.EXPORT, 1),
  },
  'between export and import': { goesThrough: NEVER, before: atGate(STEP.IMPORT) },
  'in its second import': {
    goesThrough: NEVER,
    roles: ['initiator'],
    touched: [VICTIM],
    before: atGate(STEP.IMPORT, 1),
  },
  'in its validation': { goesThrough: NEVER, before: atGate(STEP.VALIDATE) },
  'after its share': {
    goesThrough: WITHOUT_IT,
    ...HOST_LOOKS_ON,
    before: otherStands,
    during: whenDone,
  },
  'having just aborted it': {
    goesThrough: NEVER,
    before: all(({ stage }) => stage.controls.failAt(STEP.IMPORT, 1, VICTIM), afterOpening(PHASE.ABORTED)),
  },
  'having just committed it': {
    goesThrough: ALWAYS,
    adopted: 1,
    isByChance: true,
    before: all(decides, afterOpening(PHASE.COMPLETE)),
  },
  'in adopt': { goesThrough: ALWAYS, adopted: 1, isByChance: true, before: all(decides, atGate(STEP.ADOPT)) },
  'between adopt and relinquish': {
    goesThrough: ALWAYS,
    isByChance: true,
    adopted: 2,
    before: all(decides, atGate(STEP.RELINQUISH)),
  },
  'in the drain of its queue': {
    goesThrough: ALWAYS,
    before: threadOn(OTHER),
    during: all(callOn(OTHER), endThreads, inBlock, queueOnVictim('addAtGate'), atGate(STEP.CALL), endCalls),
  },
  'in the release, with a thread': {
    goesThrough: ALWAYS,
    before: threadOn(OTHER),
    during: all(callOn(OTHER), endThreads, inBlock, threadOn(VICTIM), endCalls, async ({ stage, victim }) => {
      await until(
        () => stage.version.endsWith('@2'),
        () => 'the swap to be decided',
      );
      victim.kill();
    }),
  },
  'in the initialisation of the new object': {
    goesThrough: NEVER,
    roles: ['initiator'],
    before: atGate(STEP.INITIALISE),
    bytesLost: OBJECT_BYTES,
  },
  'in the reclamation of the old object': {
    goesThrough: ALWAYS,
    roles: ['initiator'],
    before: atGate(STEP.RECLAIM),
    bytesLost: RECLAIMED_BYTES,
  },
  'as the only one that knew the object, in its export': {
    goesThrough: NEVER,
    roles: ['initiator'],
    touched: [VICTIM],
    before: atGate(STEP.EXPORT),
  },
  'as the only one that knew the object, having committed': {
    goesThrough: ALWAYS,
    roles: ['initiator'],
    touched: [VICTIM],
    before: afterOpening(PHASE.COMPLETE),
    adopted: 1,
  },
  'as a latecomer, with a call queued': {
    goesThrough: ALWAYS,
    kinds: ['calm'],
    roles: ['participant'],
    touched: [HOST, OTHER],
    before: ({ stage }) => stage.controls.hold(STEP.EXPORT),
    during: async (setting) => {
      const { stage, victim } = setting;
      await mediatorIn(stage.coid, 'transfer');
      await queueOnVictim('addLater')(setting);
      victim.kill();
      await victim.gone();
      stage.controls.open(STEP.EXPORT);
    },
  },
  'as a latecomer, in a synchronous call': {
    goesThrough: ALWAYS,
    kinds: ['sync'],
    roles: ['participant'],
    touched: [OTHER],
    begunBy: OTHER,
    before: ({ stage }) => stage.controls.arm(STEP.EXPORT, OTHER),
    during: async ({ stage, victim }) => {
      const { block } = await mediatorIn(stage.coid, 'transfer');
      stage.machine.run(VICTIM, 'addHere', [stage.coid, stage.newCaller(), 1]).catch(() => {});
      await until(
        () => block.interested().includes(VICTIM),
        () => 'the latecomer to come',
      );
      await delay(20);
      victim.kill();
      await victim.gone();
      stage.controls.open(STEP.EXPORT);
    },
  },
};

/** Plays a scene on a machine for three of which two serve. @throws if anything was seen that must not be */
export async function play(machine: Machine, name: string, kind: Kind, role: Role): Promise<Counts> {
  const scene = scenes[name] as Scene;
  const stage = new Stage(machine, kind);
  const victim = await stage.victim();
  try {
    check(victim.number === VICTIM, `the victim is processor ${victim.number}`);
    const touched = scene.touched ?? EVERYBODY;
    await stage.touch(touched);
    stage.startCallers(touched);
    const milliseconds = await act({ stage, victim, kind, role }, scene);
    await goOn(stage, touched);
    const { calls, ofTheDead } = await stage.stopCallers();
    await stage.audit(1);
    await machine.remove(VICTIM);
    return { milliseconds, calls, ofTheDead, lost: await stage.close(scene.bytesLost ?? 0) };
  } finally {
    stage.stop();
    await victim.end();
  }
}

/** The swap and the death; gives how long the survivors took to know of the outcome. */
async function act(setting: Setting, scene: Scene): Promise<number> {
  const { stage, victim, role } = setting;
  const { controls, machine } = stage;
  controls.set(AT.TORN, 1);
  await scene.before?.(setting);
  for (let tries = 1; ; tries++) {
    // Without a call: that would make a participant of whoever asks.
    const from = stage.version.endsWith('@1') ? 1 : 2;
    for (const word of [AT.ADOPTED, AT.RELINQUISHED, AT.VALIDATED]) controls.set(word, 0);
    const swapped = begin(setting, scene, from === 1 ? 2 : 1);
    await scene.during?.(setting);
    if (scene.isByChance === true && tries < TRIES_MAX && (await wentByIt(swapped, victim, machine)))
      continue;
    await victim.gone();
    const goneAt = performance.now();
    for (const what of [AT.LINGER_THREAD, AT.LINGER_CALL, AT.LAST]) controls.set(what, 0);
    controls.failNoMore();
    const outcome = await inTime(swapped, 'a swap to end when a processor has died');
    const milliseconds = performance.now() - goneAt;
    judge(outcome, scene.goesThrough[role], role);
    await over();
    const hasGoneThrough = (await stage.servedVersion()) !== from;
    check(
      hasGoneThrough === scene.goesThrough[role],
      `It is ${hasGoneThrough} that the swap has gone through.`,
    );
    const adopted = [controls.get(AT.ADOPTED), controls.get(AT.RELINQUISHED)];
    const expected = hasGoneThrough ? [scene.adopted ?? 1, 1] : [0, 0];
    check(adopted.join() === expected.join(), `the hand-over was made ${adopted} times, not ${expected}`);
    return milliseconds;
  }
}

const TRIES_MAX = 60;

function begin({ stage, kind, role }: Setting, scene: Scene, version: number): Promise<Outcome<unknown>> {
  const options = { maxPauseMs: scene.maxPauseMs ?? 20 };
  const by = role === 'initiator' ? VICTIM : (scene.begunBy ?? HOST);
  return outcomeOf<unknown>(
    by === HOST
      ? swap(stage.coid, versionOf(kind, version), { argument: false, ...options })
      : stage.machine.run(by, 'swapHere', [stage.coid, kind, version, options]),
  );
}

/** Whether the swap has ended without the victim's having come to its point. */
async function wentByIt(
  swapped: Promise<Outcome<unknown>>,
  victim: Victim,
  machine: Machine,
): Promise<boolean> {
  const isOver = await Promise.race([swapped.then(() => true), victim.gone().then(() => false)]);
  // It may have come to it and be dying: a message goes there and back unless it does.
  return isOver && 'value' in (await outcomeOf(machine.run(victim.number, 'turnsHere', [1])));
}

function judge(outcome: Outcome<unknown>, goesThrough: boolean, role: Role): void {
  if ('value' in outcome) {
    check(goesThrough, 'The swap has gone through.');
    return;
  }
  const code = codeOf(outcome.error);
  const expected = role === 'initiator' ? 'K42_PROCESSOR_GONE' : 'K42_SWAP_PROCESSOR_GONE';
  check(code === expected, `the swap failed with ${code}: ${outcome.error}`);
  check(role === 'initiator' || !goesThrough, `the swap did not go through: ${outcome.error}`);
}

/** Waits until no swap is in progress. */
async function over(): Promise<void> {
  const end = performance.now() + WAIT_MS;
  for (;;) {
    const swaps = await swapsInProgress();
    if (swaps.length === 0) return;
    check(performance.now() < end, `a swap is still in progress: ${JSON.stringify(swaps)}`);
  }
}

/** The survivors swap again, and so does whoever has the dead one's number next. */
async function goOn(stage: Stage, touched: readonly number[]): Promise<void> {
  await stage.swapAgain(OTHER);
  const successor = await addProcessor(stage.machine);
  check(successor === VICTIM, `the successor is processor ${successor}`);
  await stage.touch(touched);
  stage.startCallers([successor]);
  await stage.swapAgain(successor);
  await stage.swapAgain(HOST);
}
