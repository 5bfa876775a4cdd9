/**
 * What a byte map keeps beside its locks: where its table is, whether it owns it, and what its options say.
 *
 * ## Ownership
 * A table outlives its map where the map is swapped: it is handed over by reference. The new map *borrows* it while the swap
 * may yet be aborted: it disposes of the empty table it was made with, and whoever reclaims it then frees nothing. When the
 * swap is decided the new map *owns* the table and the old one has *given* it away; each is one store to its own map, so that it
 * does not matter who makes it, how often, and which of the two is made first. What has been given away is not owned again,
 * however late somebody says so: the map may have been swapped once more by then. A map whose content went over by value keeps
 * its table, to be freed with it; which of the two it was, the last export has noted.
 */
import { InvalidArgumentError } from '@k42/rcu';
import type { RootContext } from '../root.ts';
import { LINE_BYTES } from './byteLayout.ts';
import { ByteTable } from './byteTable.ts';

/** 32-bit words of the first line of the state, in all implementations. */
const STATE = {
  /** Line number of the table. */
  TABLE: 0,
  /** One of OWNERSHIP. */
  OWNERSHIP: 1,
  /** 64-bit floats; NaN: not said. */
  MAX_BYTES: 2,
  CACHE_BYTES: 4,
  /** 1: the last export was of the table itself. */
  IS_LENT: 6,
} as const;

const OWNERSHIP = { OWNS: 0, BORROWS: 1, GAVE: 2 } as const;

export const STATE_BYTES: number = LINE_BYTES;

const CACHE_BYTES = 2 ** 20;

export interface ByteMapSettings {
  readonly maxBytes?: number | undefined;
  readonly cacheBytes?: number | undefined;
}

/** A table of this machine, and what goes over with it in a swap. */
export interface TableReference {
  readonly table: number;
  readonly settings: ByteMapSettings;
}

/** Fills the state of a new map, with an empty table. @throws InvalidArgumentError, OutOfMachineMemoryError */
export function initialiseState(context: RootContext, settings: ByteMapSettings | undefined): void {
  const { maxBytes = Number.NaN, cacheBytes = Number.NaN } = checked(settings ?? {});
  setFloat(context, STATE.MAX_BYTES, maxBytes);
  setFloat(context, STATE.CACHE_BYTES, cacheBytes);
  setTable(context, ByteTable.create(context.memory, context), OWNERSHIP.OWNS);
}

/** The table of a map, as this processor sees it. @throws InvalidArgumentError if the map has given it away */
export function tableOf(context: RootContext): ByteTable {
  if (ownershipOf(context) === OWNERSHIP.GAVE)
    throw new InvalidArgumentError('This byte map has handed its table over.');
  return tableAt(context);
}

function tableAt(context: RootContext): ByteTable {
  const { maxBytes = Number.POSITIVE_INFINITY } = settingsOf(context);
  return new ByteTable(context.memory, tableOffset(context), context, maxBytes);
}

/** Notes how the content is being exported. What an abort leaves behind here, the next export overwrites. */
export function noteLent({ memory, stateOffset }: RootContext, isLent: boolean): void {
  // Pairs with giveTable(), on any processor.
  Atomics.store(memory.i32, stateOffset / 4 + STATE.IS_LENT, isLent ? 1 : 0);
}

/** What the options of the map, or of those before it, have said. */
export function settingsOf(context: RootContext): ByteMapSettings {
  return {
    maxBytes: floatAt(context, STATE.MAX_BYTES),
    cacheBytes: floatAt(context, STATE.CACHE_BYTES),
  };
}

export function cacheBytesOf(context: RootContext): number {
  return settingsOf(context).cacheBytes ?? CACHE_BYTES;
}

/** Lets a map that nobody uses yet take what its own options do not say from the map before it. */
export function inheritSettings(context: RootContext, before: ByteMapSettings): void {
  const after = { ...checked(before), ...withoutUndefined(settingsOf(context)) };
  setFloat(context, STATE.MAX_BYTES, after.maxBytes ?? Number.NaN);
  setFloat(context, STATE.CACHE_BYTES, after.cacheBytes ?? Number.NaN);
}

export function referTo(context: RootContext): TableReference {
  return { table: tableOffset(context), settings: settingsOf(context) };
}

/** Lets a map that nobody uses yet work on another's table, in place of the empty one it was made with. */
export function borrowTable(context: RootContext, { table, settings }: TableReference): void {
  inheritSettings(context, settings);
  const own = tableAt(context);
  // First, so that nobody frees it a second time if this processor dies in the midst.
  setTable(context, table, OWNERSHIP.BORROWS);
  own.dispose();
}

/** The swap has been decided for this map. A map that has given the table away since is left alone. */
export function ownTable({ memory, stateOffset }: RootContext): void {
  const word = stateOffset / 4 + STATE.OWNERSHIP;
  // Pairs with giveTable(), which a later swap of this map may make before us.
  Atomics.compareExchange(memory.i32, word, OWNERSHIP.BORROWS, OWNERSHIP.OWNS);
}

/** The swap has been decided for another map: it has the table, if that is how it got the content. */
export function giveTable({ memory, stateOffset }: RootContext): void {
  if (Atomics.load(memory.i32, stateOffset / 4 + STATE.IS_LENT) === 0) return;
  Atomics.store(memory.i32, stateOffset / 4 + STATE.OWNERSHIP, OWNERSHIP.GAVE);
}

/** Frees the table with all that is in it, if the map owns it. Nobody may use it any more. */
export function reclaimTable(context: RootContext): void {
  if (ownershipOf(context) === OWNERSHIP.OWNS) tableAt(context).dispose();
}

function ownershipOf({ memory, stateOffset }: RootContext): number {
  return Atomics.load(memory.i32, stateOffset / 4 + STATE.OWNERSHIP);
}

function tableOffset({ memory, stateOffset }: RootContext): number {
  // Plain: written before anybody else had the object.
  return (memory.i32[stateOffset / 4 + STATE.TABLE] as number) * LINE_BYTES;
}

function setTable({ memory, stateOffset }: RootContext, offset: number, ownership: number): void {
  Atomics.store(memory.i32, stateOffset / 4 + STATE.OWNERSHIP, ownership);
  memory.i32[stateOffset / 4 + STATE.TABLE] = offset / LINE_BYTES;
}

function floatAt({ memory, stateOffset }: RootContext, word: number): number | undefined {
  const value = memory.f64[(stateOffset / 4 + word) / 2] as number;
  return Number.isNaN(value) ? undefined : value;
}

function setFloat({ memory, stateOffset }: RootContext, word: number, value: number): void {
  // Plain: nobody else has the object yet.
  memory.f64[(stateOffset / 4 + word) / 2] = value;
}

function withoutUndefined(settings: ByteMapSettings): ByteMapSettings {
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
}

function checked(settings: ByteMapSettings): ByteMapSettings {
  for (const [what, bytes] of Object.entries(settings))
    if (bytes !== undefined && !(bytes >= 0))
      throw new InvalidArgumentError(`${what} is a number of bytes, 0 or more, not ${bytes}.`);
  return settings;
}
