/** Goal: the program at the top of the README works as it stands. Method: run it. */
import { fileURLToPath } from 'node:url';
import { runReadmeProgram } from '@k42/tooling/readme';
import { expect, test } from 'vitest';

test('the README program runs', async () => {
  const output = await runReadmeProgram(fileURLToPath(new URL('..', import.meta.url)));
  expect(output.match(/hello \(1\)/g)).toHaveLength(3);
  expect(output).toContain('[ 0, 1, 2 ] greeter/count@1');
  expect(output.match(/good morning \(2\)/g)).toHaveLength(3);
});
