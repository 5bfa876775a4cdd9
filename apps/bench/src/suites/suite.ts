/**
 * What a suite is, and what it gets from the command line around it.
 *
 * A suite adds its options to its subcommand, runs, and answers with an outcome: the document for standard output as
 * JSON, the same for people, and, where what it computed is *wrong* (not merely slow), the error that makes the run fail
 * after the document is out.
 */
import type { Command } from 'commander';
import type { BenchDocument } from '../cli/document.ts';
import type { ProgressDisplay } from '../cli/progress.ts';
import type { BenchError } from '../errors.ts';
import type { OpenFleet } from '../fleet.ts';

export interface SuiteContext {
  /** The values of the suite's own options, by commander's names for them. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Finish within 30 seconds, with every claim. */
  readonly quick: boolean;
  readonly openFleet: OpenFleet;
  readonly progress: ProgressDisplay;
  /** Writes a line for the user to standard error. */
  say(line: string): void;
}

export interface Outcome {
  document: BenchDocument;
  /** The result for people: tables and what to conclude. */
  text: string;
  failure?: BenchError;
}

export interface Suite {
  readonly name: string;
  readonly summary: string;
  addOptions(command: Command): void;
  run(context: SuiteContext): Promise<Outcome>;
}
