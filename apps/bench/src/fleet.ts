/**
 * A fleet: the processors that the instances of a run execute on.
 *
 * `LocalFleet` is the calling thread alone, which is one processor.
 */
import { BenchUnavailableError } from './errors.ts';
import { type InstanceResult, type InstanceSpec, runInstance } from './instance.ts';

export interface Fleet {
  readonly processors: number;
  /** Runs an instance on that processor. Instances on different processors run at the same time. */
  runInstance(processor: number, spec: InstanceSpec): Promise<InstanceResult>;
  /** Stops the processors, in the middle of an instance if there is one, and waits until they have stopped. */
  close(): Promise<void>;
}

export type OpenFleet = (processors: number) => Promise<Fleet>;

export class LocalFleet implements Fleet {
  readonly processors: number = 1;

  runInstance(_processor: number, spec: InstanceSpec): Promise<InstanceResult> {
    return runInstance(spec);
  }

  async close(): Promise<void> {}
}

/** @throws BenchUnavailableError if there cannot be so many */
export async function openFleet(processors: number): Promise<Fleet> {
  if (processors === 1) return new LocalFleet();
  // The fleet made of a Machine belongs here: processor 0 is this thread, the others are its workers.
  throw new BenchUnavailableError(
    `${processors} processors need the machine, which this build does not have`,
  );
}
