// The bundler configuration of every package: ES modules, one chunk per shared module (so that module state is single
// across entry points), all entry points flat in dist/ (so that a worker file lies beside the chunk that spawns it).
// Type declarations come from tsc: see tsconfig.build.json in each package.
import './bin/check-node.mjs';
import { defineConfig } from 'tsup';

/** @param {string[]} entry the entry points, all directly in src/ */
export const bundle = (entry) =>
  defineConfig({
    entry,
    format: 'esm',
    target: 'node22',
    platform: 'node',
    splitting: true,
    sourcemap: true,
    clean: true,
    dts: false,
    removeNodeProtocol: false,
  });
