/**
 * The way of `@k42/hotswap`: the table is a Clustered Object with two implementations, and the upgrade is a swap.
 *
 * A caller has a handle, and its call is a call of a method. The state moves by reference as far as it can: the importing side
 * is told where the old table is, and carries it over while nobody calls.
 */
import {
  type Coid,
  create,
  defineImplementation,
  defineInterface,
  handle,
  type Implementation,
  type Interface,
  type RootClass,
  SharedRoot,
} from '@k42/clustered';
import { type Part, type SwappableRoot, swap } from '@k42/hotswap';
import { carryOver, type Table, tableAt, tableBytes, type Version } from './tables.ts';

export interface Sessions {
  bump(session: number): number;
  count(session: number): number;
}

export const Sessions: Interface<Sessions> = defineInterface<Sessions>('bench/sessions', {
  bump: 'sync',
  count: 'sync',
});

/** Where the old table is. */
interface Exported {
  readonly offset: number;
  readonly version: Version;
}

const PROTOCOL = 'bench/session-table@1';

function rootOf(version: Version): RootClass<Sessions> {
  return class extends SharedRoot<Sessions> implements SwappableRoot {
    static readonly exports: readonly string[] = [PROTOCOL];
    static readonly imports: readonly string[] = [PROTOCOL];

    protected override createRep(): Sessions {
      return this.#table(this.context.stateOffset, version);
    }

    exportPart(_protocol: string, part: Part): Exported | undefined {
      return part.kind === 'root' ? { offset: this.context.stateOffset, version } : undefined;
    }

    importPart(_protocol: string, _part: Part, exported: unknown): void {
      const old = exported as Exported;
      carryOver(this.#table(old.offset, old.version), this.#table(this.context.stateOffset, version));
    }

    #table(offset: number, of: Version): Table {
      const { memory, stateBytes } = this.context;
      return tableAt(memory.i32, offset, of, stateBytes / tableBytes(version, 1));
    }
  };
}

function implementationOf(version: Version): Implementation<Sessions, number> {
  return defineImplementation<Sessions, number>({
    name: `bench/sessions@${version}`,
    interface: Sessions,
    Root: rootOf(version),
    stateBytes: (sessions) => tableBytes(version, sessions),
  });
}

const IMPLEMENTATIONS: Readonly<Record<Version, Implementation<Sessions, number>>> = {
  1: implementationOf(1),
  2: implementationOf(2),
};

export function makeSwapped(sessions: number): Coid<Sessions> {
  return create(IMPLEMENTATIONS[1], sessions);
}

export async function upgradeSwapped(coid: Coid<Sessions>, sessions: number, to: Version): Promise<void> {
  await swap(coid, IMPLEMENTATIONS[to], { argument: sessions });
}

export function swappedCounts(coid: Coid<Sessions>, sessions: number): Int32Array {
  const object = handle(coid);
  return Int32Array.from({ length: sessions }, (_none, session) => object.count(session));
}
