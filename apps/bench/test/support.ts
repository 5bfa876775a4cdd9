/**
 * What several tests need: directories that vanish, a fleet in one thread, and file systems that misbehave.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { Backend } from '../src/backend.ts';
import type { Fleet } from '../src/fleet.ts';
import { runInstance, runInstanceOn } from '../src/instance.ts';
import type { InstanceResult, InstanceSpec } from '../src/instanceTypes.ts';
import type { BenchFile, BenchFiles } from '../src/postmark/files.ts';
import { DEFAULT_OPTIONS, type PostmarkOptions } from '../src/postmark/options.ts';
import { PlainFiles } from '../src/postmark/plainFiles.ts';
import type { SuiteContext } from '../src/suites/suite.ts';

/** A directory that is removed after the test. */
export function temporaryDirectory(): string {
  const path = mkdtempSync(join(tmpdir(), 'k42-bench-test-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

export function plainSpec(changed: Partial<PostmarkOptions>, more: Partial<InstanceSpec> = {}): InstanceSpec {
  const directory = more.directory ?? temporaryDirectory();
  const own = join(directory, 'p0');
  const journal = join(directory, 'journal');
  mkdirSync(own, { recursive: true });
  writeFileSync(journal, '');
  const options = { ...DEFAULT_OPTIONS, ...changed };
  const fixed = {
    mode: 'plain',
    processor: 0,
    processors: 1,
    seed: options.seed,
    keep: false,
    verify: false,
  } as const;
  return { ...fixed, options, ...more, directory: own, journal };
}

/** Several "processors" that are one thread: their instances take turns, transaction by transaction. */
export class InterleavedFleet implements Fleet {
  readonly processors: number;
  readonly #run: (spec: InstanceSpec) => Promise<InstanceResult>;
  closed = false;

  constructor(processors: number, run: (spec: InstanceSpec) => Promise<InstanceResult> = runInstance) {
    this.processors = processors;
    this.#run = run;
  }

  runInstance(_processor: number, spec: InstanceSpec): Promise<InstanceResult> {
    return this.#run(spec);
  }

  async close(): Promise<void> {
    this.closed = true;
  }
}

/** A context that is silent; its lines are collected in `said`. */
export function silentContext(
  run?: (spec: InstanceSpec) => Promise<InstanceResult>,
): SuiteContext & { said: string[]; fleets: InterleavedFleet[] } {
  const said: string[] = [];
  const fleets: InterleavedFleet[] = [];
  return {
    said,
    fleets,
    options: {},
    quick: false,
    openFleet: async (processors) => {
      const fleet = new InterleavedFleet(processors, run);
      fleets.push(fleet);
      return fleet;
    },
    progress: { begin: () => {}, end: () => {} },
    say: (line) => {
      said.push(line);
    },
  };
}

/** Runs an instance on `files` in place of the mode's own. */
export function onFiles(files: BenchFiles): (spec: InstanceSpec) => Promise<InstanceResult> {
  const backend: Backend = { files, hooks: {}, close: async () => [] };
  return (spec) => runInstanceOn(backend, spec);
}

/** Plain files whose opened files are replaced by what `change` makes of them. */
export class ChangedFiles extends PlainFiles {
  readonly #change: (file: BenchFile, path: string) => BenchFile;

  constructor(change: (file: BenchFile, path: string) => BenchFile) {
    super();
    this.#change = change;
  }

  override create(path: string): BenchFile {
    return this.#change(super.create(path), path);
  }

  override open(path: string, forAppend: boolean): BenchFile {
    return this.#change(super.open(path, forAppend), path);
  }
}

/** `file` with some methods replaced. */
export function withMethods(file: BenchFile, changed: Partial<BenchFile>): BenchFile {
  return {
    read: (into, position) => file.read(into, position),
    append: (from) => file.append(from),
    close: () => file.close(),
    ...changed,
  };
}

/** An error as `node:fs` throws it. */
export function systemError(code: string, text: string): Error {
  return Object.assign(new Error(`${code}: ${text}`), { code, errno: -1, syscall: 'write' });
}
