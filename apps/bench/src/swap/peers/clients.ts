/**
 * What a caller has, in each of the ways: something to call. One per thread.
 */
import { type Coid, handle } from '@k42/clustered';
import { nanosecondsEach } from '../../measure/timing.ts';
import { openFront } from './front.ts';
import { type Locked, LockedClient } from './locked.ts';
import { OwnerClient } from './owner.ts';
import type { Place } from './sharedTable.ts';
import type { Sessions } from './swapped.ts';

export interface Client {
  /** Raises the counter of a session. */
  bump(session: number): number | Promise<number>;
  close?(): void;
}

export type ClientSpec =
  | { readonly way: 'swapped'; readonly coid: Coid<Sessions> }
  | { readonly way: 'locked'; readonly locked: Locked }
  | { readonly way: 'front'; readonly place: Place }
  | { readonly way: 'owner'; readonly processor: number };

let client: Client | undefined;

/** Called by name. */
export async function openClient(spec: ClientSpec): Promise<void> {
  client = await clientOf(spec);
}

async function clientOf(spec: ClientSpec): Promise<Client> {
  switch (spec.way) {
    case 'swapped':
      return handle(spec.coid);
    case 'locked':
      return new LockedClient(spec.locked);
    case 'front':
      return openFront(spec.place);
    case 'owner':
      return OwnerClient.open(spec.processor);
    default:
      throw new TypeError(`swap: no way ${JSON.stringify(spec)}`);
  }
}

/** For a client that is made on this thread. */
export function useClient(made: Client): void {
  client = made;
}

export function currentClient(): Client {
  if (client === undefined) throw new Error('swap: there is no client on this thread');
  return client;
}

/** Called by name. */
export function closeClient(): void {
  client?.close?.();
  client = undefined;
}

/** Sessions that are called while calls are timed: few enough to stay in the processor's cache. */
const TIMED_SESSIONS = 1_024;

/** Nanoseconds from a call to its result, of calls one after the other. They are counted in `tally`. Called by name. */
export async function timeCalls(count: number, tally: SharedArrayBuffer): Promise<number> {
  const caller = currentClient();
  const words = new Int32Array(tally);
  let done = 0;
  const begun = performance.now();
  for (let call = 0; call < count; call++) {
    const result = caller.bump(1 + (call & (TIMED_SESSIONS - 1)));
    if ((typeof result === 'number' ? result : await result) > 0) done++;
  }
  const nanoseconds = nanosecondsEach(begun, count, done);
  for (let call = 0; call < count; call++) Atomics.add(words, 1 + (call & (TIMED_SESSIONS - 1)), 1);
  return nanoseconds;
}
