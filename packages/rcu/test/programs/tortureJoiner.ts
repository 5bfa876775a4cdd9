/** A thread of somebody else's that joins a machine with a ticket, does its job there and leaves, or is terminated. */
import { parentPort, workerData } from 'node:worker_threads';
import { randomFrom, seedOf } from '@k42/tooling/random';
import { joinMachine, leaveMachine } from '../../src/index.ts';
import { turns } from '../torture/harness.ts';
import { type Job, type JoinerData, type Said, STAGE } from '../torture/joiner.ts';
import { Updater } from '../torture/pipe.ts';
import { read } from '../torture/readers.ts';
import { LANE, reportThrown, Words } from '../torture/words.ts';
import { handInLedger, workUntilClosed } from './torture.ts';

const { ticket, job } = workerData as JoinerData;
const say = (said: Said): void => parentPort?.postMessage(said);

parentPort?.on('message', () => {
  leaveMachine()
    .then(() => say({ left: true }))
    .catch((failed: unknown) => say({ failed }))
    .finally(() => parentPort?.close());
});

type Victim = Job & { kind: 'victim' };

/** Reads in both domains, updates its lane, hands in portable callbacks: whatever a death can interrupt. */
async function beVictim({ lane, life, seed, stage }: Victim): Promise<void> {
  const words = Words.here();
  const { i32 } = words;
  const at = words.lane(lane);
  const random = randomFrom(seedOf(seed, 3));
  const stopped = (): boolean => {
    Atomics.add(i32, at + LANE.PROGRESS, 1);
    return words.stopped;
  };
  Atomics.store(i32, stage, STAGE.JOINED);
  const portable = async (): Promise<void> => {
    for (let id = 0; id < LANE.LEDGER_WORDS && !stopped(); id++) {
      await handInLedger(lane, life, id, 1, random(12) === 0 ? random(3000) : 0);
      if (random(4) === 0) await turns(1 + random(3));
    }
  };
  await Promise.all([
    portable(),
    new Updater(words, lane, randomFrom(seedOf(seed, 2))).run(stopped),
    ...[0, 1, 1].map((domain, reader) =>
      read(words, domain, randomFrom(seedOf(seed, domain, reader)), stopped),
    ),
  ]);
}

try {
  if (job.kind === 'victim') Atomics.store(new Int32Array(ticket.memory), job.stage, STAGE.STARTED);
  const { number } = await joinMachine(ticket);
  say({ joined: number });
  if (job.kind === 'work') {
    await workUntilClosed(job.seed);
    say({ done: true });
  } else if (job.kind === 'victim') {
    await beVictim(job);
    say({ done: true });
  }
} catch (failed) {
  reportThrown(failed);
  say({ failed });
}
