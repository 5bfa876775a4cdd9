// The test configuration of every package. Tests run from the sources, siblings included: through the condition
// `@k42/source`, once for what vite resolves and once for what Node resolves itself (nested workers inherit execArgv).
import './bin/check-node.mjs';
import { existsSync } from 'node:fs';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  ssr: { resolve: { conditions: ['@k42/source', 'module', 'node', 'development|production'] } },
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    execArgv: ['--conditions=@k42/source'],
    testTimeout: 30_000,
    hookTimeout: 30_000,
    passWithNoTests: !existsSync('test'),
    reporters: ['default', ['json', { outputFile: '.vitest/report.json' }]],
  },
});
