/**
 * A call through a handle, and by `DREF`, beside a direct one and the usual ways to have something in between.
 *
 * All go to objects of one class, at sites that meet nothing else. What stands between the caller and the object:
 * - `direct`: nothing; a method call on a plain object;
 * - `handle`, `dref`: what is measured; `dref` within a thread;
 * - `forwarder`: an object in front, written by hand;
 * - `rwLock`: a reader-writer lock, held for reading during the call, never wanted by a writer;
 * - `proxy`: a `Proxy` whose trap gives a function made beforehand;
 * - `emitter`: an `EventEmitter` with one listener.
 */
import { EventEmitter } from 'node:events';
import { type Coid, DREF, handle } from '@k42/clustered';
import { currentProcessor, spawn } from '@k42/rcu';
import { RwLock } from '@k42/rcu/locks';
import { sampleRepeats } from '../measure/timing.ts';
import { type Pass, timePasses, WARM_UPS } from './passes.ts';
import { createObjects, Forwarder, plainObjects, type Shift, strayCalls, VARIETIES } from './shift.ts';

export interface CallSpec {
  readonly repeats: number;
  /** Calls in one sample; fewer of what takes ten times as long. */
  readonly calls: number;
}

export type Way = 'direct' | 'handle' | 'dref' | 'forwarder' | 'rwLock' | 'proxy' | 'emitter';

export interface CallResult {
  /** Nanoseconds per call, a sample per repeat. */
  readonly samples: Record<Way, number[]>;
  /** Calls that reached the wrong object. */
  readonly strays: number;
}

/** Called by name, on a processor with nothing else to do. */
export async function timeCalls({ repeats, calls }: CallSpec): Promise<CallResult> {
  const coids = createObjects(VARIETIES.slice(0, 1));
  const passes = makePasses(coids);
  const measure: Record<Way, () => number> = {
    direct: () => timePasses(calls, passes.direct),
    handle: () => timePasses(calls, passes.handle),
    dref: () => spawn(() => timePasses(calls, passes.dref)),
    forwarder: () => timePasses(calls, passes.forwarder),
    rwLock: () => timePasses(calls / 10, passes.rwLock),
    proxy: () => timePasses(calls / 10, passes.proxy),
    emitter: () => timePasses(calls / 10, passes.emitter),
  };
  const samples = await sampleRepeats(measure, { repeats, warmUps: WARM_UPS });
  return { samples, strays: strayCalls(coids) };
}

function makePasses(coids: readonly Coid<Shift>[]): Record<Way, Pass> {
  const plain = plainObjects(VARIETIES.slice(0, 1));
  const handles = coids.map((coid) => handle(coid));
  const forwarders = plain.map((object) => new Forwarder(object));
  const proxies = plain.map(proxyOf);
  const lock = makeLock();
  const heard = { done: 0 };
  const emitters = plain.map((object) => emitterOf(object, heard));
  return {
    direct: () => {
      let done = 0;
      for (const object of plain) done += object.shift(1);
      return done;
    },
    handle: () => {
      let done = 0;
      for (const object of handles) done += object.shift(1);
      return done;
    },
    dref: () => {
      let done = 0;
      for (const coid of coids) done += DREF(coid).shift(1);
      return done;
    },
    forwarder: () => {
      let done = 0;
      for (const object of forwarders) done += object.shift(1);
      return done;
    },
    rwLock: () => {
      let done = 0;
      for (const object of plain) {
        lock.readLock();
        try {
          done += object.shift(1);
        } finally {
          lock.readUnlock();
        }
      }
      return done;
    },
    proxy: () => {
      let done = 0;
      for (const object of proxies) done += object.shift(1);
      return done;
    },
    emitter: () => {
      heard.done = 0;
      for (const emitter of emitters) emitter.emit('shift', 1);
      return heard.done;
    },
  };
}

function makeLock(): RwLock {
  const { memory, owner } = currentProcessor();
  return new RwLock(memory.i32, memory.allocate(RwLock.BYTES) / 4, owner, { name: 'the lock of a bench' });
}

function proxyOf(target: Shift): Shift {
  const methods: Shift = { shift: (by) => target.shift(by), number: () => target.number() };
  return new Proxy(target, { get: (_, name) => Reflect.get(methods, name) });
}

function emitterOf(target: Shift, heard: { done: number }): EventEmitter {
  return new EventEmitter().on('shift', (by: number) => {
    heard.done += target.shift(by);
  });
}
