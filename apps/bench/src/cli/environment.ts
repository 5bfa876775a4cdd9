/**
 * The environment block: what a stranger needs to know to judge, or repeat, a measurement.
 */
import { type ExecFileSyncOptionsWithStringEncoding, execFileSync } from 'node:child_process';
import { statfsSync } from 'node:fs';
import { availableParallelism, cpus, release, totalmem } from 'node:os';

export interface Environment {
  cpu: string;
  /** Logical processors that this process may use. */
  cores: number;
  memoryBytes: number;
  platform: string;
  node: string;
  v8: string;
  /** Of Node and V8. */
  flags: string[];
  /** With `+changes` if the working tree differs from it; null outside a repository. */
  commit: string | null;
  date: string;
  /** The command line after the program's name. */
  arguments: string[];
  /** The directory of the files and what kind of file system it is on, if files are used. */
  files?: { directory: string; filesystem: string };
}

/** The magic numbers of statfs(2) that are likely under a temporary directory. */
const FILESYSTEMS: Readonly<Record<number, string>> = {
  61267: 'ext4',
  16914836: 'tmpfs',
  1481003842: 'xfs',
  2035054128: 'overlayfs',
  2435016766: 'btrfs',
  801189825: 'zfs',
  26985: 'nfs',
};

export function describeEnvironment(directory?: string): Environment {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    platform: `${process.platform} ${process.arch} ${release()}`,
    node: process.version,
    v8: process.versions.v8,
    flags: [...process.execArgv, ...(process.env.NODE_OPTIONS?.split(/\s+/).filter(Boolean) ?? [])],
    commit: commit(),
    date: new Date().toISOString(),
    arguments: process.argv.slice(2),
    ...(directory === undefined ? {} : { files: { directory, filesystem: filesystem(directory) } }),
  };
}

function commit(): string | null {
  const hash = git('rev-parse', 'HEAD');
  if (hash === null) return null;
  return git('status', '--porcelain') ? `${hash}+changes` : hash;
}

function git(...args: string[]): string | null {
  try {
    const quiet: ExecFileSyncOptionsWithStringEncoding = {
      cwd: import.meta.dirname,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    };
    return execFileSync('git', args, quiet).trim();
  } catch {
    return null;
  }
}

function filesystem(directory: string): string {
  try {
    const { type } = statfsSync(directory);
    return FILESYSTEMS[type] ?? `0x${type.toString(16)}`;
  } catch {
    return 'unknown';
  }
}
