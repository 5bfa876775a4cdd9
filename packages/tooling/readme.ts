// Runs the first program of a README, so that what a newcomer pastes is known to work: extracts the first ```ts block,
// writes it into the package (where its imports resolve) and runs it from source under this Node.
import { execFile } from 'node:child_process';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/**
 * Runs the first program of the README in a package's directory and gives what it wrote to standard output.
 * @throws if the README has no program, or it fails or outlasts 30 seconds
 */
export async function runReadmeProgram(directory: string): Promise<string> {
  const readme = await readFile(join(directory, 'README.md'), 'utf8');
  const program = /```ts\n([\s\S]*?)```/.exec(readme)?.[1];
  if (program === undefined) throw new Error(`${directory}/README.md has no program`);
  const folder = join(directory, '.vitest', `readme-${process.pid}`);
  const file = join(folder, 'program.ts');
  await mkdir(folder, { recursive: true });
  try {
    await writeFile(file, program);
    const args = ['--conditions=@k42/source', '--disable-warning=ExperimentalWarning', file];
    const { stdout } = await run(process.execPath, args, { timeout: 30_000, cwd: folder });
    return stdout;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
