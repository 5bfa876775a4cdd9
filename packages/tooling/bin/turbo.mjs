// Runs turbo for the scripts of the root package: after the check of the Node version, and with telemetry off, which no
// setting in turbo.json can do.
import './check-node.mjs';
import { spawnSync } from 'node:child_process';
import process from 'node:process';

const { status, error } = spawnSync('turbo', process.argv.slice(2), {
  stdio: 'inherit',
  env: { ...process.env, TURBO_TELEMETRY_DISABLED: '1' },
});
if (error) throw error;
process.exit(status ?? 1);
