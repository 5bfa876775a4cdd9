/**
 * The life of objects: made, first called, destroyed. What each step takes, per object.
 *
 * In cycles of a number of objects that come and go beside a population that stays; or as the making and the end of that
 * population itself.
 */
import { create, destroy, handle } from '@k42/clustered';
import { median } from 'simple-statistics';
import { nanosecondsEach } from '../measure/timing.ts';
import { type Item, type ItemCoid, ItemImplementation } from './item.ts';

/** A first call is through the handle: the miss, and the call. Destructions are awaited together, batch by batch. */
export const STEPS = ['create', 'handle', 'firstCall', 'destroy'] as const;
export type Step = (typeof STEPS)[number];

/** Nanoseconds per object. */
export type LifeTimes = Record<Step, number>;

/** Objects of this processor: their COIDs and, as far as there are any, handles. */
export class Population {
  readonly coids: ItemCoid[] = [];
  readonly handles: Item[] = [];

  /** Makes `count` more. */
  create(count: number): number {
    const { coids } = this;
    const [from, to] = [coids.length, coids.length + count];
    const begun = performance.now();
    for (let i = from; i < to; i++) coids.push(create(ItemImplementation, i));
    return nanosecondsEach(begun, count, coids.length - from);
  }

  /** Makes handles for those that have none. */
  handle(): number {
    const { coids, handles } = this;
    const from = handles.length;
    const begun = performance.now();
    for (let i = from; i < coids.length; i++) handles.push(handle(coids[i] as ItemCoid));
    return nanosecondsEach(begun, coids.length - from, handles.length - from);
  }

  /** Calls each from the one at `from` on, for the first time. */
  call(from: number): number {
    const { handles } = this;
    let done = 0;
    const begun = performance.now();
    for (let i = from; i < handles.length; i++) done += (handles[i] as Item).touch(1);
    return nanosecondsEach(begun, handles.length - from, done);
  }

  /** Destroys all, so many at a time. */
  async destroy(batch: number): Promise<number> {
    const { coids } = this;
    let done = 0;
    const begun = performance.now();
    for (let from = 0; from < coids.length; from += batch) {
      const destroyed = coids.slice(from, from + batch).map((coid) => destroy(coid));
      await Promise.all(destroyed);
      done += destroyed.length;
    }
    const each = nanosecondsEach(begun, coids.length, done);
    coids.length = 0;
    this.handles.length = 0;
    return each;
  }
}

/** The medians of `cycles` cycles of `count` objects. */
export async function timeLife(cycles: number, count: number): Promise<LifeTimes> {
  const lives: LifeTimes[] = [];
  const population = new Population();
  for (let cycle = 0; cycle < cycles; cycle++) {
    lives.push({
      create: population.create(count),
      handle: population.handle(),
      firstCall: population.call(0),
      destroy: await population.destroy(count),
    });
  }
  const medianOf = (step: Step): number => median(lives.map((life) => life[step]));
  return {
    create: medianOf('create'),
    handle: medianOf('handle'),
    firstCall: medianOf('firstCall'),
    destroy: medianOf('destroy'),
  };
}

/** Destroys `count` objects that were called, each awaited before the next: nanoseconds each. */
export async function timeDestroyOneByOne(count: number): Promise<number> {
  const population = new Population();
  population.create(count);
  population.handle();
  population.call(0);
  return await population.destroy(1);
}
