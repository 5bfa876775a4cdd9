/**
 * What processors ask of each other, as calls by name: loading modules, finishing, leaving.
 */
import { leave } from './leaving.ts';
import { INTRODUCE, INTRODUCED } from './membership.ts';
import type { Processor } from './processor.ts';
import type { Introduction } from './wire.ts';

export const BUILTIN = {
  LOAD: 'k42:load',
  /** The host's list of modules: read it, put one on it (says whether it is new), take one off. */
  MODULES: 'k42:modules',
  EXTEND: 'k42:extend',
  SHRINK: 'k42:shrink',
  FINISH: 'k42:finish',
  LEAVE: 'k42:leave',
} as const;

/** Makes a processor answer what every one does. */
export function registerBuiltins(processor: Processor): void {
  const { calls } = processor;
  calls.builtin(BUILTIN.LOAD, async (module: string) => void (await import(module)));
  calls.builtin(BUILTIN.FINISH, () => processor.finish());
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
  calls.builtin(BUILTIN.EXTEND, (module: string) => {
    if (modules.includes(module)) return false;
    modules.push(module);
    return true;
  });
  calls.builtin(BUILTIN.SHRINK, (module: string) => {
    const at = modules.indexOf(module);
    if (at !== -1) modules.splice(at, 1);
  });
}
