/**
 * Interfaces: what a client may call on an object, whatever implements it.
 *
 * An interface is declared once, with the kind of every method, because a method's kind decides how a call is kept
 * safe: a synchronous one ends within its turn; an asynchronous one lasts until its promise settles and is counted as
 * a thread for so long; a waiting one and an iterator may last for hours and are counted on the object alone. The type
 * checker refuses a declaration that disagrees with the TypeScript type.
 */
import { NameError } from './errors.ts';
import { makeInterceptorClass, makeProvingSlotClass, makeSlotClass } from './internal/dispatch.ts';
import { fingerprint } from './internal/fingerprint.ts';
import type { InterceptorClass, Method, MethodKind, SlotClass } from './internal/slots.ts';

export type { Method, MethodKind } from './internal/slots.ts';

type IsAny<T> = 0 extends 1 & T ? true : false;

/** What a function returns, by any of its last four overloads. */
type ResultOf<F> = F extends {
  (...args: never[]): infer R1;
  (...args: never[]): infer R2;
  (...args: never[]): infer R3;
  (...args: never[]): infer R4;
}
  ? R1 | R2 | R3 | R4
  : never;

interface AnyIterator {
  next(): unknown;
}
interface AnyAsyncIterator {
  next(): PromiseLike<unknown>;
}

/** What iterators and things that can be iterated have. */
type IteratorKey = keyof IteratorObject<unknown> | keyof AsyncGenerator | 'return' | 'throw';

/** The parts of a union that are there to be iterated, and for nothing else. */
type Pure<Union> = Union extends unknown
  ? [Exclude<keyof Union, IteratorKey>] extends [never]
    ? Union
    : never
  : never;

/** Iterable, and all there when it is given. */
type Collection =
  | string
  | readonly unknown[]
  | ReadonlyMap<unknown, unknown>
  | ReadonlySet<unknown>
  | ArrayBufferView;

/** Whether any part of a union is of a type. */
type Has<Union, Part> = [Extract<Union, Part>] extends [never] ? false : true;

/**
 * Kind of a method by what it returns, or one of several to choose from. A method that may return a promise is
 * asynchronous; one that may return anything (`unknown`, a type parameter) is what its implementations make of it. What can be
 * iterated but is there for other things as well (a stream, a cursor) may be `sync`, and is then not kept track of. A
 * promise of an iterator has no kind: the iterator would be used when the call is over.
 */
export type KindOf<Result> =
  IsAny<Result> extends true
    ? MethodKind
    : [object] extends [Result]
      ? MethodKind
      : Has<Result, PromiseLike<unknown>> extends true
        ? IsAny<Awaited<Result>> extends true
          ? 'async'
          : Has<Pure<Awaited<Result>>, AnyIterator | AsyncIterable<unknown>> extends true
            ? never
            : 'async'
        : Has<Result, AnyAsyncIterator | AsyncIterable<unknown>> extends true
          ? 'async-iterator' | ChoiceOf<Result>
          : Has<Result, AnyIterator> extends true
            ? 'iterator' | ChoiceOf<Result>
            : Has<Exclude<Result, Collection>, Iterable<unknown>> extends true
              ? 'sync' | 'iterator'
              : 'sync';

/** What may be declared `sync` although it can be iterated. */
type ChoiceOf<Result> = [Pure<NonNullable<Result>>] extends [never] ? 'sync' : never;

/** What may be declared beyond the kind: only what returns a promise can wait, and nothing that waits completes. */
type DeclarationOf<Kind extends MethodKind> = Kind extends 'async'
  ?
      | Kind
      | { readonly kind: Kind; readonly waits?: true | 'transferable'; readonly completes?: never }
      | { readonly kind: Kind; readonly waits?: never; readonly completes?: true }
  : Kind extends 'sync'
    ? Kind | { readonly kind: Kind; readonly completes?: true }
    : Kind | { readonly kind: Kind };

/**
 * The declaration that fits a TypeScript interface: every method, each with its kind, and nothing else. There is none for
 * an interface with properties, or with methods named by symbols or numbers. An optional method is declared as if it were
 * there: calling one that is not is a `TypeError`.
 */
export type Methods<T> = [Exclude<keyof T, string>] extends [never]
  ? {
      readonly [K in keyof T & string]-?: NonNullable<T[K]> extends (...args: never[]) => unknown
        ? DeclarationOf<KindOf<ResultOf<NonNullable<T[K]>>>>
        : never;
    }
  : never;

declare const SERVES: unique symbol;

