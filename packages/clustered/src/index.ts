/**
 * `@k42/clustered`: Clustered Objects. One identity per object in the whole process, a Root that anchors it, a
 * representative per processor, made where it is used.
 */
export * from './errors.ts';
export {
  defineImplementation,
  type Implementation,
  type ImplementationOptions,
  type RepClass,
  type RootClass,
} from './implementations.ts';
export { defineInterface, type Interface, type MethodKind, type Methods } from './interfaces.ts';
export {
  type Coid,
  create,
  DREF,
  destroy,
  handle,
  reviveCoid,
  type StoredCoid,
  storeCoid,
} from './objects.ts';
export { type Miss, Root, type RootContext } from './root.ts';
export { DistributedRoot, SharedRoot } from './roots.ts';
