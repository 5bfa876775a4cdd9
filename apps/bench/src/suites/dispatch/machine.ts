/** The machines of the suite `dispatch`: one for each measurement, with a fresh worker that measures while the host waits. */
import type { RemoteModule } from '@k42/rcu';
import { onMachine } from '../../onMachine.ts';

type Program = typeof import('../../dispatch.ts');

const WORKER = 1;

/** Boots a machine for `measure`, which is told which processor is the worker. */
export function onWorker<R>(
  measure: (program: RemoteModule<Program>, worker: number) => Promise<R>,
): Promise<R> {
  return onMachine<Program, R>({ processors: WORKER + 1, program: 'dispatch' }, (program) =>
    measure(program, WORKER),
  );
}
