/**
 * A fleet: the processors that the instances of a run execute on.
 *
 * `MachineFleet` is a Machine. Processor 0 is the calling thread, the others are its workers, and each has loaded
 * `instance.ts`. An instance runs as a program and not as a thread of its processor: it lasts for the whole run, and no
 * grace period could end before it.
 *
 * A fleet that is closed in the middle of instances asks them to stop: each fails at its next unit of work. A worker that
 * does not listen is terminated; the calling thread cannot be.
 */
import { extname } from 'node:path';
import { Machine } from '@k42/rcu';
import type { InstanceResult, InstanceSpec } from './instanceTypes.ts';

export interface Fleet {
  readonly processors: number;
  /** Runs an instance on that processor. Instances on different processors run at the same time. */
  runInstance(processor: number, spec: InstanceSpec): Promise<InstanceResult>;
  /** Stops the processors, in the middle of an instance if there is one, and waits until they have stopped. */
  close(): Promise<void>;
}

export type OpenFleet = (processors: number) => Promise<Fleet>;

const program: URL = new URL(`./instance${extname(import.meta.url)}`, import.meta.url);

/** For instances to end after they were asked to, and again for the machine. */
const CLOSE_DEADLINE_MS = 5_000;

class MachineFleet implements Fleet {
  readonly processors: number;
  readonly #machine: Machine;
  readonly #running = new Set<Promise<InstanceResult>>();

  constructor(machine: Machine) {
    this.#machine = machine;
    this.processors = machine.processors.length;
  }

  async runInstance(processor: number, spec: InstanceSpec): Promise<InstanceResult> {
    const running = this.#machine.run<InstanceResult>(processor, 'runInstance', [spec]);
    this.#running.add(running);
    try {
      return await running;
    } finally {
      this.#running.delete(running);
    }
  }

  async close(): Promise<void> {
    if (this.#running.size > 0) await this.#stop();
    await this.#machine.close({ closeDeadlineMs: CLOSE_DEADLINE_MS });
  }

  async #stop(): Promise<void> {
    for (let processor = 0; processor < this.processors; processor++) {
      this.#machine.run(processor, 'stopInstances').catch(() => {});
    }
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, CLOSE_DEADLINE_MS);
    await Promise.race([Promise.allSettled(this.#running), late]);
    clearTimeout(timer);
  }
}

/** @throws BootError */
export async function openFleet(processors: number): Promise<Fleet> {
  return new MachineFleet(await Machine.boot({ processors, program }));
}
