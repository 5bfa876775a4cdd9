/**
 * The ways of upgrading that are compared, each set up on a machine of its own.
 *
 * Two threads call: workers of the machine; or, where a pool's workers serve, the calling thread calls and they are the two.
 */
import type { RemoteModule } from '@k42/rcu';
import { type ClientSpec, useClient } from './clients.ts';
import { makeLocked, placeOf, upgradeLocked } from './locked.ts';
import { PoolClient, type Restart } from './pool.ts';
import { freePlace, makePlace, tableIn, upgraded } from './sharedTable.ts';
import { makeSwapped, swappedCounts, upgradeSwapped } from './swapped.ts';
import { countsOf, otherVersion, type Version } from './tables.ts';

export type PeersProgram = RemoteModule<typeof import('../../swapPeers.ts')>;

export const WAYS = ['swapped', 'locked', 'front', 'owner', 'recycled', 'replaced'] as const;
export type Way = (typeof WAYS)[number];

export const NAMES: Readonly<Record<Way, string>> = {
  swapped: 'hot swap (ours)',
  locked: 'reader-writer lock around every call',
  front: 'forwarding front end in each thread',
  owner: 'messages to an owner thread',
  recycled: 'workers of a pool recycled',
  replaced: 'a new pool beside the old one',
};

/** What restarts workers loses what they know. */
export const KEEPS_STATE: Readonly<Record<Way, boolean>> = {
  swapped: true,
  locked: true,
  front: true,
  owner: true,
  recycled: false,
  replaced: false,
};

const CALLERS: readonly number[] = [1, 2];
const OWNER = 3;

/** Processors of the machine that a way needs. */
export function processorsOf(way: Way): number {
  if (!KEEPS_STATE[way]) return 1;
  return way === 'owner' ? 1 + CALLERS.length + 1 : 1 + CALLERS.length;
}

/** A way, set up. */
export interface Installed {
  /** The processors that call; 0 is the calling thread. */
  readonly callers: readonly number[];
  /** From one version to the other. */
  upgrade(): Promise<void>;
  /** All counters. */
  counts(): Promise<Int32Array>;
  close(): Promise<void>;
}

export function install(way: Way, program: PeersProgram, sessions: number): Promise<Installed> {
  switch (way) {
    case 'swapped':
      return installSwapped(program, sessions);
    case 'locked':
      return installLocked(program, sessions);
    case 'front':
      return installFront(program, sessions);
    case 'owner':
      return installOwner(program, sessions);
    default:
      return installPool(way, sessions);
  }
}

async function installSwapped(program: PeersProgram, sessions: number): Promise<Installed> {
  const coid = makeSwapped(sessions);
  await openClients(program, { way: 'swapped', coid });
  let version: Version = 1;
  return {
    callers: CALLERS,
    upgrade: async () => {
      version = otherVersion(version);
      await upgradeSwapped(coid, sessions, version);
    },
    counts: async () => swappedCounts(coid, sessions),
    close: () => closeClients(program),
  };
}

async function installLocked(program: PeersProgram, sessions: number): Promise<Installed> {
  const locked = makeLocked(makePlace(1, sessions));
  await openClients(program, { way: 'locked', locked });
  return {
    callers: CALLERS,
    upgrade: async () => upgradeLocked(locked),
    counts: async () => countsOf(tableIn(placeOf(locked))),
    close: () => closeClients(program),
  };
}

async function installFront(program: PeersProgram, sessions: number): Promise<Installed> {
  let place = makePlace(1, sessions);
  await openClients(program, { way: 'front', place });
  return {
    callers: CALLERS,
    upgrade: async () => {
      const old = place;
      await onCallers((caller) => program.run(caller, 'pauseFront', []));
      place = upgraded(old);
      await onCallers((caller) => program.run(caller, 'resumeFront', [place]));
      freePlace(old);
    },
    counts: async () => countsOf(tableIn(place)),
    close: () => closeClients(program),
  };
}

async function installOwner(program: PeersProgram, sessions: number): Promise<Installed> {
  await program.run(OWNER, 'becomeOwner', [sessions]);
  await openClients(program, { way: 'owner', processor: OWNER });
  return {
    callers: CALLERS,
    upgrade: () => program.run(OWNER, 'upgradeOwner', []),
    counts: () => program.run(OWNER, 'ownerCounts', []),
    close: async () => {
      await closeClients(program);
      await program.run(OWNER, 'closeOwner', []);
    },
  };
}

async function installPool(restart: Restart, sessions: number): Promise<Installed> {
  const pool = await PoolClient.open(sessions);
  useClient({ bump: (session) => pool.bump(session) });
  let version: Version = 1;
  return {
    callers: [0],
    upgrade: async () => {
      version = otherVersion(version);
      await pool.upgrade(version, restart);
    },
    counts: () => pool.counts(),
    close: () => pool.close(),
  };
}

function openClients(program: PeersProgram, spec: ClientSpec): Promise<unknown> {
  return onCallers((caller) => program.run(caller, 'openClient', [spec]));
}

async function closeClients(program: PeersProgram): Promise<void> {
  await onCallers((caller) => program.run(caller, 'closeClient', []));
}

function onCallers(work: (caller: number) => Promise<unknown>): Promise<unknown> {
  return Promise.all(CALLERS.map(work));
}
