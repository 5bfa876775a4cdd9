// `pnpm torture`: becomes the torture of @k42/rcu, which runs from the sources.
import './check-node.mjs';
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';

const root = join(import.meta.dirname, '../../..');
const program = join(root, 'packages/rcu/test/torture/cli.ts');

// pnpm hands on a literal `--` between the script's name and its arguments; it is not for the program.
const args = process.argv.slice(2);
if (args[0] === '--') args.shift();

const torture = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', program, ...args], {
  stdio: 'inherit',
});
// A signal to the group reaches the program as well; stay until it has ended, and end as it did.
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
  process.on(signal, () => torture.kill(signal));
}
torture.on('exit', (status, signal) => process.exit(status ?? 128 + constants.signals[signal ?? 'SIGTERM']));
