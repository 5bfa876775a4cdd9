/**
 * The machines of the suite `dispatch`: each with a fresh worker, which measures while the host waits.
 *
 * A measurement is made on several of them, one after the other, because a loop of a nanosecond or two depends on where V8
 * happens to put its code, which stays as it is for as long as a worker lives: the direct call takes 0.85 ns on some workers and
 * 1.15 on others. The samples of all are put together.
 */
import type { RemoteModule } from '@k42/rcu';
import type { Result } from '../../dispatch/passes.ts';
import { onMachine } from '../../onMachine.ts';

type Program = typeof import('../../dispatch.ts');

const WORKER = 1;

/** Has `measure`, which is told which processor is the worker, called on so many machines. */
export async function onWorkers<Way extends string>(
  workers: number,
  measure: (program: RemoteModule<Program>, worker: number) => Promise<Result<Way>>,
): Promise<Result<Way>> {
  const results: Result<Way>[] = [];
  for (let index = 0; index < workers; index++)
    results.push(
      await onMachine<Program, Result<Way>>({ processors: WORKER + 1, program: 'dispatch' }, (program) =>
        measure(program, WORKER),
      ),
    );
  return results.reduce(together);
}

/** Of each way, the samples of both, in the same order for all. */
function together<Way extends string>(one: Result<Way>, other: Result<Way>): Result<Way> {
  const samples = { ...one.samples };
  for (const way of Object.keys(samples) as Way[]) samples[way] = [...samples[way], ...other.samples[way]];
  return { samples, strays: one.strays + other.strays };
}
