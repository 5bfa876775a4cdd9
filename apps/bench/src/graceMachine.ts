/**
 * The machines of the suite `grace`.
 */
import type { RemoteModule } from '@k42/rcu';
import { onMachine as onMachineOf } from './onMachine.ts';

type Program = typeof import('./grace.ts');

export type GraceProgram = RemoteModule<Program>;

/** A machine for one measurement. @throws as `onMachine` of any suite does */
export function onMachine<R>(processors: number, use: (program: GraceProgram) => Promise<R>): Promise<R> {
  return onMachineOf<Program, R>({ processors, program: 'grace' }, use);
}
