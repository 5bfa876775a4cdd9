/**
 * Several implementations of one interface: does a call get slower where a site has met many, or where others have?
 *
 * V8 looks methods up at a site that has met more than four classes. Handles are measured against that: the same classes,
 * called directly and through a forwarder, at sites that have met the same.
 */
import { measuredClaim } from '../../cli/document.ts';
import { type Finding, ratios, row } from '../../measure/finding.ts';
import { onWorkers } from './machine.ts';
import type { DispatchSizes } from './sizes.ts';
import { strayFaults } from './strays.ts';

const CLAIMED = 8;

/** Sites that have met several. */
export async function measureMet({ workers, repeats, calls, met: numbers }: DispatchSizes): Promise<Finding> {
  const findings: Finding[] = [];
  for (const met of numbers) {
    const { samples, strays } = await onWorkers(workers, (program, worker) =>
      program.run(worker, 'timeMet', [{ repeats, calls, met }]),
    );
    const measure = `polymorphic-${met}`;
    const ratio = ratios(samples.handleLast, samples.directLast);
    const statement =
      `Time of a call through a handle over that of V8's own call of the same classes, at sites that have met ${met} ` +
      'implementations, the default object among them, and go on with the last (ours over theirs, lower is better; median ' +
      'and spread over interleaved repeats on several workers)';
    findings.push({
      rows: [
        row(measure, 'the last: direct', 'ns', samples.directLast),
        row(measure, 'the last: handle', 'ns', samples.handleLast),
        row(measure, 'the last: forwarding object', 'ns', samples.forwarderLast),
        row(measure, 'in turns: direct', 'ns', samples.directTurns),
        row(measure, 'in turns: handle', 'ns', samples.handleTurns),
        row(measure, 'in turns: forwarding object', 'ns', samples.forwarderTurns),
        row(measure, 'the last: handle over direct', 'x', ratio),
        row(measure, 'in turns: handle over direct', 'x', ratios(samples.handleTurns, samples.directTurns)),
      ],
      claims:
        met === CLAIMED
          ? [measuredClaim(`dispatch.${measure}`, statement, ratio, 'ratio', 'at most', 1.1)]
          : [],
      faults: strayFaults(measure, strays),
    });
  }
  return {
    rows: findings.flatMap(({ rows }) => rows),
    claims: findings.flatMap(({ claims }) => claims),
    faults: findings.flatMap(({ faults }) => faults),
  };
}

/** Sites that meet one, while eight are called elsewhere. */
export async function measureAlone({ workers, repeats, calls }: DispatchSizes): Promise<Finding> {
  const { samples, strays } = await onWorkers(workers, (program, worker) =>
    program.run(worker, 'timeAlone', [{ repeats, calls }]),
  );
  const measure = 'one of eight';
  return {
    rows: [
      row(measure, 'direct', 'ns', samples.direct),
      row(measure, 'handle, the first', 'ns', samples.handleFirst),
      row(measure, 'handle, the eighth', 'ns', samples.handleEighth),
      row(measure, 'forwarding object', 'ns', samples.forwarder),
      row(measure, 'handle, the first, over direct', 'x', ratios(samples.handleFirst, samples.direct)),
      row(measure, 'handle, the eighth, over direct', 'x', ratios(samples.handleEighth, samples.direct)),
      row(measure, 'forwarding object over direct', 'x', ratios(samples.forwarder, samples.direct)),
    ],
    claims: [],
    faults: strayFaults(measure, strays),
  };
}
