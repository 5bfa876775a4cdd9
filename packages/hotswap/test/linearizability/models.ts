/** What a register, a counter, a queue and an entry of a map do when their calls are made one after the other. */
import type { Model, Operation } from './checker.ts';

/** Stands for no value: what a map has not, what a queue that is empty gives. */
export const NONE = -1;

/** Results that say nothing: void. */
export const DONE = 0;

/** Whether an operation may have had that result; one that never returned, any. */
function may({ result }: Operation, expected: number): boolean {
  return result === undefined || result === expected;
}

function unknown({ name }: Operation): never {
  throw new Error(`the model knows no ${name}`);
}

/**
 * A value that begins as `initial`: `read()`, `write(v)`, `add(by)`, which gives the sum, and `compareAndSet(expected, v)`, which
 * gives 1 or 0. An entry of a map is one as well, with `delete()` and `has()`, which give 1 or 0.
 */
export function register(initial: number): Model<number> {
  return {
    initial,
    keyOf: String,
    apply(value, operation) {
      const [a = NONE, b = NONE] = operation.args;
      switch (operation.name) {
        case 'read':
          return may(operation, value) ? value : undefined;
        case 'write':
          return may(operation, DONE) ? a : undefined;
        case 'add':
          return may(operation, value + a) ? value + a : undefined;
        case 'compareAndSet':
          return may(operation, value === a ? 1 : 0) ? (value === a ? b : value) : undefined;
        case 'has':
          return may(operation, value === NONE ? 0 : 1) ? value : undefined;
        case 'delete':
          return may(operation, value === NONE ? 0 : 1) ? NONE : undefined;
        default:
          return unknown(operation);
      }
    },
  };
}

/** `inc()`, and `value()`. */
export const counter: Model<number> = {
  initial: 0,
  keyOf: String,
  apply(count, operation) {
    switch (operation.name) {
      case 'inc':
        return may(operation, DONE) ? count + 1 : undefined;
      case 'value':
        return may(operation, count) ? count : undefined;
      default:
        return unknown(operation);
    }
  },
};

/** `push(v)`; `pop()`, which waits while there is nothing; `tryPop()`, which gives NONE then; `size()`. */
export const queue: Model<readonly number[]> = {
  initial: [],
  keyOf: (values) => values.join(),
  apply(values, operation) {
    const [first] = values;
    switch (operation.name) {
      case 'push':
        return may(operation, DONE) ? [...values, operation.args[0] as number] : undefined;
      case 'pop':
        return first !== undefined && may(operation, first) ? values.slice(1) : undefined;
      case 'tryPop':
        return may(operation, first ?? NONE) ? values.slice(1) : undefined;
      case 'size':
        return may(operation, values.length) ? values : undefined;
      default:
        return unknown(operation);
    }
  },
};
