/**
 * A repeat of the suite `objects`: a processor has few objects, then many, then none.
 *
 * At each size objects come and go beside those that stay, and those that stay are called. The way from few to many and the
 * end of all are measured too, and memory at each step. In the end nothing may be left.
 */
import { type ObjectCounts, objectCounts } from '@k42/clustered';
import { type CallSamples, timeCalls } from './calls.ts';
import { type Item, ItemRep } from './item.ts';
import { type LifeTimes, Population, timeDestroyOneByOne, timeLife } from './life.ts';
import { bytesEach, collectGarbage, type MemoryUse, memoryInUse } from './memory.ts';

export interface PopulationSpec {
  /** Objects that stay, at first and then. */
  readonly few: number;
  readonly many: number;
  /** Samples at each size. */
  readonly samples: number;
  /** Cycles in a sample, and objects that come and go in each. */
  readonly cycles: number;
  readonly cycleObjects: number;
  /** Objects destroyed one at a time in a sample. */
  readonly oneByOne: number;
  /** Those that stay are destroyed so many at a time. */
  readonly batch: number;
  /** Calls in a sample, to the objects that stay. */
  readonly calls: number;
  /** Of the random order. */
  readonly seed: number;
}

/** At one size; nanoseconds, and a sample per run. */
export interface StageSamples {
  readonly calls: CallSamples;
  readonly life: readonly LifeTimes[];
  readonly destroyOneByOne: readonly number[];
}

export interface PopulationTimes {
  readonly few: StageSamples;
  readonly many: StageSamples;
  /** Of those that stay, from the first of them to the last. */
  readonly bulk: LifeTimes;
  /** Bytes per object: created, with a handle, called. Each with what came before. */
  readonly created: MemoryUse;
  readonly handled: MemoryUse;
  readonly called: MemoryUse;
  /** When all are destroyed. */
  readonly left: ObjectCounts;
}

/** Called by name, on a processor that has had no objects. */
export async function measurePopulations(spec: PopulationSpec): Promise<PopulationTimes> {
  // Warms up.
  await timeLife(spec.cycles, spec.cycleObjects);

  const population = new Population();
  population.create(spec.few);
  population.handle();
  population.call(0);
  const few = await timeStage(population, spec);

  const count = spec.many - spec.few;
  const empty = memoryInUse();
  const create = population.create(count);
  const created = bytesEach(empty, memoryInUse(), count);
  const handle = population.handle();
  const handled = bytesEach(empty, memoryInUse(), count);
  const firstCall = population.call(spec.few);
  const called = bytesEach(empty, memoryInUse(), count);
  const many = await timeStage(population, spec);

  const destroy = await population.destroy(spec.batch);
  return {
    few,
    many,
    bulk: { create, handle, firstCall, destroy },
    created,
    handled,
    called,
    left: objectCounts(),
  };
}

async function timeStage({ coids, handles }: Population, spec: PopulationSpec): Promise<StageSamples> {
  const plain: Item[] = [];
  while (plain.length < handles.length) plain.push(new ItemRep());
  // What is young moves while it is collected; nothing should move while calls are timed.
  collectGarbage();
  const calls = await timeCalls({ coids, handles, plain }, spec);
  const [life, destroyOneByOne]: [LifeTimes[], number[]] = [[], []];
  for (let sample = 0; sample < spec.samples; sample++) {
    life.push(await timeLife(spec.cycles, spec.cycleObjects));
    destroyOneByOne.push(await timeDestroyOneByOne(spec.oneByOne));
  }
  return { calls, life, destroyOneByOne };
}