/** A declared interface, whatever it is. */
export interface AnyInterface {
  readonly name: string;
  readonly methods: Readonly<Record<string, Method>>;
  /** Tells interfaces of one name apart. */
  readonly fingerprint: number;
  /** Class of the slots (handles) of objects of this interface. */
  readonly Slot: SlotClass;
  /** The same where the machine proves. */
  readonly ProvingSlot: SlotClass;
  /** Class of the stand-ins whose every method goes to one interceptor: default objects, mediators. */
  readonly Interceptor: InterceptorClass;
}

/** A declared interface. Made by `defineInterface`; one per name and JavaScript thread. */
export interface Interface<T extends object> extends AnyInterface {
  readonly [SERVES]?: T;
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9_./@-]{0,63}$/;
/** A handle must not be taken for a promise or a plain property holder. */
const RESERVED = new Set(['constructor', 'then', '__proto__']);

const interfaces = new Map<string, AnyInterface>();

/**
 * Declares an interface:
 * `defineInterface<Queue>('queue', { length: 'sync', push: { kind: 'sync', completes: true }, pop: { kind: 'async', waits: true } })`.
 *
 * Kinds: `sync` ends within its turn; `async` returns a promise (or may); `iterator` and `async-iterator` return an
 * iterator, or something iterable, which the handle gives as an iterator that has `next`, `return` and `throw` and nothing
 * of its own: use it to its end, or `return()` it (as `for ... of` does), because until then it holds up the destruction
 * and the exchange of the object. `waits`: the call may stay open until some other call
 * lets it go on; `completes`: it is such another call. `waits: 'transferable'`: an exchange of the object does not wait for
 * such calls. Every implementation has to note what lets the call go on (a resolver) before it first gives up control, to
 * touch nothing of its Rep afterwards, and to hand these over with its state.
 *
 * @param name stable across processors and versions: a letter or digit, then up to 63 letters, digits and `_ . / @ -`.
 * @throws NameError for an unusable or already used name, a method that is no identifier, or named `then`, `constructor`,
 *   `__proto__` or with a `$`, or a declaration that makes no sense.
 */
export function defineInterface<T extends object>(name: string, methods: Methods<T>): Interface<T> {
  checkName('An interface', name);
  if (interfaces.has(name)) throw new NameError(`An interface named ${name} is defined already.`);
  const declared: Record<string, Method> = {};
  for (const [method, declaration] of Object.entries(methods as Readonly<Record<string, unknown>>))
    declared[method] = checkMethod(name, method, declaration);
  const Interceptor = makeInterceptorClass(name, declared);
  const served = (): AnyInterface => defined;
  const defined: Interface<T> = {
    name,
    methods: declared,
    fingerprint: fingerprint(Object.entries(declared).toSorted(([a], [b]) => (a < b ? -1 : 1))),
    Slot: makeSlotClass(name, declared, served, Interceptor),
    ProvingSlot: makeProvingSlotClass(name, declared, served),
    Interceptor,
  };
  interfaces.set(name, defined);
  return defined;
}

/** The interface of that name, if this thread has defined it. */
export function interfaceNamed(name: string): AnyInterface | undefined {
  return interfaces.get(name);
}

const KINDS: ReadonlySet<unknown> = new Set<MethodKind>(['sync', 'async', 'iterator', 'async-iterator']);

function checkMethod(interfaceName: string, method: string, declaration: unknown): Method {
  const refuse = (why: string): never => {
    throw new NameError(`Interface ${interfaceName}, method ${JSON.stringify(method)}: ${why}.`);
  };
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(method) || RESERVED.has(method))
    refuse('an interface cannot have a method of that name');
  const given: Partial<Method> =
    typeof declaration === 'object' && declaration !== null
      ? declaration
      : { kind: declaration as MethodKind };
  const { kind, waits = false, completes = false } = given;
  if (kind === undefined || !KINDS.has(kind)) return refuse(`${JSON.stringify(kind)} is no kind of method`);
  if (waits !== false && waits !== true && waits !== 'transferable')
    return refuse(`it cannot wait ${JSON.stringify(waits)}`);
  if (waits && kind !== 'async') refuse('only an asynchronous method can wait');
  if (completes && kind !== 'async' && kind !== 'sync') refuse('an iterator completes nothing');
  if (waits && completes) refuse('it cannot wait and complete others at once');
  return { kind, waits, completes };
}

/** @throws NameError */
export function checkName(what: string, name: string): void {
  if (typeof name !== 'string' || !NAME.test(name))
    throw new NameError(
      `${what} needs a name of a letter or digit and up to 63 letters, digits and _ . / @ -, not ${JSON.stringify(name)}.`,
    );
}
