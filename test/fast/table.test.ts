import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { diff, applyPatch } from '../../src/store/patch.js';
import { indexBy, Table } from '../../src/table.js';

type Change = readonly ['with' | 'without', string, number];

const key = fc.oneof(
  fc.integer({ min: 0, max: 200 }).map((n) => `k${String(n)}`),
  fc.constantFrom('__proto__', 'constructor', 'toString', '', 'a/b', 'a~b', 'ä', '\u{1F600}'),
);
const changes = fc.array(fc.tuple(fc.constantFrom('with', 'without'), key, fc.nat(9)), { maxLength: 400 });

const play = (table: Table<number>, map: Map<string, number>, list: readonly Change[]): Table<number> => {
  let now = table;
  for (const [what, at, value] of list) {
    if (what === 'with') map.set(at, value);
    else map.delete(at);
    now = what === 'with' ? now.with(at, value) : now.without(at);
  }
  return now;
};

const sorted = (map: Map<string, number>): [string, number][] =>
  [...map].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));

describe('a table', () => {
  it('has what a map has after the same changes, in the order of the keys', () => {
    fc.assert(
      fc.property(changes, (list) => {
        const map = new Map<string, number>();
        const table = play(Table.of<number>(), map, list);
        const pairs = sorted(map);
        expect([...table]).toEqual(pairs);
        expect(table.size).toBe(map.size);
        expect(table.keys()).toEqual(pairs.map(([at]) => at));
        expect(table.values()).toEqual(pairs.map(([, value]) => value));
        for (const [, at] of list) {
          expect(table.has(at)).toBe(map.has(at));
          expect(table.get(at)).toBe(map.get(at));
        }
        expect([...Table.of(map)]).toEqual(pairs);
        expect(Object.entries(JSON.parse(JSON.stringify(table)) as object)).toHaveLength(map.size);
      }),
    );
  });

  it('stays what it was when others are made of it, and tells what they differ in', () => {
    fc.assert(
      fc.property(changes, changes, changes, (first, second, third) => {
        const map = new Map<string, number>();
        const before = play(Table.of<number>(), map, first);
        const was = sorted(map);
        const [left, right] = [new Map(map), new Map(map)];
        const one = play(before, left, second);
        const other = play(before, right, third);
        expect([...before]).toEqual(was);
        expect([...one]).toEqual(sorted(left));
        expect([...other]).toEqual(sorted(right));
        const back = new Map(left);
        for (const { key: at, before: old, after } of other.changesFrom(one)) {
          expect(back.get(at)).toBe(old);
          if (after === undefined) back.delete(at);
          else back.set(at, after);
        }
        expect(sorted(back)).toEqual(sorted(right));
      }),
    );
  });

  it('keeps an index up from version to version, and those of earlier versions as they were', () => {
    const byRest = indexBy<number>((value) => String(value % 3));
    const grouped = (table: Table<number>): unknown =>
      table
        .index(byRest)
        .entries()
        .map(([rest, values]) => [rest, values.toSorted()]);
    const fromScratch = (table: Table<number>): unknown => grouped(Table.of(table.entries()));
    fc.assert(
      fc.property(changes, changes, (first, second) => {
        const before = play(Table.of<number>(), new Map<string, number>(), first);
        const was = grouped(before);
        const after = play(before, new Map(before), second);
        expect(grouped(after)).toEqual(fromScratch(after));
        expect(grouped(before)).toEqual(was);
        expect(was).toEqual(fromScratch(before));
      }),
    );
  });

  it('is the same table when nothing is taken out of it', () => {
    const table = Table.of({ a: 1 });
    expect(table.without('b')).toBe(table);
    expect(table.without('constructor')).toBe(table);
  });

  it('is patched in the store as the object that it is there', () => {
    fc.assert(
      fc.property(changes, changes, (first, second) => {
        const map = new Map<string, number>();
        const before = play(Table.of<number>(), map, first);
        const after = play(before, map, second);
        const patch: unknown = JSON.parse(JSON.stringify(diff({ t: before }, { t: after })));
        const document: unknown = JSON.parse(JSON.stringify({ t: before }));
        const patched = applyPatch(document, patch as ReturnType<typeof diff>);
        const entries = (value: unknown): unknown => Object.entries(value as object).sort();
        expect(entries((patched as { t: object }).t)).toEqual(entries(JSON.parse(JSON.stringify(after))));
      }),
    );
  });
});
