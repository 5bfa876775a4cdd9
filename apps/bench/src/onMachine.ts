/**
 * The machines of the suites that measure mechanisms: booted for one measurement, closed after it.
 *
 * A processor's program is one of the entries of this package, all of which lie beside this file, as sources and bundled.
 */
import { extname } from 'node:path';
import { Machine, type RemoteModule } from '@k42/rcu';

/** For whatever is run on a processor. The longest measurement takes a tenth of it. */
const BOUNDED = { deadlineMs: 300_000 };

export interface MachineOptions {
  readonly processors: number;
  /** The program's name: that of its file without its ending, in messages too. */
  readonly program: string;
}

/**
 * Boots a machine, makes this thread its processor 0, and closes it when `use` is done. `Program` is the type of the
 * program's module.
 * @throws BootError; what `use` throws, among it DeadlineError for a processor that does not answer
 */
export async function onMachine<Program, R>(
  { processors, program: name }: MachineOptions,
  use: (program: RemoteModule<Program>) => Promise<R>,
): Promise<R> {
  const program = new URL(`./${name}${extname(import.meta.url)}`, import.meta.url);
  await using machine = await Machine.boot({ processors, program, name });
  const remote = machine.module<Program>();
  return await use({
    call: (to, name, args, options) => remote.call(to, name, args, { ...BOUNDED, ...options }),
    run: (to, name, args, options) => remote.run(to, name, args, { ...BOUNDED, ...options }),
  });
}
