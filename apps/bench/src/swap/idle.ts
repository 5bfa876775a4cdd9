/**
 * Null swaps on idle processors: objects that have nothing to transfer, exchanged while nobody calls them.
 *
 * What is left is the protocol: negotiate, interpose, wait for threads, block, stop where methods are synchronous, commit,
 * and give the slots back.
 */
import {
  type Coid,
  create,
  defineImplementation,
  defineInterface,
  handle,
  type Implementation,
  type Interface,
  SharedRoot,
} from '@k42/clustered';
import { type SwappableRoot, swap } from '@k42/hotswap';
import { currentProcessor } from '@k42/rcu';
import type { InterfaceName } from './load/objects.ts';

interface Null {
  touch(): number;
  touchLater(): Promise<number>;
}

class NullRep implements Null {
  touch(): number {
    return 1;
  }

  async touchLater(): Promise<number> {
    return 1;
  }
}

class NullRoot extends SharedRoot<Null> implements SwappableRoot {
  static readonly exports: readonly string[] = ['bench/nothing@1'];
  static readonly imports: readonly string[] = ['bench/nothing@1'];

  protected override createRep(): Null {
    return new NullRep();
  }

  exportPart(): undefined {}

  importPart(): void {}
}

const SERVED: Record<InterfaceName, Interface<Null>> = {
  // Its objects have the synchronous method too, but the interface does not name it.
  async: defineInterface<Pick<Null, 'touchLater'>>('bench/swap-null-later', {
    touchLater: 'async',
  }) as Interface<object> as Interface<Null>,
  mixed: defineInterface<Null>('bench/swap-null-mixed', { touch: 'sync', touchLater: 'async' }),
};

function pair(name: InterfaceName): readonly [Implementation<Null>, Implementation<Null>] {
  const one = (which: string): Implementation<Null> =>
    defineImplementation<Null>({
      name: `bench/swap-null-${name}-${which}@1`,
      interface: SERVED[name],
      Root: NullRoot,
    });
  return [one('one'), one('other')];
}

const PAIRS: Record<InterfaceName, readonly [Implementation<Null>, Implementation<Null>]> = {
  async: pair('async'),
  mixed: pair('mixed'),
};

/** The objects that are swapped to and fro, one of each interface, and which of the pair each is. */
const turns = new Map<Coid<Null>, number>();

/** Called by name. */
export function createNull(name: InterfaceName): Coid<Null> {
  const coid = create(PAIRS[name][0]);
  turns.set(coid, 0);
  return coid;
}

/** Called by name: this processor uses the object. */
export async function touchNull(coid: Coid<Null>): Promise<void> {
  await handle(coid).touchLater();
}

/** What a swap's time goes to: its phases, and what comes before the first and after the last. */
export const STAGES = ['forward', 'block', 'transfer', 'complete', 'outside'] as const;
export type StageName = (typeof STAGES)[number];

export interface NullSwaps {
  /** Of each swap, from the call to the report. */
  readonly microseconds: number[];
  /** The same, by what it went to. */
  readonly stages: Record<StageName, number[]>;
  /** Swaps in which not every processor took part. */
  readonly incomplete: number;
}

export interface NullSwapsSpec {
  readonly swaps: number;
  /** No more swaps are begun after so long, but for the first few. */
  readonly budgetMs: number;
  /** Awaited before each swap. */
  readonly touch: () => Promise<void>;
}

const SWAPS_MIN = 5;

/** Swaps so often, one after the other. */
export async function timeNullSwaps(
  coid: Coid<Null>,
  name: InterfaceName,
  { swaps, budgetMs, touch }: NullSwapsSpec,
): Promise<NullSwaps> {
  const microseconds: number[] = [];
  const stages: NullSwaps['stages'] = {
    forward: [],
    block: [],
    transfer: [],
    complete: [],
    outside: [],
  };
  let incomplete = 0;
  const { processors } = currentProcessor();
  const until = performance.now() + budgetMs;
  for (let index = 0; index < swaps; index++) {
    if (index >= SWAPS_MIN && performance.now() > until) break;
    await touch();
    const turn = (turns.get(coid) ?? 0) + 1;
    turns.set(coid, turn);
    const next = PAIRS[name][turn % 2] as Implementation<Null>;
    const begun = performance.now();
    const report = await swap(coid, next);
    const milliseconds = performance.now() - begun;
    microseconds.push(milliseconds * 1000);
    const { forward, block, transfer, complete } = report.phases;
    const known = { forward, block, transfer, complete };
    for (const [stage, phaseMs] of Object.entries(known)) stages[stage as StageName].push(phaseMs * 1000);
    stages.outside.push((milliseconds - report.milliseconds) * 1000);
    if (report.participants.length !== processors) incomplete++;
  }
  return { microseconds, stages, incomplete };
}
