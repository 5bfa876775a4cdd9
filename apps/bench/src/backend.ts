/**
 * Opens the file system that a mode stands for, on the processor that calls it.
 *
 * This is the one place that knows what is below the seam of postmark/files.ts. A backend is a file system, the hooks by
 * which it takes part in the workload (threads, swaps of files in use), and what it has to say when the run is over.
 */
import { spawn } from '@k42/rcu';
import type { InstanceSpec, SwapRecord } from './instanceTypes.ts';
import type { Mode } from './modes.ts';
import { CachedFiles } from './postmark/cachedFiles.ts';
import type { BenchFiles } from './postmark/files.ts';
import { PlainFiles } from './postmark/plainFiles.ts';
import type { WorkloadHooks } from './postmark/workload.ts';
import { Swapper } from './swapper.ts';

export interface Backend {
  readonly files: BenchFiles;
  readonly hooks: WorkloadHooks;
  /** Ends the backend's own work (swaps under way included) and reports the swaps that this processor initiated. */
  close(): Promise<SwapRecord[]>;
}

/** @throws NotAttachedError on a thread that is no processor, in the modes of the file cache */
export async function openBackend(mode: Mode, spec: InstanceSpec): Promise<Backend> {
  switch (mode) {
    case 'plain':
      return { files: new PlainFiles(), hooks: {}, close: async () => [] };
    case 'shared':
    case 'distributed':
      return {
        files: new CachedFiles(mode, spec.journal),
        hooks: { runTransaction: spawn },
        close: async () => [],
      };
    case 'hotswap': {
      const swapper = new Swapper(spec);
      return {
        files: new CachedFiles('shared', spec.journal),
        hooks: {
          runTransaction: spawn,
          betweenTransactions: (index) => swapper.transactionEnded(index),
          whileOpen: (file, path) => swapper.ownFileOpened(file, path),
        },
        close: () => swapper.close(),
      };
    }
  }
}
