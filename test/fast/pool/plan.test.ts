import { describe, expect, it } from '@jest/globals';
import { planView, type PlanView } from '../../../src/http/plan-api.js';
import type { ServerId } from '../../../src/pool/model.js';
import { planOf } from '../../../src/pool/plan.js';
import { wishOf } from '../../../src/pool/planner.js';
import { keyOf, Pool, ready, shapeOf, viewOf } from './fixture.js';

/** Told as the API tells it, and nothing was decided by asking. */
function plan(pool: Pool): PlanView {
  const before = pool.state;
  const stored = JSON.stringify(before.book);
  const told = planOf(before, pool.context());
  expect(pool.state).toBe(before);
  expect(JSON.stringify(pool.book)).toBe(stored);
  expect(planView.parse(told)).toEqual(told);
  return told;
}

const orders = (told: PlanView): string[] =>
  told.cells.flatMap(({ name, members }) =>
    members.map(
      ({ vm, order, by, decided, why }) =>
        `${name} ${order} ${vm ?? '-'} ${by}${decided ? '' : ' undecided'}: ${why}`,
    ),
  );

const pause = (pool: Pool): void => {
  pool.event({ type: 'pause', why: 'audit', forMs: 3_600_000 });
};

describe('the plan', () => {
  it('is empty where all is as it should be, and names every cell', () => {
    const told = plan(ready(2));
    expect(told).toMatchObject({
      pools: [{ name: 'p', paused: null, noCreates: null }],
      cells: [
        { name: 'c001', stack: 'p-c001', running: false, nextTry: null, lastError: null, looks: false },
      ],
      strays: [],
    });
    expect(orders(told)).toEqual([]);
  });

  it('is empty, too, without a shape', () => {
    expect(plan(new Pool(null))).toMatchObject({ cells: [], strays: [] });
  });

  it('has what is to be made until the stack has it, and what it is for', () => {
    const pool = new Pool(shapeOf({ min: 1 }));
    pool.ask(keyOf('28.server'));
    expect(orders(plan(pool))).toEqual([
      "c001 create p-0001-s1 stack: the pool's minimum is 1, and it has 0",
    ]);
    pool.boot();
    expect(orders(plan(pool))).toEqual([]);
    pool.ask(keyOf('29.server'));
    expect(orders(plan(pool))).toEqual([
      `c001 create ${pool.member(1).name} stack: job 29.server waits for a VM`,
    ]);
  });

  it('has what is to be ended until Nova says that it is gone, by whom, and why', () => {
    const pool = ready(1);
    const { name, cell } = pool.member();
    pool.event({ type: 'retire', member: name, why: 'odd disk' });
    expect(orders(plan(pool))).toEqual([
      'c001 delete p-0001-s1 stack: odd disk',
      `c001 create ${pool.member(1).name} stack: the pool's minimum is 1, and it has 0; not counted: p-0001-s1 (deleting)`,
    ]);
    pool.event({ type: 'engine', event: { type: 'removed', cell, member: name } });
    expect(orders(plan(pool))[0]).toBe('c001 delete p-0001-s1 cloud: odd disk');
    pool.look(name, null);
    expect(orders(plan(pool))).toHaveLength(1);
  });

  it('says that no reason was kept where an earlier version decided', () => {
    const pool = new Pool(shapeOf({ min: 1 }));
    const { made, ...old } = pool.member();
    expect(made).toBeDefined();
    pool.state = { ...pool.state, book: { ...pool.book, members: pool.book.members.with(old.name, old) } };
    expect(orders(plan(pool))[0]).toMatch(/: decided by an earlier version, which kept no reason$/);
  });

  it('says of a cell what its update does, or waits for', () => {
    const pool = new Pool(shapeOf({ min: 1 }));
    const { cell } = pool.member();
    const wish = wishOf(pool.state, cell);
    pool.event({ type: 'runBegan', cell });
    expect(plan(pool).cells[0]).toMatchObject({ running: true, nextTry: null });
    pool.runEnded(wish, { instances: [], lostCreates: [], unlisted: [] }, 'quota');
    expect(plan(pool).cells[0]).toMatchObject({
      running: false,
      nextTry: new Date(pool.now + 2_000).toISOString(),
      lastError: 'quota',
    });
    pool.pass(2_000);
    expect(plan(pool).cells[0]?.nextTry).toBeNull();
  });

  it('has cells that are not known, and what came back with an earlier state', () => {
    const pool = ready(1);
    const { name, cell, server } = pool.member();
    pool.event({ type: 'cellsFound', cells: [{ cell: 'c007' as typeof cell, instances: null }] });
    expect(plan(pool).cells.map(({ name: each, looks }) => [each, looks])).toEqual([
      ['c001', false],
      ['c007', true],
    ]);
    pool.event({ type: 'retire', member: name, why: 'told so' });
    pool.end();
    const instances = [{ member: name, serverId: server?.id ?? ('' as ServerId) }];
    pool.runEnded(wishOf(pool.state, cell), { instances, lostCreates: [], unlisted: [] });
    expect(orders(plan(pool))).toContain(
      "c001 delete p-0001-s1 stack: it was ended, and an earlier copy of its stack's state has it again",
    );
  });

  it("has servers that go by a VM's name, and those that are in no stack", () => {
    const pool = ready(1);
    const { name, server } = pool.member();
    pool.event({
      type: 'listed',
      servers: [
        viewOf(name, server?.id ?? ''),
        viewOf(name, 'twin'),
        viewOf('p-0099-x', 's99', { cell: '' }),
      ],
      complete: true,
    });
    expect(plan(pool).strays).toEqual([
      { server: 'twin', vm: name, why: `by its stack the VM of that name is server s-${name}` },
    ]);
    expect(plan(pool).cells.map((each) => each.name)).toEqual(['c001']);
    pool.event({ type: 'kill', member: 'p-0099-x', why: 'not ours' });
    expect(plan(pool).cells.at(-1)).toMatchObject({
      name: '',
      stack: null,
      members: [{ vm: 'p-0099-x', order: 'delete', by: 'cloud', why: 'not ours' }],
    });
  });

  it('says why no more VMs are made', () => {
    const pool = new Pool(shapeOf({ min: 1 }));
    const { cell, name } = pool.member();
    pool.event({ type: 'engine', event: { type: 'createFailed', cell, member: name, message: 'no host' } });
    expect(plan(pool).pools[0]?.noCreates).toBe(
      `1 creates in a row have failed, the next try is at ${new Date(pool.now + 5_000).toISOString()}: no host`,
    );
    pool.pass(5_000);
    expect(plan(pool).pools[0]?.noCreates).toBe(
      '1 creates in a row have failed, one is being tried: no host',
    );
    pool.event({ type: 'cloudFailed', why: '429', restMs: 60_000 });
    expect(plan(pool).pools[0]?.noCreates).toBe(
      `the cloud asked for a pause until ${new Date(pool.now + 60_000).toISOString()}`,
    );
  });
});

