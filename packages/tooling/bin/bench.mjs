// `pnpm bench`: builds what the benchmark needs, then becomes the benchmark. It is a program because standard output must
// stay clean for `--json`: what the build prints is kept back, and shown on standard error if the build fails.
import './check-node.mjs';
import { spawn, spawnSync } from 'node:child_process';
import { constants } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';

const root = join(import.meta.dirname, '../../..');
const main = join(root, 'apps/bench/dist/main.js');

const build = spawnSync(
  process.execPath,
  [
    join(import.meta.dirname, 'turbo.mjs'),
    'run',
    'build',
    '--filter=@k42/bench',
    '--output-logs=errors-only',
  ],
  { cwd: root, stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 64 * 1024 * 1024 },
);
if (build.status !== 0) {
  process.stderr.write(build.stdout);
  process.stderr.write(build.stderr);
  process.stderr.write('\nThe benchmark was not run: its build failed.\n');
  process.exit(1);
}

// pnpm hands on a literal `--` between the script's name and its arguments; it is not for the benchmark.
const args = process.argv.slice(2);
if (args[0] === '--') args.shift();

const bench = spawn(process.execPath, [main, ...args], { stdio: 'inherit' });
// A signal to the group reaches the benchmark as well; stay until it has ended, and end as it did.
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
  process.on(signal, () => bench.kill(signal));
}
bench.on('exit', (status, signal) => process.exit(status ?? 128 + constants.signals[signal ?? 'SIGTERM']));
