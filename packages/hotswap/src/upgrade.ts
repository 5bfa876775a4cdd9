/**
 * Upgrading: every live object of one implementation gets another, or none does (K42's factories).
 *
 * Objects are swapped some at a time, each by a swap of its own: between the first and the last of them both implementations
 * serve, each its own objects. Those that are made with the old implementation meanwhile are found by looking again, until
 * there is none left. When a swap fails, those that were swapped are swapped back.
 */
import { type Coid, type Implementation, liveObjects, ObjectGoneError } from '@k42/clustered';
import { InvalidArgumentError, K42Error } from '@k42/rcu';
import { SwapInProgressError } from './errors.ts';
import type { SwapReport } from './report.ts';
import { type ImplementationInModule, revert, type SwapOptions, swap } from './swap.ts';

/** Swaps under way at a time. */
const AT_ONCE = 8;

/** An upgrade that failed: `cause` is why. */
export class UpgradeError extends K42Error {
  /** Objects that have been swapped back. */
  readonly reverted: readonly number[];
  /** Objects that could not be swapped back: they serve with the new implementation. */
  readonly upgraded: readonly number[];

  constructor(reverted: readonly number[], upgraded: readonly number[], cause: unknown) {
    const message = cause instanceof Error ? cause.message : String(cause);
    const left = upgraded.length === 0 ? '' : `, ${upgraded.length} could not be`;
    super(
      'K42_UPGRADE',
      `The upgrade failed, ${reverted.length} objects have been swapped back${left}: ${message}`,
      { cause },
    );
    this.reverted = reverted;
    this.upgraded = upgraded;
  }
}

export interface UpgradeOptions<A> extends Omit<SwapOptions<A>, 'ifInProgress' | 'argument'> {
  /** Given to `initialise`, for each object. */
  readonly argument?: (coid: number) => A;
  /** The same for swapping back. */
  readonly argumentToRevert?: (coid: number) => unknown;
}

/**
 * Swaps every live object of an implementation, given or by name, to another one; gives the reports, in no order. Every
 * processor's objects are found, whoever made them; one that somebody else is just swapping is left to them, also if that fails. `deadlineMs` and the other limits are those of each swap.
 * @throws InvalidArgumentError; UpgradeError: those that were swapped have been swapped back, but for those it names.
 */
export async function upgrade<T extends object, A = void>(
  from: Pick<Implementation<T, never>, 'name'>,
  to: Implementation<T, A> | ImplementationInModule,
  options: UpgradeOptions<A> = {},
): Promise<SwapReport[]> {
  if (from.name === to.name) throw new InvalidArgumentError(`${to.name} cannot be upgraded to itself.`);
  const { argument, argumentToRevert, ...limits } = options;
  const reports: SwapReport[] = [];
  try {
    for (;;) {
      const waiting = [...liveObjects()].filter(
        ({ implementation, state }) => implementation === from.name && state === 'live',
      );
      if (waiting.length === 0) return reports;
      await someAtATime(waiting, async ({ coid }) => {
        const swapOptions: SwapOptions<unknown> = {
          ...limits,
          argument: argument?.(coid),
        };
        try {
          reports.push(await swap(coid as Coid<T>, to as Implementation<T, unknown>, swapOptions));
        } catch (error) {
          // Whoever swaps it meanwhile says what it will be.
          if (!(error instanceof ObjectGoneError || error instanceof SwapInProgressError)) throw error;
        }
      });
    }
  } catch (cause) {
    const reverted: number[] = [];
    const upgraded: number[] = [];
    await someAtATime(reports, async (report) => {
      const { coid } = report;
      try {
        await revert(report, { ...limits, ifInProgress: 'queue', argument: argumentToRevert?.(coid) });
        reverted.push(coid);
      } catch (error) {
        if (!(error instanceof ObjectGoneError)) upgraded.push(coid);
      }
    });
    throw new UpgradeError(reverted, upgraded, cause);
  }
}

/** Does some work for each, a few at a time; after a failure begins no more, and fails when all that have begun are over. */
async function someAtATime<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const rest = items.values();
  const failures: unknown[] = [];
  const workOff = async (): Promise<void> => {
    for (const item of rest) {
      if (failures.length !== 0) return;
      try {
        await work(item);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, workOff));
  if (failures.length !== 0) throw failures[0];
}
