/**
 * `@k42/hotswap`: replacing the implementation of an object while it is being called, with its state, on all
 * processors at once or on none.
 */
export * from './errors.ts';
export { type Hindrance, hindranceToString } from './hindrance.ts';
export { type PartReport, type Phases, type ProcessorReport, type Span, SwapReport } from './report.ts';
export { type SwapInProgress, swapsInProgress } from './snapshot.ts';
export { type ImplementationInModule, revert, type SwapOptions, swap } from './swap.ts';
export { negotiate, type Part, type SwappableRoot, type SwappableRootClass } from './swappable.ts';
export { type Trace, type TraceEvent, traceOf } from './trace.ts';
export { UpgradeError, type UpgradeOptions, upgrade } from './upgrade.ts';
