/**
 * Runs one scenario and prints what came of it as one line of JSON: `node run.ts <scenario> <seed> <scale>`.
 *
 * A process of its own for each run: a thread that hangs in a loop, or a machine that does not close, then ends with it.
 */
import process from 'node:process';
import { scenarios } from './scenarios.ts';

const [name = '', seed = '', scale = ''] = process.argv.slice(2);
const scenario = scenarios[name];
if (scenario === undefined)
  throw new Error(`No scenario ${name}; there are: ${Object.keys(scenarios).join(', ')}`);

let outcome: object;
try {
  outcome = { counts: await scenario({ seed: Number(seed), scale: Number(scale) }) };
} catch (error) {
  outcome = { error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
}
process.stdout.write(`${JSON.stringify(outcome)}\n`, () => process.exit('error' in outcome ? 1 : 0));
