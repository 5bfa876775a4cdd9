/**
 * Temporary directories that do not outlive the process, however it ends.
 *
 * Normally who made one removes it. What is left when the process exits, by a signal for instance, is removed then, while
 * workers may still be creating files: so a tree is first renamed, which makes every path that anybody still uses end in
 * ENOENT, and then removed in peace.
 */
import { accessSync, constants, existsSync, mkdtempSync, renameSync, rmSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { BenchDirectoryError, BenchInterruptedError, BenchIoError, toBenchError } from '../errors.ts';

export interface TemporaryTree {
  readonly path: string;
  /** From now on it is the user's. */
  keep(): void;
  /** Does nothing if it is kept, or removed already. */
  remove(): void;
}

const live = new Set<TemporaryTree>();

/** The process ends only after its exit handlers, by whatever way it came here; workers may still run then. */
function removeAtExit(): void {
  for (const tree of live) tree.remove();
}

/** @throws BenchError if `parent` is no directory that one can work in, or is full */
export function makeTemporaryTree(parent: string, prefix: string): TemporaryTree {
  const directory = resolve(parent);
  let path: string;
  try {
    if (!statSync(directory).isDirectory()) throw new Error('it is not a directory');
    accessSync(directory, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    throw new BenchDirectoryError(directory, error);
  }
  try {
    path = mkdtempSync(join(directory, prefix));
  } catch (error) {
    const failure = toBenchError(error, directory);
    throw failure instanceof BenchIoError ? new BenchDirectoryError(directory, error) : failure;
  }
  const tree: TemporaryTree = {
    path,
    keep: () => {
      live.delete(tree);
    },
    remove: () => {
      if (live.delete(tree)) removeTree(path);
    },
  };
  if (live.size === 0 && !process.listeners('exit').includes(removeAtExit)) process.on('exit', removeAtExit);
  live.add(tree);
  return tree;
}

function removeTree(path: string): void {
  const aside = `${path}.removed`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if (existsSync(path)) throw error;
    return; // Somebody else has removed it.
  }
  rmSync(aside, { recursive: true, force: true });
}

/** 128 + the number of the signal, as shells report it. */
const SIGNALS = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

/** From now on, signals end the process in an orderly way. `report` gets the reason first. */
export function endOnSignals(report: (error: BenchInterruptedError) => void): void {
  for (const [signal, status] of Object.entries(SIGNALS)) {
    // Not `once`: a second signal, from whoever passes them on, must not strike while files are being removed.
    process.on(signal, () => {
      report(new BenchInterruptedError(signal, status));
      process.exit(status);
    });
  }
}
