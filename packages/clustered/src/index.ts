/**
 * `@k42/clustered`: Clustered Objects. One identity per object in the whole process, a Root that anchors it, a
 * representative per processor, made where it is used.
 */
export * from './errors.ts';
export {
  type AnyImplementation,
  type Distribution,
  defineImplementation,
  type Implementation,
  type ImplementationOptions,
  type RepClass,
  type RootClass,
} from './implementations.ts';
export {
  type AnyInterface,
  defineInterface,
  type Interface,
  type KindOf,
  type Method,
  type MethodKind,
  type Methods,
} from './interfaces.ts';
export { liveObjects, type ObjectCounts, type ObjectInfo, objectCounts } from './introspection.ts';
export { defineLayout, type Field, type FieldType, type Layout } from './layout.ts';
export {
  type Argument,
  type Coid,
  configureObjects,
  create,
  type DestroyOptions,
  DREF,
  destroy,
  dropIdleReps,
  handle,
  nameObject,
  type ObjectsOptions,
  objectNamed,
  obtain,
  reviveCoid,
  reviveHandle,
  type StoredCoid,
  storeCoid,
  unnameObject,
} from './objects.ts';
export { type Miss, Root, type RootContext } from './root.ts';
export { ClusteredRoot, DistributedRoot, SharedRoot } from './roots.ts';
