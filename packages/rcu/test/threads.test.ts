/**
 * Goal: threads are counted from their beginning to their end, whatever way they end, and misuse of one held by hand is
 * caught before anything changes.
 * Method: `Threads` alone for the algorithm, with two and with four generations; the public functions for the rest.
 */
import { describe, expect, test } from 'vitest';
import {
  asThread,
  beginThread,
  endThread,
  rcu,
  spawn,
  type Thread,
  whenThreadsElapsed,
} from '../src/index.ts';
import { Threads } from '../src/internal/threads.ts';
import { gate, settle } from './support.ts';

const misuse = expect.objectContaining({ code: 'K42_THREAD_MISUSE' });

describe.each([2, 4])('with %i generations', (generations) => {
  test('elapsed means that every thread of the request has ended, and no later one', async () => {
    const threads = new Threads(generations);
    const first = threads.begin();
    let elapsed = false;
    threads.whenElapsed(() => {
      elapsed = true;
    });
    await settle();
    expect(elapsed).toBe(false);
    // Swaps have gone as far as they can: threads of now are of another generation, and are not waited for.
    const later = threads.begin();
    expect(later).not.toBe(first);
    threads.end(first);
    await settle();
    expect(elapsed).toBe(true);
    threads.end(later);
  });

  test('a live thread sees fewer swaps than there are generations', async () => {
    const threads = new Threads(generations);
    const pinned = threads.begin();
    const swaps = threads.swaps;
    for (let request = 0; request < 50; request++) {
      threads.whenElapsed(() => {});
      const passing = threads.begin();
      await settle();
      threads.end(passing);
    }
    expect(threads.swaps - swaps).toBeLessThan(generations);
    threads.end(pinned);
  });

  test('many threads in random order: each request elapses with the last thread it found, no sooner', async () => {
    const threads = new Threads(generations);
    let seed = 7;
    const random = (below: number): number => {
      seed = (seed * 1103515245 + 12345) & 0x7fffffff;
      return seed % below;
    };
    const live = new Map<number, number>();
    const requests: { waitsFor: Set<number>; elapsed: boolean }[] = [];
    let tooEarly = 0;
    for (let step = 0, next = 0; step < 2000; step++) {
      const action = random(5);
      if (action < 2) live.set(next++, threads.begin());
      else if (action < 4 && live.size !== 0) {
        const victim = [...live.keys()][random(live.size)] as number;
        threads.end(live.get(victim) as number);
        live.delete(victim);
      } else if (requests.length < 100) {
        const request = { waitsFor: new Set(live.keys()), elapsed: false };
        requests.push(request);
        threads.whenElapsed(() => {
          request.elapsed = true;
        });
      }
      await Promise.resolve();
      for (const { waitsFor, elapsed } of requests)
        if (elapsed && waitsFor.size !== 0) {
          for (const thread of waitsFor) if (live.has(thread)) tooEarly++;
          waitsFor.clear();
        }
    }
    expect(tooEarly).toBe(0);
    for (const generation of live.values()) threads.end(generation);
    await settle();
    expect(requests.every((request) => request.elapsed)).toBe(true);
    expect(requests.length).toBeGreaterThan(50);
  });
});

describe('spawn', () => {
  test('counts out what returns, throws, fulfils, rejects or is a foreign thenable', async () => {
    expect(spawn(() => 7)).toBe(7);
    expect(() =>
      spawn(() => {
        throw new Error('thrown');
      }),
    ).toThrowError('thrown');
    const fulfilled = spawn(async () => 8);
    const rejected = spawn(async () => {
      throw new Error('rejected');
    });
    // Settles twice, as no promise would.
    const foreign = spawn(() => ({
      // biome-ignore lint/suspicious/noThenProperty: a thenable is what is tested
      then(done: (value: number) => void) {
        done(9);
        done(10);
      },
    }));
    expect(rcu.liveThreads).toBe(3);
    expect(await fulfilled).toBe(8);
    await expect(rejected).rejects.toThrowError('rejected');
    expect(await foreign).toBe(9);
    expect(rcu.liveThreads).toBe(0);
  });

  test('counts out what gives something that cannot be looked at', () => {
    const spiteful = {
      // biome-ignore lint/suspicious/noThenProperty: a thenable is what is tested
      get then(): never {
        throw new Error('do not look');
      },
    };
    expect(() => spawn(() => spiteful)).toThrowError('do not look');
    expect(rcu.liveThreads).toBe(0);
  });

  test('leaves a rejection unhandled that nobody handles', async () => {
    const { promise, resolve } = Promise.withResolvers<unknown>();
    const others = process.rawListeners('unhandledRejection');
    process.removeAllListeners('unhandledRejection');
    process.once('unhandledRejection', resolve);
    void spawn(async () => {
      throw new Error('nobody listens');
    });
    expect(await promise).toMatchObject({ message: 'nobody listens' });
    for (const listener of others) process.on('unhandledRejection', listener as () => void);
  });

  test('names the live asynchronous threads, oldest first, and forgets them when they end', async () => {
    const { passed, open } = gate();
    const threads = [
      spawn(async function oldest() {
        await passed;
      }),
      spawn(async () => passed),
    ];
    using guard = rcu.enter('a guard');
    expect(guard.active).toBe(true);
    expect(rcu.namedThreads().map((thread) => thread.name)).toEqual([
      'oldest',
      '(anonymous thread)',
      'a guard',
    ]);
    open();
    await Promise.all(threads);
    expect(rcu.namedThreads().map((thread) => thread.name)).toEqual(['a guard']);
  });

  test('keeps few records after a flood of threads', async () => {
    const { passed, open } = gate();
    const threads = Array.from({ length: 5000 }, () => spawn(() => passed));
    expect(rcu.namedThreads()).toHaveLength(5000);
    open();
    await Promise.all(threads);
    expect(rcu.namedThreads()).toEqual([]);
    expect(rcu.liveThreads).toBe(0);
    // And they are good for others.
    await Promise.all(Array.from({ length: 3000 }, () => spawn(async () => {})));
    expect(rcu.liveThreads).toBe(0);
  });

  test('asThread makes each call a thread, with its arguments and its this', async () => {
    const seen: unknown[] = [];
    const handler = {
      base: 40,
      handle: asThread(async function handle(this: { base: number }, more: number) {
        seen.push(rcu.namedThreads().length, rcu.liveThreads);
        return this.base + more;
      }),
    };
    const one = handler.handle(2);
    expect(rcu.namedThreads().map((thread) => thread.name)).toEqual(['handle']);
    expect(await one).toBe(42);
    expect(seen).toEqual([0, 1]);
  });

  test('a thread counted in by hand is counted out exactly once', () => {
    const generation = beginThread();
    expect(rcu.liveThreads).toBe(1);
    endThread(generation);
    expect(() => endThread(generation)).toThrowError(misuse);
    expect(() => endThread(17)).toThrowError(misuse);
    expect(rcu.liveThreads).toBe(0);
  });
});

