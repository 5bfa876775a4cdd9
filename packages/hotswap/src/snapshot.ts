/**
 * Swaps in progress, and what each waits for.
 */
import { currentProcessor } from '@k42/rcu';
import type { PhaseName } from './errors.ts';
import type { Hindrance } from './hindrance.ts';
import { exchange, type SwapView } from './internal/exchange.ts';

/** A swap that is not over on every processor. */
export interface SwapInProgress {
  readonly coid: number;
  readonly initiator: number;
  readonly phase: PhaseName;
  /** Milliseconds since the Mediator was interposed. */
  readonly milliseconds: number;
  /** Of the processors that know of it, and of those that did not answer: what they wait for. */
  readonly hindrances: readonly Hindrance[];
}

/**
 * The swaps that are in progress in the machine. It asks every processor; one that does not answer within 100 ms is `silent` in
 * all of them. No snapshot of one moment: each processor answers for its own. Cost: a message to each processor and back.
 * @throws NotAttachedError
 */
export async function swapsInProgress(): Promise<SwapInProgress[]> {
  const processors = currentProcessor().liveProcessors();
  const answers = await Promise.all(
    processors.map(async (number) => ({ number, views: await exchange().ask(number) })),
  );
  const silent = answers
    .filter(({ views }) => views === undefined)
    .map(
      ({ number }): Hindrance => ({
        processor: number,
        kind: 'silent',
        names: [],
        count: 1,
        milliseconds: undefined,
      }),
    );
  const bySwap = new Map<bigint, SwapView[]>();
  for (const view of answers.flatMap(({ views }) => views ?? [])) {
    const known = bySwap.get(view.swap);
    if (known === undefined) bySwap.set(view.swap, [view]);
    else known.push(view);
  }
  const now = performance.timeOrigin + performance.now();
  return [...bySwap.values()].map((views) => {
    // The one that has seen most.
    const [latest] = views.toSorted((a, b) => ORDER.indexOf(b.phase) - ORDER.indexOf(a.phase)) as [SwapView];
    return {
      coid: latest.coid,
      initiator: latest.initiator,
      phase: latest.phase,
      milliseconds: now - latest.beganAt,
      hindrances: [...views.map(({ hindrance }) => hindrance), ...silent].toSorted(
        (a, b) => a.processor - b.processor,
      ),
    };
  });
}

const ORDER: readonly PhaseName[] = ['forward', 'block', 'transfer', 'complete', 'aborted'];
