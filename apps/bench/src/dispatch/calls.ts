/**
 * A call through a handle, and by `DREF`, beside a direct one and the usual ways to have something in between.
 *
 * All go to the same Reps, which are of one class, at sites that meet nothing else. The objects are in use already: their first
 * calls were made elsewhere. What stands between the caller and the Rep:
 * - `direct`: nothing; a method call;
 * - `byNumber`: an array of Reps, which the caller has the numbers of, as it has the COIDs for `dref`;
 * - `handle`, `dref`: what is measured; `dref` within a thread;
 * - `handleFirst`: the same as `handle`, at a site that also made the first calls, and so has met the default object;
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
import { type Pass, type Result, timePasses, WARM_UPS } from './passes.ts';
import { createObjects, Forwarder, makeFirstCalls, type Shift, strayCalls, VARIETIES } from './shift.ts';

export interface CallSpec {
  readonly repeats: number;
  /** Calls in one sample; fewer of what takes ten times as long. */
  readonly calls: number;
}

export type Way =
  | 'direct'
  | 'byNumber'
  | 'handle'
  | 'handleFirst'
  | 'dref'
  | 'forwarder'
  | 'rwLock'
  | 'proxy'
  | 'emitter';

/** Called by name, on a processor with nothing else to do. */
export async function timeCalls({ repeats, calls }: CallSpec): Promise<Result<Way>> {
  const coids = createObjects(VARIETIES.slice(0, 1));
  const unused = createObjects(VARIETIES.slice(0, 1));
  makeFirstCalls(coids);
  const passes = makePasses(coids, unused);
  const measure: Record<Way, () => number> = {
    direct: () => timePasses(calls, passes.direct),
    byNumber: () => timePasses(calls, passes.byNumber),
    handle: () => timePasses(calls, passes.handle),
    handleFirst: () => timePasses(calls, passes.handleFirst),
    dref: () => spawn(() => timePasses(calls, passes.dref)),
    forwarder: () => timePasses(calls, passes.forwarder),
    rwLock: () => timePasses(calls / 10, passes.rwLock),
    proxy: () => timePasses(calls / 10, passes.proxy),
    emitter: () => timePasses(calls / 10, passes.emitter),
  };
  const samples = await sampleRepeats(measure, { repeats, warmUps: WARM_UPS });
  return { samples, strays: strayCalls(coids) + strayCalls(unused) };
}

function makePasses(coids: readonly Coid<Shift>[], unused: readonly Coid<Shift>[]): Record<Way, Pass> {
  const reps = spawn(() => coids.map((coid) => DREF(coid)));
  const numbers = reps.map((_, number) => number);
  const handles = coids.map((coid) => handle(coid));
  const unusedHandles = unused.map((coid) => handle(coid));
  const forwarders = reps.map((object) => new Forwarder(object));
  const proxies = reps.map(proxyOf);
  const lock = makeLock();
  const heard = { done: 0 };
  const emitters = reps.map((object) => emitterOf(object, heard));
  return {
    direct: () => {
      let done = 0;
      for (const object of reps) done += object.shift(1);
      return done;
    },
    byNumber: () => {
      let done = 0;
      for (const number of numbers) done += (reps[number] as Shift).shift(1);
      return done;
    },
    handle: () => {
      let done = 0;
      for (const object of handles) done += object.shift(1);
      return done;
    },
    handleFirst: () => {
      let done = 0;
      for (const object of unusedHandles) done += object.shift(1);
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
      for (const object of reps) {
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
