// Goal: the layering check refuses every way to point an import the wrong way, and nothing else. Method: a scratch
// copy of the workspace's manifests and rules with empty sources, into which each test puts one wrong thing; the check
// must then fail and name the place. The same check on the real sources is `pnpm boundaries`, and part of every build.
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

const root = join(import.meta.dirname, '../../..');
const program = join(import.meta.dirname, '../bin/boundaries.mjs');
const COPIED =
  '{package.json,pnpm-*.yaml,turbo.json,{packages,apps}/*/{package.json,turbo.json,tsconfig*.json}}';
const MIDDLE = 'packages/clustered';
/** Put together here, for as a literal the check would refuse it in this file too. */
const ABOVE = ['@k42', 'hotswap'].join('/');

let scratch: string;
const undo: (() => void)[] = [];

beforeAll(() => {
  scratch = realpathSync(mkdtempSync(join(tmpdir(), 'k42-boundaries-')));
  for (const file of globSync(COPIED, { cwd: root })) {
    cpSync(join(root, file), join(scratch, file));
    if (file.endsWith('package.json') && dirname(file) !== '.')
      put(`${dirname(file)}/src/index.ts`, 'export {};');
  }
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
afterEach(() => {
  for (const restore of undo.splice(0)) restore();
});

function put(file: string, text: string): void {
  mkdirSync(dirname(join(scratch, file)), { recursive: true });
  writeFileSync(join(scratch, file), `${text}\n`);
}

function putForOneTest(file: string, text: string): void {
  put(file, text);
  undo.push(() => rmSync(join(scratch, file)));
}

function editManifest(directory: string, section: string, value: Record<string, string>): void {
  const file = `${directory}/package.json`;
  const before = readFileSync(join(scratch, file), 'utf8');
  const manifest = JSON.parse(before);
  put(file, JSON.stringify({ ...manifest, [section]: { ...manifest[section], ...value } }));
  undo.push(() => writeFileSync(join(scratch, file), before));
}

function check(directory = '.', ...args: string[]): { status: number | null; output: string } {
  const cwd = join(scratch, directory);
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
    cwd,
    encoding: 'utf8',
  });
  return { status, output: stdout + stderr };
}

/** Refused in the package's own build, and named. */
function expectBuildRefuses(directory: string, place: string): void {
  const { status, output } = check(directory, 'src');
  expect(output).toContain(place);
  expect(status).toBe(1);
}

/** Refused by the check of the whole workspace, and named. */
function expectRefused(place: string): void {
  const { status, output } = check();
  expect(output).toContain(place);
  expect(status).toBe(1);
}

describe('accepted', () => {
  test('empty sources', () => {
    const { status, output } = check();
    expect(output).toContain('no issues found');
    expect(status).toBe(0);
  });

  test.each([
    "import '@k42/rcu';",
    "import '@k42/rcu/locks';",
    "export * from './other.ts';",
    "await import('@k42/rcu');",
    "import.meta.resolve('@k42/rcu/machine');",
    "import 'node:fs';",
    'export const load = (name: string) => import(name);',
    "throw new Error('see ../../fcm and @k42/fcm');",
  ])('%s', (text) => {
    putForOneTest(`${MIDDLE}/src/other.ts`, 'export {};');
    putForOneTest(`${MIDDLE}/src/right.ts`, text);
    for (const { status, output } of [check(), check(MIDDLE, 'src')]) {
      expect(output).not.toContain('right.ts');
      expect(status).toBe(0);
    }
  });
});

describe('refused', () => {
  test.each([
    // By the name of a package above.
    "import '@k42/hotswap';",
    "import { x } from '@k42/fcm';",
    "import type { X } from '@k42/hotswap';",
    "import { type X } from '@k42/hotswap';",
    "export { x } from '@k42/hotswap';",
    "export * from '@k42/hotswap';",
    "export type { X } from '@k42/hotswap';",
    "await import('@k42/hotswap');",
    'await import(`@k42/hotswap`);',
    "const name = '@k42/hotswap'; await import(name);",
    "export type X = import('@k42/hotswap').X;",
    "import x = require('@k42/hotswap');",
    "require('@k42/hotswap');",
    "import.meta.resolve('@k42/hotswap');",
    "import '@k42/hotswap/internal/mediator';",
    "import '@k42/bench';",
    '/// <reference types="@k42/hotswap" />',
    "// @boundaries-ignore it is only for now\nimport '@k42/hotswap';",
    // By a relative path into another package, above or below.
    "import '../../hotswap/src/index.ts';",
    "import '../../rcu/src/index.ts';",
    "import type { X } from '../../hotswap/src/index.ts';",
    "export * from '../../hotswap/src/index.ts';",
    "await import('../../hotswap/src/index.ts');",
    "export type X = import('../../hotswap/src/index.ts').X;",
    "new URL('../../hotswap/src/index.ts', import.meta.url);",
    '/// <reference path="../../hotswap/src/index.ts" />',
    "import '../../../turbo.json';",
    // Below, but what the package does not export; or what it only has for its tests; or does not declare at all.
    "import '@k42/rcu/internal/layout';",
    "import '@k42/rcu/src/index.ts';",
    "import 'vitest';",
    "import type { Options } from 'tsup';",
    "import 'not-declared';",
    "export type X = import('not-declared').X;",
    "import x = require('not-declared');",
  ])('%s', (text) => {
    putForOneTest(`${MIDDLE}/src/wrong.ts`, text);
    expectBuildRefuses(MIDDLE, 'wrong.ts');
  });

  test.each(['wrong.mts', 'wrong.cts', 'wrong.mjs', 'wrong.js', 'internal/wrong.ts'])('in src/%s', (file) => {
    putForOneTest(`${MIDDLE}/src/${file}`, "import '@k42/hotswap';");
    expectBuildRefuses(MIDDLE, 'wrong');
  });

  test('in a test', () => {
    putForOneTest(`${MIDDLE}/test/wrong.test.ts`, "import '@k42/hotswap';");
    expectRefused('wrong.test.ts');
  });

  test.each(['rcu', 'clustered', 'hotswap', 'fcm'])('an import of the layer above %s', (layer) => {
    const above = { rcu: 'clustered', clustered: 'hotswap', hotswap: 'fcm', fcm: 'bench' }[layer];
    putForOneTest(`packages/${layer}/src/wrong.ts`, `import '@k42/${above}';`);
    expectBuildRefuses(`packages/${layer}`, 'wrong.ts');
    expectRefused('wrong.ts');
  });

  test.each(['dependencies', 'devDependencies', 'peerDependencies', 'optionalDependencies'])(
    'a package above among the %s',
    (section) => {
      editManifest(MIDDLE, section, { [ABOVE]: 'workspace:^' });
      putForOneTest(`${MIDDLE}/src/wrong.ts`, "import '@k42/hotswap';");
      expectBuildRefuses(MIDDLE, ABOVE);
      expectRefused(ABOVE);
    },
  );

  test('a package above under a name of its own (imports)', () => {
    editManifest(MIDDLE, 'imports', { '#above': ABOVE });
    expectRefused('package.json');
  });

  test('a package above under its name for the compiler only (paths)', () => {
    putForOneTest(
      `${MIDDLE}/tsconfig.wrong.json`,
      '{ "compilerOptions": { "paths": { "x": ["../hotswap/src"] } } }',
    );
    expectRefused('tsconfig.wrong.json');
  });

  test('a package without a place among the layers', () => {
    putForOneTest('packages/new/package.json', '{ "name": "@k42/new" }');
    expectRefused('@k42/new');
  });
});
