// Prints `N passed, N failed`, counted from the reports that the last `pnpm test` left in each package. A file that could not
// be loaded and a package whose run left no report count as one failure each; so does a run that failed with no failed test
// (an unhandled error), which only its exit status tells.
//
//   tally.mjs <exit status of the run>
import './check-node.mjs';
import * as fs from 'node:fs';
import { dirname, join } from 'node:path';
import process from 'node:process';

const root = join(import.meta.dirname, '../../..');
const packages = fs
  .globSync('{packages,apps}/*/package.json', { cwd: root })
  .map((file) => join(root, dirname(file)))
  .filter((directory) => JSON.parse(fs.readFileSync(join(directory, 'package.json'), 'utf8')).scripts?.test);

let passed = 0;
let failed = 0;
for (const directory of packages) {
  const file = join(directory, '.vitest/report.json');
  if (fs.existsSync(file)) {
    const report = JSON.parse(fs.readFileSync(file, 'utf8'));
    passed += report.numPassedTests;
    failed += report.numFailedTests;
    failed += report.testResults.filter(isBroken).length;
  } else {
    failed += 1;
  }
}
if (failed === 0 && process.argv[2] !== '0') failed = 1;
console.log(`${passed} passed, ${failed} failed`);

/** @param {{ status: string, assertionResults: { status: string }[] }} file */
function isBroken({ status, assertionResults }) {
  return status === 'failed' && !assertionResults.some((result) => result.status === 'failed');
}
