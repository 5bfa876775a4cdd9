/**
 * `@k42/rcu`: processors over shared memory, threads in generations, grace periods, the shared-memory mutex.
 *
 * Also importable by subpath: `@k42/rcu/machine`, `@k42/rcu/generations`, `@k42/rcu/locks`.
 */
export * from './errors.ts';
export * from './generations.ts';
export * from './locks.ts';
export * from './machine.ts';
