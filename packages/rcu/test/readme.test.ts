/** Goal: the program at the top of the README works as it stands. Method: run it. */
import { fileURLToPath } from 'node:url';
import { runReadmeProgram } from '@k42/tooling/readme';
import { expect, test } from 'vitest';

test('the README program runs', async () => {
  const output = await runReadmeProgram(fileURLToPath(new URL('..', import.meta.url)));
  expect(output).toContain('good morning, again');
  expect(output).toContain("[ 'hello, world', 'hello, world' ]");
  expect(output.match(/closed "hello"/g)).toHaveLength(2);
});
