/**
 * Waiting and judging in torture scenes: nothing is waited for without an end, and whoever gives up says what for.
 */
import { setTimeout as delay } from 'node:timers/promises';

export function check(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(what);
}

export interface Waits {
  /** A promise that has to settle in time. */
  inTime<T>(promise: PromiseLike<T>, what: string, milliseconds?: number): Promise<T>;
  /** Looks every millisecond: for what other processors write, where nobody would notify. */
  until(holds: () => boolean, what: string | (() => string), milliseconds?: number): Promise<void>;
}

/** Waits that last so many milliseconds at most, if nothing else is said. */
export function waitsOf(defaultMs: number): Waits {
  return {
    async inTime<T>(promise: PromiseLike<T>, what: string, milliseconds: number = defaultMs): Promise<T> {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<never>((_resolve, reject) => {
        timer = setTimeout(() => reject(new Error(`Waited ${milliseconds} ms for ${what}.`)), milliseconds);
      });
      try {
        return await Promise.race([promise, late]);
      } finally {
        clearTimeout(timer);
      }
    },

    async until(holds, what, milliseconds = defaultMs): Promise<void> {
      const giveUpAt = performance.now() + milliseconds;
      while (!holds()) {
        if (performance.now() > giveUpAt)
          throw new Error(`Waited ${milliseconds} ms for ${typeof what === 'string' ? what : what()}.`);
        await delay(1);
      }
    },
  };
}
