/**
 * Goal: two implementations agree on the protocol that both like best, the same every time; state is converted between versions in
 * both directions; where they have none in common nothing is touched.
 * Method: a table and random lists for the rule; notes of several versions, on two processors, for the rest
 * (programs/notes.ts). Replay of a random failure: the seed and path that fast-check prints.
 */
import { type Coid, create, handle, type Implementation, liveObjects } from '@k42/clustered';
import { currentRoot, implementationOf } from '@k42/clustered/interpose';
import { Machine } from '@k42/rcu';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { NegotiationError, negotiate, SwapError, swap } from '../src/index.ts';
import {
  handedOver,
  MuteNotes,
  type Notes,
  NotesOfOthers,
  NotesV1,
  NotesV2,
  NotesV3,
  NotesV4,
} from './programs/notes.ts';
import { bytesInUse } from './support.ts';

describe('the rule', () => {
  test.each<[exports: string[], imports: string[], agreed: string | undefined]>([
    [[], [], undefined],
    [['a'], [], undefined],
    [[], ['a'], undefined],
    [['a'], ['b'], undefined],
    [['a@1'], ['a@2'], undefined],
    [['a'], ['a'], 'a'],
    [['a', 'b'], ['a', 'b'], 'a'],
    // Only one in common, however little it is liked.
    [['a', 'b', 'c'], ['d', 'e', 'c'], 'c'],
    // Best of one, second of the other, against third and first.
    [['a', 'b', 'c'], ['c', 'a'], 'a'],
    [['a', 'x', 'c'], ['c', 'y', 'a'], 'a'],
    // 1 + 1 against 0 + 3.
    [['a', 'b'], ['x', 'b', 'y', 'a'], 'b'],
    // Those that are not in common count, too: they say how much less a protocol is liked.
    [['a', 'x', 'y', 'b'], ['b', 'z', 'a'], 'a'],
    // Ties go to what the exporter likes better.
    [['a', 'b'], ['b', 'a'], 'a'],
    [['b', 'a'], ['a', 'b'], 'b'],
    [['a', 'b', 'c'], ['c', 'b', 'a'], 'a'],
    [['x', 'a', 'b'], ['b', 'a', 'y'], 'a'],
    // By reference first, where both can.
    [['reference', 'value@2', 'value@1'], ['reference', 'value@2'], 'reference'],
    [['reference', 'value@2', 'value@1'], ['value@1', 'value@2'], 'value@2'],
  ])('%j and %j: %s', (exports, imports, agreed) => {
    expect(negotiate(exports, imports)).toBe(agreed);
  });

  const list = fc.uniqueArray(fc.constantFrom(...'abcdefgh'), { maxLength: 8 });

  test('holds of any two lists', () => {
    fc.assert(
      fc.property(list, list, (exports, imports) => {
        const agreed = negotiate(exports, imports);
        const common = exports.filter((protocol) => imports.includes(protocol));
        if (agreed === undefined) return common.length === 0;
        // Nobody could do better for one side without doing worse for the other.
        const better = common.filter(
          (other) =>
            other !== agreed &&
            exports.indexOf(other) <= exports.indexOf(agreed) &&
            imports.indexOf(other) <= imports.indexOf(agreed),
        );
        // And both sides' wishes count alike.
        const rank = (protocol: string): number => exports.indexOf(protocol) + imports.indexOf(protocol);
        const liked = common.filter(
          (other) =>
            rank(other) < rank(agreed) ||
            (rank(other) === rank(agreed) && exports.indexOf(other) < exports.indexOf(agreed)),
        );
        return common.includes(agreed) && better.length === 0 && liked.length === 0;
      }),
      { numRuns: 2000 },
    );
  });

  test('neither changes the lists nor depends on what it was asked before; a protocol both put first wins', () => {
    fc.assert(
      fc.property(list, list, (exports, imports) => {
        const [frozenExports, frozenImports] = [Object.freeze([...exports]), Object.freeze([...imports])];
        const agreed = negotiate(frozenExports, frozenImports);
        expect(negotiate([...exports], [...imports])).toBe(agreed);
        expect(negotiate(['first', ...exports], ['first', ...imports])).toBe('first');
        // Where all is equally far down, nothing changes.
        expect(negotiate(['only here', ...exports], ['only there', ...imports])).toBe(agreed);
      }),
    );
  });
});

const program = new URL('./programs/notes.ts', import.meta.url);
let machine: Machine;
beforeEach(async () => {
  machine = await Machine.boot({ processors: 2, program });
});
afterEach(() => machine.close());

async function written(implementation: Implementation<Notes>): Promise<Coid<Notes>> {
  const coid = create(implementation);
  await handle(coid).write('milk', 'Ada');
  await machine.call(1, 'write', [coid, 'eggs', 'Grace']);
  return coid;
}

const read = (coid: Coid<Notes>): Promise<string[][]> =>
  Promise.all([0, 1].map((number) => machine.call<string[]>(number, 'read', [coid])));
const nameOf = (coid: Coid<Notes>): string => implementationOf(currentRoot(coid)).name;

