/**
 * `@k42/hotswap`: replacing the implementation of an object while it is being called, with its state, on all
 * processors at once or on none.
 */
export * from './errors.ts';
export type { ProcessorReport } from './report.ts';
export { type SwapOptions, type SwapReport, swap } from './swap.ts';
export { negotiate, type Part, type SwappableRoot, type SwappableRootClass } from './swappable.ts';
