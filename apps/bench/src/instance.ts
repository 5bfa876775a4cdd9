/**
 * One instance of PostMark, on the processor that calls it.
 *
 * This is a module of its own because every processor loads it: the machine runs the exported `runInstance` there with a
 * spec that came in a message, and sends the result back in one (`instanceTypes.ts`). Failures are thrown as they
 * come: who started the instances turns them into errors of the benchmark (`toBenchError`).
 */
import { type Backend, openBackend } from './backend.ts';
import { BenchStoppedError } from './errors.ts';
import type { InstanceResult, InstanceSpec, SwapRecord } from './instanceTypes.ts';
import { JournalWriter } from './postmark/journal.ts';
import { Progress } from './postmark/progress.ts';
import { Workload, type WorkloadHooks } from './postmark/workload.ts';

/** One for each instance on this JavaScript thread, from the moment it is asked for. */
const running = new Set<AbortController>();

/** Makes the instances on this processor, if any, fail at their next unit of work. Called by name. */
export function stopInstances(): void {
  for (const instance of running) instance.abort(new BenchStoppedError());
}

/** Called on every processor, by name. */
export async function runInstance(spec: InstanceSpec): Promise<InstanceResult> {
  return stoppably((stop) => openBackend(spec.mode, spec).then((backend) => runOn(backend, spec, stop)));
}

/** The same with a backend that is already open; closes it. */
export async function runInstanceOn(backend: Backend, spec: InstanceSpec): Promise<InstanceResult> {
  return stoppably((stop) => runOn(backend, spec, stop));
}

async function stoppably<T>(work: (stop: AbortSignal) => Promise<T>): Promise<T> {
  const instance = new AbortController();
  running.add(instance);
  try {
    return await work(instance.signal);
  } finally {
    running.delete(instance);
  }
}

async function runOn(backend: Backend, spec: InstanceSpec, stop: AbortSignal): Promise<InstanceResult> {
  const begun = performance.now();
  let swaps: SwapRecord[] = [];
  const workload = await runWorkload(backend, spec, stop).finally(async () => {
    swaps = await backend.close();
  });
  const { counts, transactions, transactionSeconds, verification } = workload;
  return {
    mode: spec.mode,
    processor: spec.processor,
    seed: spec.seed,
    counts,
    transactions,
    seconds: (performance.now() - begun) / 1000,
    transactionSeconds,
    transactionsPerSecond: transactionSeconds > 0 ? transactions / transactionSeconds : 0,
    swaps,
    verification,
  };
}

async function runWorkload(
  backend: Backend,
  spec: InstanceSpec,
  stop: AbortSignal,
): Promise<Awaited<ReturnType<Workload['run']>>> {
  const { options, seed, directory, keep, verify, processor, journal: path } = spec;
  const { files } = backend;
  const hooks = stoppable(backend.hooks, stop);
  const progress = spec.progress && new Progress(spec.progress, processor);
  const journal = await inUnit(hooks, async () => new JournalWriter(processor, await files.open(path, true)));
  try {
    return await new Workload({
      options,
      seed,
      directory,
      files,
      keep,
      verify,
      hooks,
      journal,
      progress,
    }).run();
  } catch (error) {
    // The first failure is the one to report.
    await inUnit(backend.hooks, () => journal.close()).catch(() => {});
    throw error;
  }
}

/** The same hooks, and a look at whether to stop before every unit of work. */
function stoppable(hooks: WorkloadHooks, stop: AbortSignal): WorkloadHooks {
  const run = hooks.runTransaction ?? ((work) => work());
  return {
    ...hooks,
    runTransaction: async (work) => {
      stop.throwIfAborted();
      await run(work);
    },
  };
}

/** Does `work` as one unit of work, as the workload does with its own. */
async function inUnit<T>(hooks: WorkloadHooks, work: () => Promise<T>): Promise<T> {
  if (!hooks.runTransaction) return work();
  let result: { value: T } | undefined;
  await hooks.runTransaction(async () => {
    result = { value: await work() };
  });
  if (result === undefined) throw new Error('a unit of work was not run');
  return result.value;
}