describe('versions', () => {
  test('up and down again, with what each can keep', async () => {
    const coid = await written(NotesV1);
    expect(await read(coid)).toEqual([['milk'], ['eggs']]);
    expect((await swap(coid, NotesV2)).protocol).toBe('notes/lines@1');
    expect(await read(coid)).toEqual([['milk (nobody)'], ['eggs (nobody)']]);
    await machine.call(1, 'write', [coid, 'tea', 'Grace']);
    expect(await read(coid)).toEqual([['milk (nobody)'], ['eggs (nobody)', 'tea (Grace)']]);
    expect((await swap(coid, NotesV1)).protocol).toBe('notes/lines@1');
    expect(await read(coid)).toEqual([['milk'], ['eggs', 'tea']]);
  });

  test('of the same kind exchange all they have, in the newest protocol they share', async () => {
    const coid = await written(NotesV2);
    const expected = [['milk (Ada)'], ['eggs (Grace)']];
    for (const [next, protocol] of [
      [NotesV3, 'notes/entries@2'],
      [NotesV2, 'notes/entries@2'],
      [NotesV3, 'notes/entries@2'],
      [NotesV3, 'notes/entries-by-reference@2'],
      [NotesV4, 'notes/entries-by-reference@2'],
      [NotesV3, 'notes/entries-by-reference@2'],
    ] as const) {
      expect(await swap(coid, next)).toMatchObject({ protocol, to: next.name });
      expect(await read(coid)).toEqual(expected);
    }
  });

  test('that can both do it move their state by reference', async () => {
    const coid = await written(NotesV3);
    handedOver.clear();
    const { bytes } = await swap(coid, NotesV4);
    expect(bytes).toBe(0);
    const [entries] = [...handedOver];
    expect(entries).toEqual([{ text: 'milk', author: 'Ada' }]);
    expect(await read(coid)).toEqual([['milk (Ada)'], ['eggs (Grace)']]);
    // By value from one that can only do that.
    const other = await written(NotesV2);
    handedOver.clear();
    expect((await swap(other, NotesV4)).bytes).toBeGreaterThan(0);
    expect(handedOver.size).toBe(0);
  });

  test('that went up but cannot come down say so, and stay', async () => {
    const coid = await written(NotesV2);
    await swap(coid, NotesV4);
    // It gives entries by reference, and nothing else.
    await expect(swap(coid, NotesV1)).rejects.toMatchObject({
      code: 'K42_SWAP_NEGOTIATION',
      exports: ['notes/entries-by-reference@2'],
      imports: ['notes/lines@1'],
    });
    expect(await read(coid)).toEqual([['milk (Ada)'], ['eggs (Grace)']]);
    await swap(coid, NotesV3);
    await swap(coid, NotesV1);
    expect(await read(coid)).toEqual([['milk'], ['eggs']]);
  });
});

describe('no protocol in common', () => {
  /** What a refused swap must leave alone. */
  const picture = (coid: Coid<Notes>) => ({
    root: currentRoot(coid),
    bytes: bytesInUse(machine),
    object: [...liveObjects()].find((info) => info.coid === coid),
  });

  test.each([
    [NotesV1, NotesOfOthers, ['notes/lines@1'], ['others/lines@1', 'notes/lines@2']],
    [NotesOfOthers, NotesV1, ['others/lines@1', 'others/lines@0'], ['notes/lines@1']],
    [NotesV1, MuteNotes, ['notes/lines@1'], []],
    [MuteNotes, NotesV2, [], ['notes/entries@2', 'notes/lines@1']],
  ])(
    'is refused before anything has changed, naming both lists: $0.name to $1.name',
    async (from, to, exports, imports) => {
      const coid = await written(from);
      const before = picture(coid);
      const error: unknown = await swap(coid, to).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(NegotiationError);
      expect(error).toBeInstanceOf(SwapError);
      expect(error).toMatchObject({ code: 'K42_SWAP_NEGOTIATION', coid, phase: 'prepare', exports, imports });
      const { message } = error as Error;
      for (const name of [from.name, to.name, ...exports, ...imports]) expect(message).toContain(name);
      expect(picture(coid)).toEqual(before);
      expect(nameOf(coid)).toBe(from.name);
    },
  );

  test('of an object that the initiator has never called makes no Rep of it there, and takes no memory', async () => {
    const coid = create(NotesV1);
    await machine.call(1, 'write', [coid, 'eggs', 'Grace']);
    const before = picture(coid);
    expect(before.object).toMatchObject({ touched: [1], reps: [1] });
    await expect(swap(coid, NotesOfOthers)).rejects.toMatchObject({ code: 'K42_SWAP_NEGOTIATION' });
    // To read what the object can export, the initiator has had to become one of those that are asked before it is reclaimed.
    expect(picture(coid)).toEqual({ ...before, object: { ...before.object, touched: [0, 1] } });
  });

  test('does not keep the object from being swapped for another one', async () => {
    const coid = await written(NotesV1);
    for (let round = 0; round < 3; round++) {
      await expect(swap(coid, NotesOfOthers)).rejects.toMatchObject({ code: 'K42_SWAP_NEGOTIATION' });
      await swap(coid, round % 2 === 0 ? NotesV2 : NotesV1);
    }
    expect(await read(coid)).toEqual([['milk (nobody)'], ['eggs (nobody)']]);
  });
});
