/** How the content of a byte map goes over in a swap: by reference between those who know the table, else by value. */
import type { RootContext } from '../root.ts';
import {
  type ByteMapSettings,
  borrowTable,
  inheritSettings,
  noteLent,
  referTo,
  settingsOf,
  type TableReference,
} from './byteMapState.ts';

/** The table itself; or what is in it: `{ entries: [key, bytes][], settings? }`, for implementations from elsewhere. */
const TABLE = 'k42/byte-map-table@1';
const ENTRIES = 'k42/byte-map-entries@1';

/** Best first. */
export const MAP_PROTOCOLS: readonly string[] = [TABLE, ENTRIES];

interface Entries {
  readonly entries: readonly (readonly [string, Uint8Array])[];
  readonly settings?: ByteMapSettings;
}

/** What a transfer needs of a Rep. */
interface Movable {
  keys(): string[];
  get(key: string): Uint8Array | undefined;
  set(key: string, bytes: Uint8Array): void;
  /** Repairs what the dead have left, while nobody calls. @throws LockDeadlineError, OwnerDiedError */
  makeWhole(): void;
}

export function exportMap(rep: Movable, context: RootContext, protocol: string): TableReference | Entries {
  rep.makeWhole();
  noteLent(context, protocol === TABLE);
  if (protocol === TABLE) return referTo(context);
  // Nobody calls: what there is a key of there is.
  const entries = rep.keys().map((key): [string, Uint8Array] => [key, rep.get(key) as Uint8Array]);
  return { entries, settings: settingsOf(context) };
}

/** @throws what `set` throws; OwnerDiedError */
export function importMap(
  makeRep: () => Movable,
  context: RootContext,
  protocol: string,
  exported: unknown,
): void {
  if (protocol === TABLE) {
    borrowTable(context, exported as TableReference);
    return;
  }
  const { entries, settings = {} } = exported as Entries;
  inheritSettings(context, settings);
  const rep = makeRep();
  for (const [key, bytes] of entries) rep.set(key, bytes);
}

/** How many bytes have been copied. */
export function mapBytes(protocol: string, exported: unknown): number {
  if (protocol === TABLE) return 0;
  let sum = 0;
  for (const [key, { length }] of (exported as Entries).entries) sum += 2 * key.length + length;
  return sum;
}
