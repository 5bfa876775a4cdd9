/**
 * What processors ask of each other, as calls by name: loading modules, finishing, leaving.
 */
import { localDomains } from './domain.ts';
import { leave } from './leaving.ts';
import { INTRODUCE, INTRODUCED } from './membership.ts';
import type { Processor } from './processor.ts';
import type { Introduction } from './wire.ts';

export const BUILTIN = {
  LOAD: 'k42:load',
  /** The host's list of modules: read it, put one on it, say whether it could be loaded everywhere. */
  MODULES: 'k42:modules',
  EXTEND: 'k42:extend',
  SETTLE: 'k42:settle',
  /** Says how many callbacks have been handed in so far: as many as last time, and nothing was left to do. */
  FINISH: 'k42:finish',
  LEAVE: 'k42:leave',
} as const;

/** Makes a processor answer what every one does. */
export function registerBuiltins(processor: Processor): void {
  const { calls } = processor;
  calls.builtin(BUILTIN.LOAD, async (module: string) => void (await import(module)));
  calls.builtin(BUILTIN.FINISH, async () => {
    await processor.finish();
    return localDomains().reduce((sum, domain) => sum + (domain.partIfAny?.callbacks.handedIn ?? 0), 0);
  });
  // After the answer has gone out, in a later turn. A machine that closes has had everything finished before.
  calls.builtin(BUILTIN.LEAVE, (closing: boolean) => {
    setImmediate(() => {
      if (closing) processor.close();
      // Asked twice, it leaves once.
      else leave(processor).catch(() => {});
    });
  });
  processor.onSystemMessage(INTRODUCE, (from, payload) => {
    const introduction = payload as Introduction;
    processor.introduce(introduction);
    processor.post(from, INTRODUCED, introduction.number);
  });
}

/** Makes the host answer what concerns the list of modules. */
export function registerModuleList(processor: Processor, modules: string[]): void {
  const { calls } = processor;
  calls.builtin(BUILTIN.MODULES, () => modules);
  /** How many are loading a module, and whether one of them has succeeded. */
  const loads = new Map<string, { inProgress: number; succeeded: boolean }>();
  calls.builtin(BUILTIN.EXTEND, (module: string) => {
    const load = loads.get(module) ?? { inProgress: 0, succeeded: modules.includes(module) };
    loads.set(module, load);
    load.inProgress++;
    if (!modules.includes(module)) modules.push(module);
  });
  calls.builtin(BUILTIN.SETTLE, (module: string, succeeded: boolean) => {
    const load = loads.get(module);
    if (load === undefined) return;
    load.inProgress--;
    load.succeeded ||= succeeded;
    if (load.inProgress !== 0) return;
    loads.delete(module);
    // Nobody has it everywhere: who joins must not fail by it.
    if (!load.succeeded) modules.splice(modules.indexOf(module), 1);
  });
}
