#!/usr/bin/env node
// The layering check: fails where an import points the wrong way. Which package may use which is said once, by the tags
// in turbo.json.
//
//   boundaries.mjs          at the root: the whole repository (`pnpm boundaries`)
//   k42-boundaries <folder> in a package: that folder of it and its manifest (part of every build)
//
// `turbo boundaries` checks the dependency graph against the tags, and import statements. It does not see (tried with
// 2.11): `import('x')` types, `import x = require('x')`, require, import.meta.resolve, new URL and other paths made from
// literals, references in comments, .mts files, tsconfig paths, peer dependencies, packages without a tag. The rest of
// this program does.
import './check-node.mjs';
import { spawnSync } from 'node:child_process';
import process from 'node:process';
import { checkFiles, checkManifest, readWorkspace } from '../boundaries.mjs';

const workspace = readWorkspace(process.cwd());
const folder = process.argv[2];
let failed = false;

if (folder === undefined) {
  const env = { ...process.env, TURBO_TELEMETRY_DISABLED: '1' };
  const { status, error } = spawnSync('turbo', ['boundaries'], {
    stdio: 'inherit',
    cwd: workspace.root,
    env,
  });
  if (error) throw error;
  failed = status !== 0;
}

const packages = [...workspace.packages.values()].filter(
  ({ directory }) => folder === undefined || directory === process.cwd(),
);
if (packages.length === 0) throw new Error(`No package of the workspace in ${process.cwd()}`);

for (const member of packages) {
  for (const problem of [...checkManifest(member, workspace), ...checkFiles(member, workspace, folder)]) {
    console.error(problem);
    failed = true;
  }
}
process.exit(failed ? 1 : 0);
