/**
 * `bench swap`: `@k42/hotswap`. What calls cost after swaps, what a swap costs, what callers notice of one, and what the same
 * upgrade costs when it is done in other ways.
 *
 * What is compared is interleaved: ratios and differences are taken within a repeat, and medians over repeats with their
 * spread are what is reported. Every call under load is in a ledger. Everything stands in the table, what was lost as well.
 */
import type { Command } from 'commander';
import { BenchOptionError } from '../errors.ts';
import { type Measurement, runMeasurements } from '../measure/findings.ts';
import { measureHttp } from '../swap/http/measure.ts';
import { measurePeers } from '../swap/peers/measure.ts';
import type { Outcome, Suite, SuiteContext } from './suite.ts';
import { measureIdle } from './swap/idle.ts';
import { measureNormalCalls } from './swap/normalCall.ts';
import { FULL, QUICK, type SwapSizes } from './swap/sizes.ts';
import { measureUnderLoad } from './swap/underLoad.ts';

type Say = SuiteContext['say'];

interface Part {
  readonly name: string;
  readonly title: string;
  readonly measure: (sizes: SwapSizes, say: Say) => ReturnType<Measurement<SwapSizes>[1]>;
}

const PARTS: readonly Part[] = [
  { name: 'normal-call', title: 'normal calls after swaps', measure: measureNormalCalls },
  { name: 'idle', title: 'null swaps on idle processors', measure: measureIdle },
  { name: 'load', title: 'swaps under load', measure: measureUnderLoad },
  {
    name: 'peers',
    title: 'the same upgrade in other ways',
    measure: ({ peers }, say) => measurePeers(peers, say),
  },
  { name: 'http', title: 'a live server', measure: ({ http }, say) => measureHttp(http, say) },
];

export const swapSuite: Suite = {
  name: 'swap',
  summary:
    'swaps of @k42/hotswap: calls after them, their cost, what callers notice, and other ways to upgrade',
  addOptions: (command: Command): void => {
    command.option('--only <part>', `measure one part: ${PARTS.map(({ name }) => name).join(', ')}`);
  },
  run: (context) => runSwap(context.quick ? QUICK : FULL, context, partsNamed(context.options.only)),
};

/** All of them where none is named. @throws BenchOptionError */
export function partsNamed(name: unknown): readonly Part[] {
  if (name === undefined) return PARTS;
  const parts = PARTS.filter((part) => part.name === name);
  if (parts.length !== 0) return parts;
  const known = PARTS.map((part) => part.name).join(', ');
  throw new BenchOptionError('--only', `--only: there is no part '${name}'; there are: ${known}`);
}

const FAULTS =
  'Calls lost, doubled, out of order or misdirected, state lost, swaps that left a processor out (must be none; nothing varies)';

/** @throws BenchError */
export async function runSwap(
  sizes: SwapSizes,
  context: Pick<SuiteContext, 'say'>,
  parts: readonly Part[] = PARTS,
): Promise<Outcome> {
  const measurements = parts.map(
    ({ title, measure }): Measurement<SwapSizes> => [title, (sizes) => measure(sizes, context.say)],
  );
  return runMeasurements({ suite: 'swap', faults: FAULTS, sizes, measurements }, context);
}
