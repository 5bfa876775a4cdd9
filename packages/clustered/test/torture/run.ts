/**
 * Runs one scenario: `node --conditions=@k42/source run.ts <scenario> <seed>`. The exit status says whether it failed.
 *
 * A process of its own for each run: a thread that hangs in a loop, or a machine that does not close, then ends with it.
 */
import process from 'node:process';
import { scenarios } from './scenarios.ts';

const [name = '', seed = '1'] = process.argv.slice(2);
const scenario = scenarios[name];
if (scenario === undefined)
  throw new Error(`No scenario ${name}; there are: ${Object.keys(scenarios).join(', ')}`);

let said = '';
try {
  said = JSON.stringify(await scenario(Number(seed)));
} catch (error) {
  process.exitCode = 1;
  said = error instanceof Error ? (error.stack ?? error.message) : String(error);
  if (error instanceof Error && error.cause !== undefined) said += `\ncause: ${error.cause}`;
}
process.stdout.write(`${said}\n`, () => process.exit());
