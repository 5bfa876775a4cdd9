/**
 * Module of the deaths at points where no hook of an implementation runs: it puts functions of its own in the place of those of
 * `Atomics`, so that this thread stops at an atomic operation of its own.
 *
 * The state that processors share changes by nothing but atomic operations: whoever has died at each of them has died everywhere
 * where it matters.
 */
import { currentProcessor } from '@k42/rcu';
import { PHASE, PHASE_SHIFT } from '../../src/internal/layout.ts';
import { AT, type Controls, controlsOf, STEP } from './tallyControls.ts';

type Operation = (...args: unknown[]) => unknown;

const COUNTED = [
  'load',
  'store',
  'add',
  'sub',
  'or',
  'and',
  'exchange',
  'compareExchange',
  'notify',
] as const;

function replace(
  name: (typeof COUNTED)[number],
  around: (original: Operation, args: unknown[]) => unknown,
): void {
  const functions = Atomics as unknown as Record<string, Operation>;
  const original = functions[name] as Operation;
  functions[name] = (...args) => around(original, args);
}

/** From now on this thread stops where the gate ATOMIC says: before one of its operations. */
export function stopAtOperations(): void {
  const controls = controlsOf(currentProcessor().memory);
  for (const name of COUNTED)
    replace(name, (original, args) => {
      controls.count();
      void controls.pass(STEP.ATOMIC, false);
      return original(...args);
    });
}

/** From now on this thread stops where the gate PHASE says: just after it has opened that phase of a swap. */
export function stopAtPhases(): void {
  const controls = controlsOf(currentProcessor().memory);
  replace('compareExchange', (original, args) => {
    const found = original(...args);
    const [array, , expected, wanted] = args;
    if (array instanceof BigInt64Array && found === expected)
      stopAfter(controls, found as bigint, wanted as bigint);
    return found;
  });
}

/** Other words look like a swap's as well, but do not go from one of its phases to a later one. */
function stopAfter(controls: Controls, before: bigint, after: bigint): void {
  const [from, to] = [before >> PHASE_SHIFT, after >> PHASE_SHIFT];
  const isTransition = from >= PHASE.FORWARD && from < to && (to === PHASE.ABORTED || to <= from + 2n);
  if (isTransition && to === BigInt(controls.get(AT.PHASE))) void controls.pass(STEP.PHASE, false);
}
