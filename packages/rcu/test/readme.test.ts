/** Goal: the program at the top of the README works as it stands. Method: run it. */
import { fileURLToPath } from 'node:url';
import { runReadmeProgram } from '@k42/tooling/readme';
import { expect, test } from 'vitest';

test('the README program runs', async () => {
  const output = await runReadmeProgram(fileURLToPath(new URL('..', import.meta.url)));
  for (const number of [0, 1, 2]) expect(output).toContain(`from processor ${number}`);
  expect(output).toContain('2: nobody reads "hello" any more');
});