describe('a thread held by hand', () => {
  /** Whether a request made now has elapsed after everything that can happen has happened. */
  const request = (): { readonly elapsed: boolean } => {
    const state = { elapsed: false };
    whenThreadsElapsed(() => {
      state.elapsed = true;
    });
    return state;
  };

  test('holds up what is requested in its scope, 8192 deep and in any order of ends', async () => {
    for (const order of ['inner first', 'outer first', 'shuffled']) {
      const guards = Array.from({ length: 8192 }, (_, depth) => rcu.enter(`depth ${depth}`));
      const state = request();
      if (order === 'inner first') guards.reverse();
      else if (order === 'shuffled')
        guards.sort((a, b) => ((a.sequence * 7919) % 8192) - ((b.sequence * 7919) % 8192));
      const last = guards.pop() as Thread;
      for (const guard of guards) guard.end();
      await settle();
      expect(state.elapsed).toBe(false);
      last.end();
      await settle();
      expect(state.elapsed).toBe(true);
    }
  });

  test('a thread that announces quiescent states holds up no grace period for good', async () => {
    using poller = rcu.enter('poller');
    const first = request();
    await settle();
    expect(first.elapsed).toBe(false);
    poller.quiescent();
    await settle();
    expect(first.elapsed).toBe(true);
    const second = request();
    await settle();
    expect(second.elapsed).toBe(false);
    // The first may find it where new threads are counted until the generations can be swapped; not the second.
    poller.quiescent();
    await settle();
    poller.quiescent();
    await settle();
    expect(second.elapsed).toBe(true);
  });

  test('holds nothing up while deactivated, and everything again when activated', async () => {
    const { passed, open } = gate();
    using waiter = rcu.enter('waiter');
    const waiting = waiter.outside(async () => {
      await passed;
      return 'waited';
    });
    expect(waiter.active).toBe(false);
    const during = request();
    await settle();
    expect(during.elapsed).toBe(true);
    open();
    expect(await waiting).toBe('waited');
    expect(waiter.active).toBe(true);
    const after = request();
    await settle();
    expect(after.elapsed).toBe(false);
    await expect(waiter.outside(async () => Promise.reject(new Error('in vain')))).rejects.toThrowError(
      'in vain',
    );
    expect(waiter.active).toBe(true);
  });

  test('misuse is refused and changes nothing', () => {
    const thread = rcu.enter('misused');
    expect(() => thread.activate()).toThrowError(misuse);
    const held = thread.hold();
    for (const doing of ['quiescent', 'deactivate', 'end'] as const)
      expect(() => thread[doing]()).toThrowError(misuse);
    expect(rcu.liveThreads).toBe(1);
    held[Symbol.dispose]();
    expect(() => held[Symbol.dispose]()).toThrowError(misuse);
    thread.deactivate();
    expect(() => thread.deactivate()).toThrowError(misuse);
    expect(() => thread.quiescent()).toThrowError(misuse);
    expect(() => thread.hold()).toThrowError(misuse);
    thread.activate();
    thread.end();
    expect(() => thread.end()).toThrowError(misuse);
    expect(() => thread.activate()).toThrowError(misuse);
    expect(rcu.liveThreads).toBe(0);
  });

  test('one that is disposed of while deactivated is not counted out a second time', async () => {
    const { passed, open } = gate();
    const thread = rcu.enter('left');
    const waiting = thread.outside(() => passed);
    thread.end();
    open();
    await waiting;
    expect(thread.ended).toBe(true);
    expect(rcu.liveThreads).toBe(0);
  });
});
