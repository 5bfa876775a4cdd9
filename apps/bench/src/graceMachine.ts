/**
 * The machines of the suite `grace`: booted for one measurement, closed after it.
 */
import { extname } from 'node:path';
import { Machine, type RemoteModule } from '@k42/rcu';

export type GraceProgram = RemoteModule<typeof import('./grace.ts')>;

/** For whatever is run on a processor. The longest measurement takes a tenth of it. */
const BOUNDED = { deadlineMs: 300_000 };

const program: URL = new URL(`./grace${extname(import.meta.url)}`, import.meta.url);

/**
 * Boots a machine, makes this thread its processor 0, and closes it when `use` is done.
 * @throws BootError; what `use` throws, among it DeadlineError for a processor that does not answer
 */
export async function onMachine<R>(
  processors: number,
  use: (program: GraceProgram) => Promise<R>,
): Promise<R> {
  await using machine = await Machine.boot({ processors, program, name: 'grace' });
  const remote = machine.module<typeof import('./grace.ts')>();
  return await use({
    call: (to, name, args, options) => remote.call(to, name, args, { ...BOUNDED, ...options }),
    run: (to, name, args, options) => remote.run(to, name, args, { ...BOUNDED, ...options }),
  });
}
