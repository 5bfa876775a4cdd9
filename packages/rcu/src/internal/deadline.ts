/**
 * Deadlines: what is one, and waiting up to it.
 */
import { InvalidArgumentError } from '../errors.ts';

/** What a timer can count to, some 24 days; of more, Node makes 1. */
export const DEADLINE_MAX_MS: number = 2 ** 31 - 1;

/** @throws InvalidArgumentError if it is no number of milliseconds that a timer can wait */
export function assertDeadline(deadlineMs: number, name = 'deadlineMs'): void {
  if (!(deadlineMs > 0 && deadlineMs <= DEADLINE_MAX_MS))
    throw new InvalidArgumentError(
      `${name} must be positive and at most ${DEADLINE_MAX_MS}, not ${deadlineMs}.`,
    );
}

/** Whether a promise settles within a time. The timer does not outlive the wait. @throws as the promise */
export async function within(promise: Promise<unknown>, milliseconds: number): Promise<boolean> {
  const { promise: timeout, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(resolve, milliseconds, false);
  try {
    return await Promise.race([promise.then(() => true), timeout]);
  } finally {
    clearTimeout(timer);
  }
}
