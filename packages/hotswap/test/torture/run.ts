/**
 * Runs scenes: `node --conditions=@k42/source run.ts <scene>...`, or all of them. The exit status says whether one failed.
 *
 * A process of its own for each run: a thread that hangs in a loop, or a machine that does not close, then ends with it.
 */
import process from 'node:process';
import { scenarios } from './scenarios.ts';

const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(scenarios);
let said = '';
try {
  for (const name of names) {
    const scenario = scenarios[name];
    if (scenario === undefined)
      throw new Error(`No scene ${name}; there are: ${Object.keys(scenarios).join(', ')}`);
    const began = performance.now();
    said = `${name} failed.`;
    await scenario();
    process.stdout.write(`${name}: ${Math.round(performance.now() - began)} ms\n`);
  }
  said = `${names.length} scenes`;
} catch (error) {
  process.exitCode = 1;
  said += `\n${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
  if (error instanceof Error && error.cause !== undefined) said += `\ncause: ${error.cause}`;
}
process.stdout.write(`${said}\n`, () => process.exit());
