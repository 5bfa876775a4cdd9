/**
 * The object system of a processor: its parts, put together when the processor attaches.
 */
import { claimPackage, currentProcessor, onAttach, type Processor } from '@k42/rcu';
import { handOverOnDeparture } from './departures.ts';
import { Destruction } from './destruction.ts';
import { installGathering } from './gather.ts';
import { COID_RANGE, STATE } from './layout.ts';
import { ObjectNames } from './objectNames.ts';
import { Objects } from './objects.ts';
import { adoptOrphans } from './orphans.ts';

claimPackage('@k42/clustered', import.meta.url);

interface System {
  readonly processor: Processor;
  readonly objects: Objects;
  readonly destruction: Destruction;
  readonly names: ObjectNames;
}

let current: System | undefined;

onAttach((processor) => {
  const objects = new Objects(processor);
  const destruction = new Destruction(objects);
  const names = new ObjectNames(processor, (stored) => isStoredLive(objects, stored));
  installGathering(processor, objects.members);
  adoptOrphans(objects, destruction);
  handOverOnDeparture(objects);
  current = { processor, objects, destruction, names };
  if (processor.number !== 0 && !objects.members.has(0)) void loadOnHost(processor);
});

/** The host puts in order what the dead leave, also where it uses no objects itself. */
async function loadOnHost(processor: Processor): Promise<void> {
  try {
    await processor.load(import.meta.url);
  } catch (error) {
    if (processor.closed) return;
    process.emitWarning(
      `The host cannot load @k42/clustered, so nobody puts in order what a dying processor leaves: ${error}`,
      'K42Warning',
    );
  }
}

/** @throws NotAttachedError */
function system(): System {
  const processor = currentProcessor();
  if (current === undefined || current.processor !== processor)
    throw new Error('@k42/clustered invariant: no object system');
  return current;
}

/** The objects of the current processor. @throws NotAttachedError */
export function objects(): Objects {
  return system().objects;
}

/** @throws NotAttachedError */
export function destruction(): Destruction {
  return system().destruction;
}

/** @throws NotAttachedError */
export function objectNames(): ObjectNames {
  return system().names;
}

/** A COID with its sequence number, in one number below 2^53. */
export function toStored(coid: number, sequence: number): number {
  return sequence * COID_RANGE + coid;
}

export function coidOf(stored: number): number {
  return stored % COID_RANGE;
}

function isStoredLive({ gtt }: Objects, stored: number): boolean {
  const coid = coidOf(stored);
  const sequence = Math.floor(stored / COID_RANGE);
  return (
    Number.isSafeInteger(stored) &&
    gtt.has(coid) &&
    gtt.sequence(coid) === sequence &&
    gtt.state(coid) === STATE.LIVE &&
    // Again: a life may have passed in between.
    gtt.sequence(coid) === sequence
  );
}

/** Whether the object of a stored COID is there. */
export function isLive(stored: number): boolean {
  return isStoredLive(objects(), stored);
}
