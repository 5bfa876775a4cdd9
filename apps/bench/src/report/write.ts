/**
 * Writes the report: `index.html`, which needs no other file to be read, and `results.json` with every raw sample.
 */
import { accessSync, constants, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { BenchDirectoryError, toBenchError } from '../errors.ts';
import { type ReportContent, renderPage } from './page.ts';

/** `bench-report` at the root of the repository that the current directory is in, or else here. */
export function findReportDirectory(): string {
  let at = process.cwd();
  while (!existsSync(join(at, 'pnpm-workspace.yaml'))) {
    if (dirname(at) === at) return join(process.cwd(), 'bench-report');
    at = dirname(at);
  }
  return join(at, 'bench-report');
}

/** Makes the directory, so that one that cannot be used is noticed before the work. @throws BenchDirectoryError */
export function prepareReport(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true });
    accessSync(directory, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw new BenchDirectoryError(directory, error);
  }
}

/** The path of the page. @throws BenchError */
export function writeReport(directory: string, content: ReportContent): string {
  const page = join(directory, 'index.html');
  try {
    writeFileSync(join(directory, 'results.json'), `${JSON.stringify(content.document, null, 2)}\n`);
    writeFileSync(page, renderPage(content));
  } catch (error) {
    throw toBenchError(error, directory);
  }
  return page;
}
