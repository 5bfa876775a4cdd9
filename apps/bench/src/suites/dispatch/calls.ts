/**
 * One implementation, which most interfaces have: what a call costs beside a direct one and the usual things in between.
 */
import type { Claim } from '../../cli/document.ts';
import { measuredClaim } from '../../cli/document.ts';
import { type Finding, ratios, row } from '../../measure/finding.ts';
import { onWorkers } from './machine.ts';
import type { DispatchSizes } from './sizes.ts';
import { strayFaults } from './strays.ts';

const OVER = '1024 objects in use, a site that has met one implementation';
const SPREAD = 'median and spread over interleaved repeats on several workers';

export async function measureCalls({ workers, repeats, calls }: DispatchSizes): Promise<Finding> {
  const { samples, strays } = await onWorkers(workers, (program, worker) =>
    program.run(worker, 'timeCalls', [{ repeats, calls }]),
  );
  const { direct, byNumber, handle, handleFirst, dref, forwarder, rwLock, proxy, emitter } = samples;
  const measure = 'calls';
  const claim = (
    id: string,
    what: string,
    [over, under]: readonly [number[], number[]],
    direction: 'at least' | 'at most',
    target: number,
  ): Claim => {
    const better =
      direction === 'at least' ? 'theirs over ours, higher is better' : 'ours over theirs, lower is better';
    const statement = `${what}, ${OVER} (${better}; ${SPREAD})`;
    return measuredClaim(id, statement, ratios(over, under), 'ratio', direction, target);
  };
  return {
    rows: [
      row(measure, 'direct', 'ns', direct),
      row(measure, 'direct, by number in an array', 'ns', byNumber),
      row(measure, 'handle', 'ns', handle),
      row(measure, 'handle, at a site that made the first calls', 'ns', handleFirst),
      row(measure, 'DREF', 'ns', dref),
      row(measure, 'forwarding object', 'ns', forwarder),
      row(measure, 'reader-writer lock', 'ns', rwLock),
      row(measure, 'Proxy', 'ns', proxy),
      row(measure, 'EventEmitter', 'ns', emitter),
      row(measure, 'handle over direct', 'x', ratios(handle, direct)),
      row(
        measure,
        'handle over direct, at a site that made the first calls',
        'x',
        ratios(handleFirst, direct),
      ),
      row(measure, 'DREF over direct', 'x', ratios(dref, direct)),
      row(measure, 'DREF over direct by number', 'x', ratios(dref, byNumber)),
      row(measure, 'handle over forwarding object', 'x', ratios(handle, forwarder)),
      row(measure, 'reader-writer lock over handle', 'x', ratios(rwLock, handle)),
      row(measure, 'Proxy over handle', 'x', ratios(proxy, handle)),
      row(measure, 'EventEmitter over handle', 'x', ratios(emitter, handle)),
    ],
    claims: [
      claim(
        'dispatch.handle',
        'Time of a call through a handle over that of a direct one',
        [handle, direct],
        'at most',
        1.5,
      ),
      claim(
        'dispatch.dref',
        'Time of a call by DREF over that of a direct one',
        [dref, direct],
        'at most',
        2.5,
      ),
      claim(
        'dispatch.rwlock',
        'Time of a call that holds a reader-writer lock for reading over that of a call through a handle',
        [rwLock, handle],
        'at least',
        5,
      ),
      claim(
        'dispatch.forwarder',
        'Time of a call through a handle over that through a forwarding object written by hand',
        [handle, forwarder],
        'at most',
        1.2,
      ),
    ],
    faults: strayFaults(measure, strays),
  };
}
