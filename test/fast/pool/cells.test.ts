import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { ServerId } from '../../../src/pool/model.js';
import { cellsDue, wishOf } from '../../../src/pool/planner.js';
import { cell, keyOf, Pool, ready, shapeOf } from './fixture.js';

/** A pool that has grown by one member at a time to `count`, each in a cell whose run has begun. */
function grown(count: number, cellSize = 1): Pool {
  const pool = new Pool(shapeOf({ min: 0, max: 30 }), { cellSize });
  for (let n = 1; n <= count; n += 1) {
    pool.adopt(shapeOf({ min: n, max: 30 }));
    const last = pool.members().at(-1);
    if (last !== undefined) pool.event({ type: 'runBegan', cell: last.cell });
  }
  return pool;
}

const gathered = (pool: Pool): readonly string[] => {
  pool.pass(1_000);
  return cellsDue(pool.state, pool.context());
};

describe('the cells of a pool', () => {
  it('are as few as their size allows, however it grew, and share its members out among themselves', () => {
    const sizes = fc.array(fc.integer({ min: 0, max: 12 }), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(sizes, fc.integer({ min: 1, max: 4 }), (steps, cellSize) => {
        const pool = new Pool(shapeOf({ min: 0, max: 12 }), { cellSize });
        for (const min of steps) pool.adopt(shapeOf({ min, max: 12 }));
        const names = pool.members().map(({ name }) => name);
        expect(pool.book.cells).toHaveLength(Math.ceil(names.length / cellSize));
        const wishes = pool.book.cells.map((each) => wishOf(pool.state, each));
        for (const { members } of wishes) expect(members.length).toBeLessThanOrEqual(cellSize);
        expect(wishes.flatMap(({ members }) => members.map(({ name }) => name)).sort()).toEqual(names.sort());
      }),
    );
  });

  it('are four where many are made at once, up to a size, and then as many as that size asks for', () => {
    const sizesFor = (count: number): number[] => {
      const pool = new Pool(shapeOf({ min: count, max: count }), { cellSize: 2, bulkCellSize: 5 });
      return pool.book.cells.map((each) => wishOf(pool.state, each).members.length);
    };
    expect([3, 8, 9, 16, 23].map(sizesFor)).toEqual([
      [2, 1],
      [2, 2, 2, 2],
      [3, 3, 3],
      [4, 4, 4, 4],
      [5, 5, 5, 5, 3],
    ]);
  });

  it('take what comes one by one while they wait for their run, as if it had come at once', () => {
    const pool = new Pool(shapeOf({ min: 0, max: 30 }), { cellSize: 2, bulkCellSize: 5 });
    for (let n = 1; n <= 20; n += 1) pool.ask(keyOf(`${n}`));
    const load = (): number[] => pool.book.cells.map((each) => wishOf(pool.state, each).members.length);
    expect(load()).toEqual([5, 5, 5, 5]);
    for (const each of pool.book.cells) pool.event({ type: 'runBegan', cell: each });
    pool.ask(keyOf('21'));
    expect(load()).toEqual([5, 5, 5, 5, 1]);
  });

  it('that grew large take no more when few are made: each change of a cell costs what is in it', () => {
    const pool = new Pool(shapeOf({ min: 20, max: 30 }), { cellSize: 2, bulkCellSize: 5 });
    for (const each of pool.book.cells) pool.runEnded(wishOf(pool.state, each), null);
    pool.boot();
    const { name } = pool.member();
    pool.event({ type: 'retire', member: name, why: 'test' });
    expect(pool.members().at(-1)?.cell).toBe('c005');
  });

  it('are more while all of them run: nobody waits for the end of a run', () => {
    expect(grown(12, 4).book.cells).toHaveLength(12);
  });

  it('get no new members after a failed run until its pause is over', () => {
    const pool = grown(1, 4);
    const { cell: failed } = pool.member();
    pool.runEnded(wishOf(pool.state, failed), { instances: [], lostCreates: [], unlisted: [] }, 'no host');
    pool.adopt(shapeOf({ min: 2, max: 30 }));
    expect(pool.member(1).cell).not.toBe(failed);
    pool.pass(2_000);
    pool.adopt(shapeOf({ min: 3, max: 30 }));
    expect(pool.member(2).cell).toBe(failed);
  });
});

