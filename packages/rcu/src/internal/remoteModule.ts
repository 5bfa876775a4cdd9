/**
 * Typed calls of the exported functions of one module, wherever they run.
 */
import { InvalidArgumentError } from '../errors.ts';
import { moduleUrl, type Processor } from './processor.ts';
import type { CallOptions, Moving } from './remoteCalls.ts';

/** The exported functions of a module, by name. */
type Functions<M> = { [K in keyof M]: M[K] extends (...args: never[]) => unknown ? K : never }[keyof M] &
  string;
type Arguments<F> = F extends (...args: infer A) => unknown ? A : never;
type Result<F> = F extends (...args: never[]) => infer R ? Unmoved<Awaited<R>> : never;
type Unmoved<R> = R extends Moving<infer T> ? T : R;

/** Typed calls of the exported functions of one module; see `Machine.module`. */
export interface RemoteModule<M> {
  call<K extends Functions<M>>(
    processor: number,
    name: K,
    args: Arguments<M[K]>,
    options?: CallOptions,
  ): Promise<Result<M[K]>>;
  run<K extends Functions<M>>(
    processor: number,
    name: K,
    args: Arguments<M[K]>,
    options?: CallOptions,
  ): Promise<Result<M[K]>>;
}

/** @throws InvalidArgumentError if there is no module to call */
export function remoteModule<M>(processor: Processor, module: URL | string | undefined): RemoteModule<M> {
  const url = module === undefined ? processor.program : moduleUrl(module);
  if (url === undefined)
    throw new InvalidArgumentError('The machine was booted without a program: name a module.');
  return {
    call: (to, name, args, options) => processor.call(to, { module: url, name }, args, options),
    run: (to, name, args, options) => processor.run(to, { module: url, name }, args, options),
  };
}