describe('the plan while changes are paused', () => {
  /** A pool that wants to grow, to shrink and to roll, each held up by the pause. */
  const stories: readonly (readonly [string, () => Pool])[] = [
    [
      'jobs wait',
      () => {
        const pool = ready(1, { max: 3 });
        pause(pool);
        for (const job of ['1', '2', '3', '4']) pool.ask(keyOf(job));
        return pool;
      },
    ],
    [
      'VMs idle',
      () => {
        const pool = ready(3);
        pause(pool);
        pool.adopt(shapeOf({ min: 1 }));
        return pool.pass(400_000);
      },
    ],
    [
      'the spec has changed',
      () => {
        const pool = ready(2);
        pause(pool);
        pool.adopt(shapeOf({ min: 2, generation: 'g2' }));
        return pool;
      },
    ],
    [
      'one was decided before, another is retired by order',
      () => {
        const pool = ready(1);
        pool.ask(keyOf('1'));
        pool.ask(keyOf('2'));
        pause(pool);
        pool.event({ type: 'retire', member: pool.member(1).name, why: 'told so' });
        return pool;
      },
    ],
  ];

  it.each(stories)('is what is decided when they go on, with the same reasons: %s', (_, bring) => {
    const pool = bring();
    const told = plan(pool);
    expect(told.pools[0]?.paused).toEqual({
      why: 'audit',
      until: new Date(pool.book.paused?.until ?? 0).toISOString(),
    });
    expect(orders(told).length).toBeGreaterThan(0);
    pool.event({ type: 'resume' });
    const later = plan(pool);
    const whys = (of: PlanView): string[] =>
      of.cells.flatMap(({ name, members }) =>
        members.map(({ order, by, why }) => `${name} ${order} ${by} ${why}`),
      );
    expect(whys(later)).toEqual(whys(told));
    expect(
      later.cells.flatMap(({ members }) => members).every(({ vm, decided }) => decided && vm !== null),
    ).toBe(true);
  });

  it('tells what is decided from what is not, and gives no name to what has none', () => {
    const pool = ready(1, { max: 3 });
    pause(pool);
    pool.ask(keyOf('1'));
    pool.ask(keyOf('2'));
    expect(orders(plan(pool))).toEqual(['c001 create - stack undecided: job 2 waits for a VM']);
    pool.adopt(shapeOf({ min: 0, max: 0 }));
    pool.release(keyOf('1'));
    pool.scrub(pool.member().name);
    expect(pool.places()).toEqual(['Busy']);
    pool.release(keyOf('2'));
    pool.scrub(pool.member().name);
    expect(orders(plan(pool))).toEqual(["c001 delete p-0001-s1 stack undecided: the pool's maximum is 0"]);
  });
});