describe('the wish for a cell', () => {
  it('says what is made already, so that nothing is made twice: known to Nova, or in the stack', () => {
    const pool = grown(1);
    const { name, cell: own } = pool.member();
    const made = (): boolean[] => wishOf(pool.state, own).members.map((member) => member.made);
    expect(made()).toEqual([false]);
    pool.list();
    expect(made()).toEqual([true]);
    pool.event({
      type: 'engine',
      event: { type: 'created', cell: own, member: name, serverId: 's-1' as ServerId, addresses: {} },
    });
    pool.look(name, null);
    expect(made()).toEqual([true]);
  });

  it('names its members in the order in which they were made', () => {
    const pool = new Pool(shapeOf({ min: 20, max: 20 }), { cellSize: 20 });
    const names = wishOf(pool.state, cell('c001')).members.map(({ name }) => name);
    expect(names).toEqual(pool.members().map(({ name }) => name));
  });
});

describe('a cell is run', () => {
  it('while a member of it is to be made, and no longer than that', () => {
    const pool = new Pool(shapeOf({ min: 1 }));
    const { name, cell: own } = pool.member();
    expect(gathered(pool)).toEqual([own]);
    pool.list();
    const serverId = pool.member().server?.id ?? ('' as ServerId);
    const event = { type: 'created' as const, cell: own, member: name, serverId, addresses: {} };
    pool.event({ type: 'engine', event });
    // It boots for minutes.
    expect(pool.place(name)).toBe('building');
    expect(gathered(pool)).toEqual([]);
  });

  it('not for a VM that is in use before its create has returned', () => {
    const pool = new Pool(shapeOf({ min: 1 }));
    const { name } = pool.member();
    pool.list();
    pool.welcome(name);
    pool.ask(keyOf('1'));
    expect(pool.place(name)).toBe('Busy');
    expect(gathered(pool)).toEqual([]);
  });

  it('first where somebody has waited longest, with what came since, whatever its name', () => {
    const pool = new Pool(shapeOf({ min: 0, max: 30 }), { cellSize: 3 });
    pool.ask(keyOf('1'));
    const [first = ''] = pool.book.cells;
    pool.event({ type: 'runBegan', cell: cell(first) });
    pool.pass(1_000).ask(keyOf('2'));
    const [, second = ''] = pool.book.cells;
    // As many run as may: the second waits. Now the first is idle again, and has room.
    const wish = wishOf(pool.state, cell(first));
    pool.list();
    pool.runEnded(wish, {
      instances: wish.members.map(({ name }) => ({ member: name, serverId: `s-${name}` as ServerId })),
      ...{ lostCreates: [], unlisted: [] },
    });
    pool.pass(1_000).ask(keyOf('3'));
    expect(pool.members().map((member) => member.cell)).toEqual([first, second, second]);
    pool.pass(1_000).ask(keyOf('4'));
    pool.pass(1_000).ask(keyOf('5'));
    expect(pool.members().map((member) => member.cell)).toEqual([first, second, second, second, first]);
    expect(gathered(pool)).toEqual([second, first]);
  });

  it('first where somebody waits for a VM, then where VMs only go', () => {
    const pool = ready(3, { min: 3, max: 9 }, { cellSize: 1 });
    const [first, second, third] = pool.members();
    for (const { name } of [third, second].flatMap((member) => member ?? []))
      pool.event({ type: 'retire', member: name, why: 'told so' });
    pool.pass(10_000);
    // Two new ones take the place of those that go.
    const { cells } = pool.book;
    expect(cells).toHaveLength(5);
    expect(gathered(pool)).toEqual([cells[3], cells[4], second?.cell, third?.cell]);
    expect(first?.cell).toBe(cells[0]);
  });
});
