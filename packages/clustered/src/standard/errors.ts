/** Errors of the standard objects. Where one is thrown, the object is as it was before. */
import { K42Error } from '@k42/rcu';

/** With this entry the keys and values of a byte map would exceed the map's `maxBytes`. */
export class ByteMapFullError extends K42Error {
  readonly maxBytes: number;
  /** What the map would have come to. */
  readonly wantedBytes: number;

  constructor(maxBytes: number, wantedBytes: number) {
    super(
      'K42_BYTE_MAP_FULL',
      `This byte map may hold ${maxBytes} bytes of keys and values and would hold ${wantedBytes}.`,
    );
    this.maxBytes = maxBytes;
    this.wantedBytes = wantedBytes;
  }
}

/** A key of a byte map is longer than a key may be. */
export class KeyTooLongError extends K42Error {
  /** Its length as a JavaScript string has it: UTF-16 code units. */
  readonly length: number;
  readonly maxLength: number;

  constructor(length: number, maxLength: number) {
    super('K42_KEY_TOO_LONG', `A key has at most ${maxLength} characters, not ${length}.`);
    this.length = length;
    this.maxLength = maxLength;
  }
}

/** `update` was overtaken by other changes of the same key every time it tried. */
export class ByteMapContendedError extends K42Error {
  readonly tries: number;

  constructor(key: string, tries: number) {
    super(
      'K42_BYTE_MAP_CONTENDED',
      `${JSON.stringify(key)} was changed by others in each of ${tries} tries to update it.`,
    );
    this.tries = tries;
  }
}

/** A histogram was given what no measurement yields: NaN, an infinity or a negative number. */
export class UnrecordableValueError extends K42Error {
  readonly value: number;

  constructor(value: number) {
    super('K42_UNRECORDABLE_VALUE', `A histogram records finite numbers from 0 on, not ${value}.`);
    this.value = value;
  }
}
