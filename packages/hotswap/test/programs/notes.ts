/**
 * Program of the negotiation tests: notes in two versions. The first keeps lines of text, the second entries with an author,
 * which it also gives as lines to whoever cannot take more; a third can take and give the second's entries as they are.
 */
import {
  type Coid,
  DistributedRoot,
  defineImplementation,
  defineInterface,
  handle,
  type Implementation,
  type Interface,
} from '@k42/clustered';
import type { Part, SwappableRoot } from '@k42/hotswap';

export interface Notes {
  write(text: string, author?: string): Promise<void>;
  /** As the version shows them. */
  read(): Promise<readonly string[]>;
}

export const Notes: Interface<Notes> = defineInterface<Notes>('negotiation/notes', {
  write: 'async',
  read: 'async',
});

const LINES = 'notes/lines@1';
const ENTRIES = 'notes/entries@2';
const ENTRIES_HERE = 'notes/entries-by-reference@2';

interface Entry {
  readonly text: string;
  readonly author: string;
}

const NOBODY = 'nobody';

class LinesRep implements Notes {
  lines: string[] = [];

  async write(text: string): Promise<void> {
    this.lines.push(text);
  }

  async read(): Promise<readonly string[]> {
    return this.lines;
  }
}

class LinesRoot extends DistributedRoot<Notes> implements SwappableRoot {
  static readonly exports: readonly string[] = [LINES];
  static readonly imports: readonly string[] = [LINES];

  protected override createRep(): LinesRep {
    return new LinesRep();
  }

  exportPart(_protocol: string, { kind }: Part): unknown {
    return kind === 'rep' ? [...(this.rep() as LinesRep).lines] : undefined;
  }

  importPart(_protocol: string, _part: Part, exported: unknown): void {
    (this.rep() as LinesRep).lines = exported as string[];
  }
}

class EntriesRep implements Notes {
  entries: Entry[] = [];

  async write(text: string, author = NOBODY): Promise<void> {
    this.entries.push({ text, author });
  }

  async read(): Promise<readonly string[]> {
    return this.entries.map(({ text, author }) => `${text} (${author})`);
  }
}

/** The lists of entries that were handed over as they were, on this thread. */
export const handedOver: Set<unknown> = new Set();

class EntriesRoot extends DistributedRoot<Notes> implements SwappableRoot {
  static readonly exports: readonly string[] = [ENTRIES, LINES];
  static readonly imports: readonly string[] = [ENTRIES, LINES];

  protected override createRep(): EntriesRep {
    return new EntriesRep();
  }

  exportPart(protocol: string, { kind }: Part): unknown {
    if (kind !== 'rep') return undefined;
    const { entries } = this.rep() as EntriesRep;
    switch (protocol) {
      case LINES:
        return entries.map(({ text }) => text);
      case ENTRIES:
        return JSON.stringify(entries);
      default:
        return entries;
    }
  }

  importPart(protocol: string, _part: Part, exported: unknown): void {
    const rep = this.rep() as EntriesRep;
    switch (protocol) {
      case LINES:
        rep.entries = (exported as string[]).map((text) => ({ text, author: NOBODY }));
        return;
      case ENTRIES:
        rep.entries = JSON.parse(exported as string) as Entry[];
        return;
      default:
        handedOver.add(exported);
        rep.entries = [...(exported as Entry[])];
    }
  }
}

const define = (name: string, Root: typeof LinesRoot | typeof EntriesRoot): Implementation<Notes> =>
  defineImplementation<Notes>({ name, interface: Notes, Root });

export const NotesV1: Implementation<Notes> = define('notes@1', LinesRoot);
export const NotesV2: Implementation<Notes> = define('notes@2', EntriesRoot);
/** Prefers to be given entries as they are, and gives them so. */
export const NotesV3: Implementation<Notes> = define(
  'notes@3',
  class extends EntriesRoot {
    static override readonly exports: readonly string[] = [ENTRIES_HERE, ENTRIES, LINES];
    static override readonly imports: readonly string[] = [ENTRIES_HERE, ENTRIES, LINES];
  },
);
/** Another that can take entries as they are. */
export const NotesV4: Implementation<Notes> = define(
  'notes@4',
  class extends EntriesRoot {
    static override readonly exports: readonly string[] = [ENTRIES_HERE];
    static override readonly imports: readonly string[] = [ENTRIES_HERE, ENTRIES];
  },
);
/** Speaks nothing that the others do. */
export const NotesOfOthers: Implementation<Notes> = define(
  'notes-of-others@1',
  class extends LinesRoot {
    static override readonly exports: readonly string[] = ['others/lines@1', 'others/lines@0'];
    static override readonly imports: readonly string[] = ['others/lines@1', 'notes/lines@2'];
  },
);
/** Cannot be swapped in either direction: it says nothing. */
export const MuteNotes: Implementation<Notes> = defineImplementation<Notes>({
  name: 'notes-mute@1',
  interface: Notes,
  distribution: 'distributed',
  Rep: LinesRep,
});

export function write(coid: Coid<Notes>, text: string, author?: string): Promise<void> {
  return handle(coid).write(text, author);
}

export function read(coid: Coid<Notes>): Promise<readonly string[]> {
  return handle(coid).read();
}
