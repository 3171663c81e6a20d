import { describe, expect, it } from '@jest/globals';
import type { CellState, CellWish } from '../../../src/engine/port.js';
import type { MemberName, ServerId } from '../../../src/pool/model.js';
import { statusView } from '../../../src/pool/views.js';
import { cell, keyOf, Pool, ready, shapeOf } from './fixture.js';

const nothing: CellState = { instances: [], lostCreates: [], unlisted: [] };
const member = (name: string): MemberName => name as MemberName;
const found = (name: string, ...instances: string[]) => ({
  cell: cell(name),
  instances: instances.map(member),
});
const wishes = (pool: Pool): readonly CellWish[] =>
  pool.work('converge').flatMap((work) => (work.kind === 'converge' ? [work.wish] : []));
/** Begins what is due of that cell, and ends it with that state. */
const run = (pool: Pool, name: string, state: CellState | null, message: string | null = null): void => {
  const wish = wishes(pool).find((each) => each.cell === name);
  if (wish === undefined) throw new Error(`nothing is due of ${name}`);
  pool.event({ type: 'runBegan', cell: wish.cell });
  pool.runEnded(wish, state, message);
};

describe('cells that the engine has and the book does not know', () => {
  it('are run once with nothing on their lists, and are cells like the others from then on', () => {
    const pool = new Pool(shapeOf());
    pool.event({ type: 'cellsFound', cells: [found('c001'), found('c007')] });
    expect(wishes(pool)).toEqual([
      { cell: 'c001', members: [], retire: [] },
      { cell: 'c007', members: [], retire: [] },
    ]);
    // A crash before they were run forgets nothing: the next service finds them again.
    expect(pool.book.cells).toEqual([]);
    run(pool, 'c001', nothing);
    run(pool, 'c007', nothing);
    expect(wishes(pool)).toEqual([]);
    expect(pool.book.cells).toEqual(['c001', 'c007']);
    pool.event({ type: 'cellsFound', cells: [found('c001'), found('c007')] });
    expect(wishes(pool)).toEqual([]);
  });

  it('hold what is in their stack until it is explained: it is neither dropped nor leased', () => {
    const pool = new Pool(shapeOf());
    pool.event({ type: 'cellsFound', cells: [found('c001', 'p-0009-old')] });
    run(pool, 'c001', {
      instances: [{ member: member('p-0009-old'), serverId: 's-9' as ServerId }],
      lostCreates: [],
      unlisted: [member('p-0009-old')],
    });
    expect(pool.place('p-0009-old')).toBe('held');
    pool.ask(keyOf('1'));
    expect(pool.place('p-0009-old')).toBe('held');
    pool.pass(60_000);
    for (const wish of wishes(pool)) expect(wish.retire).toEqual([]);
    // Its server is gone, as a look by id says: only now it leaves its stack.
    pool.look(member('p-0009-old'), null);
    pool.pass(600_000);
    expect(pool.place('p-0009-old')).toBe('deleting');
    const wish = wishes(pool).find(({ cell: name }) => name === 'c001');
    expect(wish?.retire).toContain('p-0009-old');
  });

  it('are tried again, with pauses, while their state cannot be read, and the status says so', () => {
    const pool = new Pool(shapeOf());
    pool.event({ type: 'cellsFound', cells: [found('c001')] });
    run(pool, 'c001', null, 'the state cannot be read');
    expect(wishes(pool)).toEqual([]);
    expect(pool.book.cells).toEqual([]);
    const status = statusView(pool.state, pool.context(), 'v');
    expect(status.problems).toContainEqual(expect.stringContaining('the state cannot be read'));
    expect(status.cells).toEqual([expect.objectContaining({ stack: 'p-c001', members: 0 })]);
    pool.pass(5_000);
    run(pool, 'c001', nothing);
    expect(statusView(pool.state, pool.context(), 'v').problems).toEqual([]);
  });

  it('are not run beside their own run, and new members may go there', () => {
    const pool = new Pool(shapeOf());
    pool.event({ type: 'cellsFound', cells: [found('c001', 'p-0009-old')] });
    pool.event({ type: 'runBegan', cell: cell('c001') });
    expect(wishes(pool)).toEqual([]);
    pool.ask(keyOf('1'));
    expect(pool.member().cell).toBe('c001');
    pool.pass(1_000);
    expect(wishes(pool)).toEqual([]);
    pool.runEnded({ cell: cell('c001'), members: [], retire: [] }, nothing);
    expect(wishes(pool).map(({ members }) => members.map(({ name }) => name))).toEqual([
      [pool.member().name],
    ]);
    expect(pool.book.cells).toEqual(['c001']);
  });
});

describe('a cell that the book knows', () => {
  it('is run when its stack holds an instance that the book does not know', () => {
    const pool = ready(1);
    const { cell: own, name } = pool.member();
    pool.event({ type: 'cellsFound', cells: [found(own, name)] });
    expect(wishes(pool)).toEqual([]);
    pool.event({ type: 'cellsFound', cells: [found(own, name, 'p-0099-new')] });
    expect(wishes(pool)).toMatchObject([{ cell: own, members: [{ name }], retire: [] }]);
  });

  it('drops once more what an earlier state, put back, still holds of a name that the book has retired', () => {
    const pool = ready(1);
    pool.adopt(shapeOf({ min: 0 }));
    const { cell: own, name } = pool.member();
    pool.event({ type: 'retire', member: name, why: 'told so' });
    pool.end();
    pool.pass(1_000);
    expect(pool.book.retired.has(name)).toBe(true);
    pool.event({ type: 'cellsFound', cells: [found(own, name)] });
    const resurfaced = {
      instances: [{ member: name, serverId: 's-1' as ServerId }],
      lostCreates: [],
      unlisted: [name],
    };
    run(pool, own, resurfaced);
    expect(pool.book.members.has(name)).toBe(false);
    expect(wishes(pool)).toMatchObject([{ cell: own, retire: [name] }]);
    // It cannot be dropped yet: it is tried again.
    run(pool, own, { ...resurfaced, unlisted: [] }, 'the cloud does not answer');
    pool.pass(5_000);
    expect(wishes(pool)).toMatchObject([{ cell: own, retire: [name] }]);
    run(pool, own, nothing);
    expect(wishes(pool).flatMap(({ retire }) => retire)).toEqual([]);
  });

  it('is run again when nobody knows what its stack holds, although nothing is wanted of it', () => {
    const pool = ready(1);
    const { cell: own, name } = pool.member();
    const wish = { cell: own, members: [], retire: [] };
    pool.event({ type: 'runBegan', cell: own });
    pool.runEnded(wish, null, 'no space left on device');
    expect(wishes(pool)).toEqual([]);
    pool.pass(5_000);
    expect(wishes(pool)).toMatchObject([{ cell: own, members: [{ name }], retire: [] }]);
    run(pool, own, { ...nothing, instances: [{ member: name, serverId: 's-1' as ServerId }] });
    expect(wishes(pool)).toEqual([]);
  });

  it('is run when its state cannot be read, so that an earlier one is put back', () => {
    const pool = ready(1);
    const { cell: own } = pool.member();
    pool.event({ type: 'cellsFound', cells: [{ cell: own, instances: null }] });
    expect(wishes(pool)).toMatchObject([{ cell: own, retire: [] }]);
  });
});
