/**
 * What a machine asks of its own processors, as calls by name: loading modules, meeting each other, leaving.
 */
import type { Processor } from './processor.ts';
import type { PeerPorts } from './wire.ts';

export const BUILTIN = {
  LOAD: 'k42:load',
  INTRODUCE: 'k42:introduce',
  FINISH: 'k42:finish',
  LEAVE: 'k42:leave',
} as const;

/** Makes a processor answer them. */
export function registerBuiltins(processor: Processor): void {
  const { calls } = processor;
  calls.builtin(BUILTIN.LOAD, async (modules: readonly string[]) => {
    for (const module of modules) await import(module);
  });
  calls.builtin(BUILTIN.INTRODUCE, (number: number, ports: PeerPorts) => processor.introduce(number, ports));
  calls.builtin(BUILTIN.FINISH, () => processor.finish());
  // After the answer has gone out, in a later turn.
  calls.builtin(BUILTIN.LEAVE, () => void setImmediate(() => processor.close()));
}
