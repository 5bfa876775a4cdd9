/**
 * Declared layouts of machine memory: fields by name, each aligned to its own size.
 *
 *     const STATE = defineLayout({ total: 'f64', lock: 'i32', buckets: { type: 'i32', length: 16 } });
 *     const at = STATE.at(context.stateOffset);
 *     memory.f64[at.total] = 0;
 */
import { InvalidArgumentError } from '@k42/rcu';

/** Element types, by the views of machine memory they are used through: `i32`, `i64`, `f64`, `u8`. */
export type FieldType = 'u8' | 'i32' | 'f64' | 'i64';

/** A field, or so many in a row. */
export type Field = FieldType | { readonly type: FieldType; readonly length: number };

const SIZE: Readonly<Record<FieldType, number>> = { u8: 1, i32: 4, f64: 8, i64: 8 };

/** Where the fields of a block are: of each its index (the first one's, of several) in the view of its type. */
export interface Layout<F extends Readonly<Record<string, Field>> = Readonly<Record<string, Field>>> {
  readonly bytes: number;
  /** Offsets from the start of the block, in bytes. */
  readonly offsets: { readonly [K in keyof F]: number };
  /** @param offset of a block, a multiple of 8 */
  at(offset: number): { readonly [K in keyof F]: number };
}

/**
 * Lays fields out in the order given; those that are used with `Atomics` by several processors are best kept apart by
 * 64 bytes, which is not done here.
 * @throws InvalidArgumentError for an unknown type or a length that is no positive integer
 */
export function defineLayout<const F extends Readonly<Record<string, Field>>>(fields: F): Layout<F> {
  const offsets: Record<string, number> = {};
  const sizes: Record<string, number> = {};
  let end = 0;
  for (const [name, field] of Object.entries<Field>(fields)) {
    const { type, length } = typeof field === 'string' ? { type: field, length: 1 } : field;
    const size = Object.hasOwn(SIZE, type) ? SIZE[type] : undefined;
    if (size === undefined || !Number.isInteger(length) || length < 1)
      throw new InvalidArgumentError(`Field ${name} of a layout: ${JSON.stringify(field)}.`);
    const start = Math.ceil(end / size) * size;
    offsets[name] = start;
    sizes[name] = size;
    end = start + size * length;
  }
  const indexed = (offset: number): Record<string, number> =>
    Object.fromEntries(
      Object.entries(offsets).map(([name, start]) => [name, (offset + start) / (sizes[name] as number)]),
    );
  return {
    bytes: end,
    offsets: offsets as { [K in keyof F]: number },
    at: (offset) => indexed(offset) as { [K in keyof F]: number },
  };
}
