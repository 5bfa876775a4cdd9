/**
 * Readers of every kind that a thread can be: short or long, synchronous or over turns, microtasks and timers, spawned or
 * held by hand, in passing through quiescent states, nested, failing.
 */
import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises';
import type { Random } from '@k42/tooling/random';
import { currentProcessorIfAny, type Domain } from '../../src/index.ts';
import { spin, turns } from './harness.ts';
import { Grip } from './pipe.ts';
import { domainOf, PROBLEM, type Words } from './words.ts';

interface Reader {
  readonly domain: Domain;
  readonly words: Words;
  readonly random: Random;
  readonly grip: () => Grip;
}

/** What a reader throws to end its thread. */
const ended = new Error('a thread that ends by throwing');

type Read = (reader: Reader, kind: number) => unknown;

const READS: readonly Read[] = [
  function short({ domain, grip }, kind) {
    for (let read = 0; read < 4; read++) {
      domain.spawn(() => {
        const held = grip();
        if (held.take()) held.end(kind);
      });
    }
  },
  function long({ domain, random, grip }, kind) {
    domain.spawn(() => {
      const held = grip();
      if (!held.take()) return;
      for (let look = random(12); look > 0; look--) {
        spin(60);
        held.look(kind);
      }
      held.end(kind);
    });
  },
  function throwing({ domain, random, grip }, kind) {
    try {
      domain.spawn(() => {
        const held = grip();
        if (held.take()) {
          spin(random(60));
          held.end(kind);
        }
        throw ended;
      });
    } catch (error) {
      if (error !== ended) throw error;
    }
  },
  function overTurns({ domain, random, grip }, kind) {
    return domain.spawn(async () => {
      const held = grip();
      if (!held.take()) return;
      for (let turn = random(8); turn >= 0; turn--) {
        await nextTurn();
        held.look(kind);
      }
      held.end(kind);
    });
  },
  function overMicrotasks({ domain, random, grip }, kind) {
    return domain.spawn(async () => {
      const held = grip();
      if (!held.take()) return;
      for (let step = random(60); step >= 0; step--) {
        await null;
        if (step % 10 === 0) held.look(kind);
      }
      held.end(kind);
    });
  },
  function overTimers({ domain, random, grip }, kind) {
    return domain.spawn(async () => {
      const held = grip();
      if (!held.take()) return;
      await delay(1 + random(3));
      held.end(kind);
    });
  },
  async function rejecting({ domain, random, grip }, kind) {
    const thread = domain.spawn(async () => {
      const held = grip();
      if (held.take()) {
        await turns(random(4));
        held.end(kind);
      }
      throw ended;
    });
    await thread.catch((error: unknown) => {
      if (error !== ended) throw error;
    });
  },
  async function guarded({ domain, random, grip }, kind) {
    using _thread = domain.enter('guarded');
    const held = grip();
    if (!held.take()) return;
    await turns(random(5));
    held.end(kind);
  },
  async function inPassing({ domain, random, grip }, kind) {
    using thread = domain.enter('in passing');
    const held = grip();
    for (let pass = random(4); pass >= 0; pass--) {
      if (held.take()) {
        await turns(random(3));
        held.end(kind);
      }
      thread.quiescent();
    }
  },
  async function outside({ domain, random, grip }, kind) {
    using thread = domain.enter('outside');
    const held = grip();
    for (let pass = random(3); pass >= 0; pass--) {
      if (held.take()) {
        await turns(random(3));
        held.end(kind);
      }
      await thread.outside(() => turns(1 + random(2)));
    }
  },
  async function nested({ domain, random, grip }, kind) {
    const outer = domain.enter('outer');
    const held = grip();
    const found = held.take();
    const inner = domain.spawn(async () => {
      const own = grip();
      if (!own.take()) return;
      await turns(random(6));
      own.end(kind);
    });
    await turns(random(4));
    domain.spawn(() => {
      if (found) held.look(kind);
    });
    if (found) held.end(kind);
    // The inner one goes on, or has ended before.
    outer.end();
    await inner;
  },
  async function holding({ domain, words, random, grip }, kind) {
    using thread = domain.enter('holding');
    const held = grip();
    if (!held.take()) return;
    {
      using _hold = thread.hold();
      await turns(random(3));
      let refused = false;
      try {
        thread.quiescent();
      } catch {
        refused = true;
      }
      if (!refused) words.problem(PROBLEM.QUIESCENT);
      held.look(kind);
    }
    held.end(kind);
  },
];

/** Reads, one thread after the other and some inside another, until told to stop or no processor any more. */
export async function read(
  words: Words,
  domain: number,
  random: Random,
  stopped: () => boolean,
): Promise<void> {
  const reader: Reader = {
    domain: domainOf(domain),
    words,
    random,
    grip: () => new Grip(words, domain, random),
  };
  while (!stopped() && currentProcessorIfAny() !== undefined) {
    const kind = random(READS.length);
    await READS[kind]?.(reader, kind);
    // Synchronous ones in a row are to leave the event loop no turn, though not for ever.
    if (random(4) === 0) await nextTurn();
  }
}
