// Rehearses a release in a scratch copy of the repository: what is pending is released first; then a change of one package
// that its dependents' ranges do not cover must bump that package as declared, every dependent by a patch, and the ranges in
// what would be published. Nothing is published.
//
//   rehearse-release.mjs <folder> <package>
//
// The folder is a git repository with one commit and with the built dist folders in place; all packages depend on the one
// named, directly or not.
import './check-node.mjs';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { dirname, join } from 'node:path';
import process from 'node:process';

const root = join(import.meta.dirname, '../../..');
const copy = process.argv[2] ?? '';
const base = process.argv[3] ?? '';

/** @typedef {{ version: string, directory: string, dependencies: Record<string, string> }} Published */

/**
 * @param {string} program
 * @param {string[]} args
 */
const run = (program, args, cwd = copy) => execFileSync(program, args, { cwd, encoding: 'utf8' });

function applyChangesets() {
  run(process.execPath, [join(root, 'node_modules/@changesets/cli/bin.js'), 'version']);
  run('git', ['add', '--all']);
  run('git', [
    '-c',
    'user.name=rehearsal',
    '-c',
    'user.email=rehearsal@localhost',
    'commit',
    '-qm',
    'Version packages',
  ]);
}

/** @returns {Map<string, Published>} the packages that are published, by name */
function published() {
  const packages = new Map();
  for (const file of fs.globSync('packages/*/package.json', { cwd: copy })) {
    const manifest = JSON.parse(fs.readFileSync(join(copy, file), 'utf8'));
    const { name, version, dependencies = {} } = manifest;
    if (!manifest.private)
      packages.set(name, { version, dependencies, directory: join(copy, dirname(file)) });
  }
  return packages;
}

/**
 * The next version. Below 1.0.0 a minor one leaves a caret range, from then on only a major one does.
 *
 * @param {string} version
 * @param {string} type
 */
function bumped(version, type) {
  const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number);
  if (type === 'major') return `${major + 1}.0.0`;
  return type === 'minor' ? `${major}.${minor + 1}.0` : `${major}.${minor}.${patch + 1}`;
}

if (fs.globSync('.changeset/*.md', { cwd: copy }).length > 0) applyChangesets();
const before = published();
const type = before.get(base)?.version.startsWith('0.') ? 'minor' : 'major';
fs.writeFileSync(join(copy, '.changeset/rehearsal.md'), `---\n'${base}': ${type}\n---\n\nRehearsal.\n`);
applyChangesets();

const after = published();
assert.equal(after.size, before.size);
for (const [name, { version, directory, dependencies }] of after) {
  const old = before.get(name)?.version ?? '';
  assert.equal(version, bumped(old, name === base ? type : 'patch'), `the new version of ${name}`);
  assert(fs.existsSync(join(directory, 'dist/index.js')), `${name} is built`);

  const { filename } = JSON.parse(run('pnpm', ['pack', '--json', '--pack-destination', copy], directory));
  const manifest = JSON.parse(run('tar', ['-xOf', filename, 'package/package.json']));
  for (const dependency of Object.keys(dependencies).filter((other) => after.has(other))) {
    assert.equal(
      manifest.dependencies[dependency],
      `^${after.get(dependency)?.version}`,
      `${name} on ${dependency}`,
    );
  }
  assert(!JSON.stringify(manifest.exports).includes('@k42/source'), `${name} exports no sources`);

  run('pnpm', ['publish', '--dry-run', '--no-git-checks'], directory);
  console.log(`${name} ${old} -> ${version}`);
}
