import { describe, expect, it } from '@jest/globals';
import { cellsOf } from '../../../src/pool/engine-events.js';
import type { CellWish } from '../../../src/engine/port.js';
import type { MemberName, ServerId } from '../../../src/pool/model.js';
import { cell, keyOf, Pool, ready, shapeOf } from './fixture.js';

const nobody = 'p-0099-nobody' as MemberName;
const at = 's-elsewhere' as ServerId;

function planned(): Pool {
  const pool = new Pool(shapeOf({ min: 1 }));
  pool.pass(1_000);
  return pool;
}
function tell(pool: Pool, type: 'created' | 'removed', member: MemberName): void {
  const where = { cell: cell('c001'), member };
  pool.event({
    type: 'engine',
    event: type === 'created' ? { type, ...where, serverId: at, addresses: {} } : { type, ...where },
  });
}
function fail(pool: Pool, member: MemberName): void {
  pool.event({
    type: 'engine',
    event: { type: 'createFailed', cell: cell('c001'), member, message: 'no host' },
  });
}
/** What was told of it since. */
const told = (pool: Pool, of: () => void): readonly string[] => {
  const before = pool.notes.length;
  of();
  return pool.notes.slice(before).map(({ kind, detail }) => `${kind}: ${detail}`);
};

describe('what the engine tells', () => {
  it('of a member that nobody knows changes nothing', () => {
    const pool = planned();
    const before = pool.book;
    tell(pool, 'created', nobody);
    tell(pool, 'removed', nobody);
    fail(pool, nobody);
    expect(pool.book).toBe(before);
  });

  it('of a create before Nova has shown it is where its server is known from; said twice it is told once', () => {
    const pool = planned();
    const { name } = pool.member();
    expect(told(pool, () => tell(pool, 'created', name))).toEqual([`engine: in its stack as server ${at}`]);
    expect(pool.member()).toMatchObject({ engine: 'managed', server: { id: at, status: 'ACTIVE' } });
    expect(told(pool, () => tell(pool, 'created', name))).toEqual([]);
  });

  it('of a create keeps what Nova has shown of the server', () => {
    const pool = planned();
    pool.list();
    const { name, server } = pool.member();
    tell(pool, 'created', name);
    expect(pool.member().server).toEqual(server);
  });

  it('of a create that failed ends one that is being built, and says why', () => {
    const pool = planned();
    const { name } = pool.member();
    expect(told(pool, () => fail(pool, name))).toContainEqual(
      expect.stringContaining('could not be created: no host'),
    );
    expect(pool.place(name)).toBe('deleting');
    // The same once more is not one more failure.
    const before = pool.book;
    fail(pool, name);
    expect(pool.book).toBe(before);
  });

  it('of a create that failed after its VM was in use leaves the job alone, and retires it afterwards', () => {
    const pool = ready(1);
    const { name } = pool.member();
    pool.stage(pool.ask(keyOf('1')));
    expect(told(pool, () => fail(pool, name))).toEqual([
      'engine: create failed after the VM was in use: no host',
    ]);
    expect(pool.member()).toMatchObject({
      state: { kind: 'Busy' },
      retire: 'its create failed in Pulumi: no host',
    });
  });

  it('of a removal counts for what is on its way out alone', () => {
    const pool = ready(1);
    const before = pool.book;
    tell(pool, 'removed', pool.member().name);
    expect(pool.book).toBe(before);
  });
});

describe('the end of a run', () => {
  const wishOf = (pool: Pool): CellWish => {
    const [work] = pool.work('converge');
    if (work?.kind !== 'converge') throw new Error('nothing is due');
    return work.wish;
  };

  it('tells what its lost events had to tell', () => {
    const pool = planned();
    const wish = wishOf(pool);
    const { name } = pool.member();
    pool.event({ type: 'runBegan', cell: wish.cell });
    pool.runEnded(wish, { instances: [{ member: name, serverId: at }], lostCreates: [], unlisted: [] });
    expect(pool.member()).toMatchObject({ engine: 'managed', server: { id: at } });
  });

  it('takes nothing for lost that the state holds', () => {
    const pool = planned();
    const wish = wishOf(pool);
    const { name } = pool.member();
    pool.event({ type: 'runBegan', cell: wish.cell });
    pool.runEnded(wish, { instances: [], lostCreates: [nobody], unlisted: [] });
    expect(pool.member()).toMatchObject({ name, engine: 'planned' });
  });

  it('lets a VM go that the state no longer holds, and no other', () => {
    const pool = ready(2);
    pool.adopt(shapeOf({ min: 0 }));
    const [gone, stays] = [pool.member(0), pool.member(1)];
    for (const { name } of [gone, stays]) pool.event({ type: 'retire', member: name, why: 'told so' });
    pool.pass(10_000);
    const wish = wishOf(pool);
    pool.event({ type: 'runBegan', cell: wish.cell });
    const instances = [{ member: stays.name, serverId: stays.server?.id ?? at }];
    pool.runEnded(wish, { instances, lostCreates: [], unlisted: [] }, 'it could not delete all');
    for (const { name } of [gone, stays]) pool.look(name, null);
    expect(pool.place(gone.name)).toBe('gone');
    expect(pool.place(stays.name)).toBe('deleting');
    pool.pass(10_000);
    expect(wishOf(pool).retire).toEqual([stays.name]);
  });

  it('makes the next one of that cell wait longer with each that fails, two minutes at most', () => {
    const pool = planned();
    const wish = wishOf(pool);
    const none = { instances: [], lostCreates: [], unlisted: [] };
    const pauses = Array.from({ length: 9 }, () => {
      pool.event({ type: 'runBegan', cell: wish.cell });
      pool.runEnded(wish, none, 'the cloud does not answer');
      return ((pool.state.sight.cells[wish.cell]?.notBefore ?? 0) - pool.now) / 1000;
    });
    expect(pauses).toEqual([2, 4, 8, 16, 32, 64, 120, 120, 120]);
  });

  it('without a word of why is a failure all the same, and a cell is named once', () => {
    const pool = planned();
    const wish = wishOf(pool);
    pool.event({ type: 'runBegan', cell: wish.cell });
    const ended = { type: 'runEnded', wish, result: { ok: false, state: null, message: null } } as const;
    expect(told(pool, () => void pool.event(ended))).toContainEqual(
      `cell: ${wish.cell}: failed without a message`,
    );
    expect(pool.state.sight.unexplored).toEqual([wish.cell]);
    pool.event({ type: 'cellsFound', cells: [{ cell: wish.cell, instances: null }] });
    expect(cellsOf(pool.state)).toEqual([wish.cell]);
  });
});
