/**
 * The claims that every PostMark round must meet, whatever its speed, and what makes a run fail.
 *
 * A benchmark that computes something wrong is no benchmark: any fault found here fails the run. That swaps took place
 * in the midst of calls is a claim of degree (most of them); the run fails only if no swap did.
 */
import { type Claim, exactClaim, measuredClaim } from '../cli/document.ts';
import { type BenchError, BenchWrongResultError } from '../errors.ts';
import type { SwapRecord } from '../instanceTypes.ts';
import { differences } from '../postmark/counts.ts';
import { goldenCounts } from '../postmark/golden.ts';
import { journalFaults } from '../postmark/journal.ts';
import type { PostmarkOptions } from '../postmark/options.ts';
import type { RoundResult } from './round.ts';

export interface Verdict {
  claims: Claim[];
  failure?: BenchError;
}

export interface VerdictRequest {
  /** The suite's name, with which the claims' ids begin. */
  readonly suite: string;
  readonly options: PostmarkOptions;
  readonly rounds: readonly RoundResult[];
  readonly keep: boolean;
  readonly verify: boolean;
}

const MOST = 0.5;

export function judge(request: VerdictRequest): Verdict {
  const { suite, options, rounds, keep, verify } = request;
  const count = (of: (round: RoundResult) => number): number =>
    rounds.reduce((sum, round) => sum + of(round), 0);
  const zero = (id: string, statement: string, value: number, unit: string): Claim =>
    exactClaim(`${suite}.${id}`, `${statement} (must be none; nothing varies)`, value, unit, 0);

  const claims = [
    zero(
      'counts',
      'Instances whose counts differ from a count-only run of the same options',
      count((round) => round.wrongCounts),
      'instances',
    ),
    zero(
      'journal',
      'Journal records lost, torn, duplicated, reordered or foreign',
      count((round) => journalFaults(round.journal)),
      'records',
    ),
  ];
  const golden = keep ? undefined : countGoldenDifferences(options, rounds);
  if (golden !== undefined) {
    const statement = 'Instances whose counts differ from those of the PostMark 1.51 binary';
    claims.push(zero('golden', statement, golden, 'instances'));
  }
  if (!keep)
    claims.push(
      zero(
        'deleted',
        'Files left after the deletions',
        count((round) => round.leftOver),
        'files',
      ),
    );
  if (verify) {
    const statement = 'Pieces read, or files on disk, that differ from what they must be';
    claims.push(
      zero(
        'verify',
        statement,
        count((round) => round.mismatches),
        'mismatches',
      ),
    );
  }
  const broken = claims.filter((claim) => !claim.holds).map((claim) => claim.id);
  const details = rounds.flatMap((round) => round.faults);

  const swaps = swapsInUse(rounds);
  if (swaps !== undefined) {
    const id = `${suite}.swaps-in-use`;
    const statement =
      'Share of the journal swaps that had every processor as a participant and calls forwarded or queued ' +
      '(higher is better; spread over rounds)';
    claims.push(measuredClaim(id, statement, swaps, 'ratio', 'at least', MOST));
    if (swaps.some((share) => share === 0)) {
      broken.push(id);
      details.push(
        'hotswap: in a round, no swap of the journal had all processors and calls forwarded or queued',
      );
    }
  }
  return broken.length > 0 ? { claims, failure: new BenchWrongResultError(broken, details) } : { claims };
}

/** Undefined if no instance of the rounds has a row among the golden counts. */
function countGoldenDifferences(
  options: PostmarkOptions,
  rounds: readonly RoundResult[],
): number | undefined {
  const compared = rounds
    .flatMap((round) => round.instances)
    .flatMap(({ seed, counts }) => {
      const golden = goldenCounts(options, seed);
      return golden === undefined ? [] : [differences(counts, golden).length > 0];
    });
  return compared.length === 0 ? undefined : compared.filter(Boolean).length;
}

/** For each hotswap round on several processors, the share of journal swaps made in full use; undefined without such. */
function swapsInUse(rounds: readonly RoundResult[]): number[] | undefined {
  const relevant = rounds.filter((round) => round.mode === 'hotswap' && round.processors > 1);
  if (relevant.length === 0) return undefined;
  return relevant.map(({ processors, instances }) => {
    const swaps = instances.flatMap((instance) => instance.swaps).filter((swap) => swap.file === 'journal');
    return swaps.filter((swap) => isInUse(swap, processors)).length / Math.max(swaps.length, 1);
  });
}

function isInUse(swap: SwapRecord, processors: number): boolean {
  return swap.participants === processors && swap.forwarded + swap.queued > 0;
}
