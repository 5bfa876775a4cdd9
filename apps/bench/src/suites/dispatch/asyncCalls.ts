/** Asynchronous calls: what it costs that a handle counts each as a thread. */
import { measuredClaim } from '../../cli/document.ts';
import { type Finding, row } from '../../measure/finding.ts';
import { onWorkers } from './machine.ts';
import type { DispatchSizes } from './sizes.ts';

export async function measureAsyncCalls({ workers, repeats, asyncCalls }: DispatchSizes): Promise<Finding> {
  const { samples } = await onWorkers(workers, (program, worker) =>
    program.run(worker, 'timeAsyncCalls', [{ repeats, calls: asyncCalls }]),
  );
  const measure = 'async-count';
  const counted = differences(samples.handle, samples.bare);
  const statement =
    'Time of `await handle.m()` less that of `await object.m()`, m asynchronous and empty, on an otherwise idle processor ' +
    '(lower is better; median and spread over interleaved repeats on several workers)';
  return {
    rows: [
      row(measure, 'bare call, awaited', 'ns', samples.bare),
      row(measure, 'through a handle', 'ns', samples.handle),
      row(measure, 'through a handle, a thread live', 'ns', samples.handleLive),
      row(measure, 'bare call that awaits once', 'ns', samples.bareAwaiting),
      row(measure, 'the same through a handle', 'ns', samples.handleAwaiting),
      row(measure, 'handle less bare', 'ns', counted),
      row(measure, 'the same, a thread live', 'ns', differences(samples.handleLive, samples.bare)),
      row(
        measure,
        'the same, awaiting once',
        'ns',
        differences(samples.handleAwaiting, samples.bareAwaiting),
      ),
    ],
    claims: [measuredClaim('dispatch.async-count', statement, counted, 'ns', 'at most', 100)],
    faults: [],
  };
}

/** Sample by sample: both lists are in the order of the repeats. */
function differences(samples: readonly number[], baselines: readonly number[]): number[] {
  return samples.map((sample, repeat) => sample - (baselines[repeat] as number));
}
