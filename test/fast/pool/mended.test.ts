/** What the simulation and a close reading found wrong once, each kept right by a test of its own. */
import { describe, expect, it } from '@jest/globals';
import { wishOf } from '../../../src/pool/planner.js';
import type { MemberName, ServerId } from '../../../src/pool/model.js';
import { leaseIdOf } from '../../../src/pool/ids.js';
import { nodeVerdict, statusView } from '../../../src/pool/views.js';
import { attempt, keyOf, Pool, ready, shapeOf, specOf, viewOf } from './fixture.js';

describe('a server in ERROR that goes on answering', () => {
  it('does not flap between error and Free: it is terminated after its limit', () => {
    const pool = ready(1);
    const { name } = pool.member();
    pool.list({ [name]: { status: 'ERROR' } });
    expect(pool.place(name)).toBe('error');
    pool.pass(15_000).probe(name);
    expect(pool.place(name)).toBe('error');
    pool.pass(50_000);
    expect(pool.place(name)).toBe('deleting');
  });

  it('is scrubbed and used again once Nova says that it is well', () => {
    const pool = ready(1);
    const { name } = pool.member();
    pool.list({ [name]: { status: 'ERROR' } });
    pool.pass(15_000).list({ [name]: { status: 'ACTIVE' } });
    pool.probe(name);
    expect(pool.place(name)).toBe('scrubbing');
  });
});

describe('after failed creates', () => {
  it('one new member is tried at a time, however many steps go by', () => {
    const pool = new Pool(shapeOf({ min: 4, max: 4 }));
    for (const m of pool.members()) {
      pool.event({
        type: 'engine',
        event: { type: 'createFailed', cell: m.cell, member: m.name, message: 'quota' },
      });
    }
    pool.end();
    expect(pool.members()).toHaveLength(0);
    pool.pass(6_000).pass(10).pass(10).pass(10);
    expect(pool.places()).toEqual(['building']);
  });

  it('cells that failed together count as one failure', () => {
    const pool = new Pool(shapeOf({ min: 4, max: 4 }), { cellSize: 1 }).pass(1_000);
    const runs = pool.work('converge').map((w) => {
      if (w.kind !== 'converge') throw new Error(w.kind);
      pool.event({ type: 'runBegan', cell: w.wish.cell });
      return w.wish;
    });
    expect(runs).toHaveLength(4);
    pool.now += 1_000;
    for (const wish of runs) pool.runEnded(wish, null, 'Keystone does not answer');
    expect(pool.book.breaker.failures).toBe(1);
  });

  it('a cell that only had to delete says nothing about creates', () => {
    const pool = ready(2);
    const { name, cell } = pool.member();
    pool.event({ type: 'retire', member: name, why: 'told so' });
    pool.end();
    pool.boot();
    pool.event({ type: 'runBegan', cell });
    pool.runEnded(wishOf(pool.state, cell), null, 'the backend does not answer');
    expect(pool.book.breaker.failures).toBe(0);
  });
});

describe('after the last failed create, with no VM wanted any more', () => {
  const failed = (): Pool => {
    const pool = new Pool(shapeOf({ min: 0, max: 2 }), { breakerAfter: 1, backoffBaseMs: 1_000 });
    const lease = pool.ask(keyOf('1'));
    const { cell, name } = pool.member();
    const event = { type: 'createFailed', cell, member: name, message: 'no valid host' } as const;
    pool.event({ type: 'engine', event });
    pool.event({ type: 'releaseById', id: lease, reason: 'the job was deleted' });
    pool.end();
    expect(pool.members()).toEqual([]);
    return pool;
  };

  it('the worker gets jobs again when the pause is over: without one, nothing would ever try', () => {
    const pool = failed();
    expect(nodeVerdict(pool.state, pool.context()).ok).toBe(false);
    pool.pass(1_001);
    expect(nodeVerdict(pool.state, pool.context()).ok).toBe(true);
    // The next job is the trial, and no other one comes while that goes on.
    pool.ask(keyOf('2'));
    expect(pool.places()).toEqual(['building']);
    expect(nodeVerdict(pool.state, pool.context()).ok).toBe(false);
    pool.boot();
    expect(pool.book.breaker.failures).toBe(0);
  });

  it('the status calls it a problem only while it holds something back', () => {
    const pool = failed();
    const told = () => statusView(pool.state, pool.context(), 'v');
    expect(told().problems).toContainEqual(expect.stringContaining('no new VM can be had'));
    expect(told().breaker.open).toBe(true);
    pool.pass(1_001);
    expect(told().problems).toEqual([]);
    expect(told().breaker).toMatchObject({ open: false, failures: 1, why: 'no valid host' });
  });
});

describe('a VM that was rebuilt', () => {
  it('comes up again without ending the pause after failed creates: the cloud has given no new server', () => {
    const pool = ready(2, { min: 2, max: 3 }, { reuse: 'rebuild' });
    const { name } = pool.member();
    pool.stage(pool.ask(keyOf('1')));
    pool.release(keyOf('1'));
    pool.ask(keyOf('2'));
    pool.ask(keyOf('3'));
    pool.ask(keyOf('4'));
    const born = pool.members().find((m) => pool.place(m.name) === 'building');
    if (born === undefined) throw new Error('nothing is built');
    pool.event({
      type: 'engine',
      event: { type: 'createFailed', cell: born.cell, member: born.name, message: 'quota' },
    });
    expect(pool.book.breaker.failures).toBe(1);
    pool.now += 1_000;
    pool.event({ type: 'rebuilt', member: name });
    expect(pool.place(name)).toBe('building');
    pool.now += 1;
    pool.welcome(name);
    expect(['Free', 'Busy']).toContain(pool.place(name));
    expect(pool.book.breaker.failures).toBe(1);
  });
});

describe('a clock that is set forward while the service is down', () => {
  it('makes nobody forget the end of an attempt whose calls may still be on their way', () => {
    const pool = ready(1);
    pool.stage(pool.ask(keyOf('1')));
    pool.release(keyOf('1'));
    pool.sync([]);
    pool.now += 10 * 24 * 3_600_000;
    pool.restart();
    pool.sync([]);
    pool.pass(1_000);
    expect(pool.asked(keyOf('1'))).toBe('stale-attempt');
    pool.pass(3_600_000).sync([]);
    pool.pass(1_000);
    expect(pool.book.ended.size).toBe(0);
  });
});

describe('a new spec that does not boot', () => {
  it('costs no ready VM while there is room for replacements', () => {
    const pool = ready(2, { max: 4 });
    pool.adopt(shapeOf({ min: 2, max: 4, generation: 'g2' }));
    pool.pass(1_000).pass(1_000);
    expect(pool.places()).toEqual(['Free', 'Free', 'building']);
    pool.boot();
    expect(pool.places().filter((p) => p === 'deleting')).toHaveLength(1);
  });

  it('costs one VM at a time where there is no room', () => {
    const pool = ready(3, { max: 3 });
    pool.adopt(shapeOf({ min: 3, max: 3, generation: 'g2' }));
    pool.pass(1_000).pass(1_000);
    pool.end();
    pool.pass(1_000).pass(1_000);
    expect(pool.places()).toEqual(['Free', 'Free', 'building']);
  });
});

it('an old VM that nobody needs goes, even where the pool may be empty', () => {
  const pool = ready(1);
  pool.adopt(shapeOf({ min: 0, generation: 'g2' }));
  expect(pool.places()).toEqual(['deleting']);
});

it('a VM whose create was lost is replaced when it is idle', () => {
  const pool = ready(1);
  const before = pool.member();
  const wish = wishOf(pool.state, before.cell);
  pool.runEnded(wish, { instances: [], lostCreates: [before.name], unlisted: [] });
  expect(pool.place(before.name)).toBe('Free');
  pool.boot();
  expect(pool.place(before.name)).toBe('deleting');
  expect(pool.member(1).state.kind).toBe('Free');
});

it('a VM that had a job is not used again where VMs are not reused, not even after a hold', () => {
  const pool = ready(1, {}, { reuse: 'never' });
  const { name } = pool.member();
  pool.ask(keyOf('1'));
  pool.release(keyOf('1'), 'copy back failed');
  expect(pool.place(name)).toBe('held');
  pool.event({ type: 'unhold', member: name });
  expect(pool.place(name)).toBe('deleting');
});

it('a VM that boots from a volume is not used again where VMs are rebuilt: Nova leaves the volume as it is', () => {
  const spec = { ...specOf('g1'), bootVolumeGiB: 20 };
  const pool = ready(1, { spec }, { reuse: 'rebuild' });
  const { name } = pool.member();
  pool.ask(keyOf('1'));
  pool.release(keyOf('1'));
  expect(pool.place(name)).toBe('deleting');
  expect(pool.work('rebuild')).toEqual([]);
});

it("an operator's hold is not turned into another by what a probe finds", () => {
  const pool = ready(1);
  const { name } = pool.member();
  const lease = pool.ask(keyOf('1'));
  pool.stage(lease);
  pool.event({ type: 'hold', member: name, why: 'a person wants to look' });
  pool.probe(name, keyOf('stranger'));
  pool.release(keyOf('1'));
  expect(pool.member().hold?.kind).toBe('operator');
});

describe('a server that the store does not know', () => {
  const stranger = viewOf('p-0099-xxxx', 'server-99', { cell: 'c007' });

  it('is on no list that could make Pulumi create it, and on the list of those to go when it goes', () => {
    const pool = new Pool();
    pool.event({ type: 'listed', servers: [stranger], complete: true });
    const { cell, name } = pool.member();
    expect(wishOf(pool.state, cell)).toEqual({ cell, members: [], retire: [] });
    pool.event({ type: 'retire', member: name, why: 'told so' });
    expect(wishOf(pool.state, cell).retire).toEqual([name]);
  });

  it('can go when its metadata name no cell', () => {
    const pool = new Pool();
    pool.event({ type: 'listed', servers: [viewOf('p-0099-xxxx', 's', { cell: '' })], complete: true });
    const { name } = pool.member();
    pool.event({ type: 'retire', member: name, why: 'told so' });
    expect(pool.work('end')).toHaveLength(1);
    pool.look(name, null);
    expect(pool.members()).toHaveLength(0);
  });

  it('is held as well when only its stack shows it, and leaves the stack when its server is gone', () => {
    const pool = ready(1);
    const { cell } = pool.member();
    const name = 'p-0099-xxxx' as MemberName;
    const serverId = 'server-99' as ServerId;
    pool.runEnded(wishOf(pool.state, cell), {
      instances: [{ member: name, serverId }],
      lostCreates: [],
      unlisted: [name],
    });
    expect(pool.place(name)).toBe('held');
    for (let i = 0; i < 2; i += 1) {
      pool.event({ type: 'listed', servers: [], complete: true });
      pool.event({ type: 'looked', member: name, id: serverId, view: null });
    }
    expect(wishOf(pool.state, cell).retire).toEqual([name]);
  });

  it('bears its job on, also where an earlier start of that job has ended here', () => {
    const pool = new Pool(shapeOf({ max: 4 }));
    pool.release(keyOf('7', attempt(1)));
    pool.event({ type: 'listed', servers: [stranger], complete: true });
    const { name } = pool.member();
    pool.now += 1_000;
    pool.probe(name, keyOf('7', attempt(2)));
    pool.sync(['7']);
    pool.pass(1_000);
    expect(pool.place(name)).toBe('Busy');
    expect(pool.book.leases.keys()).toEqual([leaseIdOf(keyOf('7', attempt(2)))]);
  });

  it('is not judged before the worker on its marker has spoken, named in the configuration or not', () => {
    const pool = new Pool();
    pool.workers = [];
    pool.event({ type: 'listed', servers: [stranger], complete: true });
    const { name } = pool.member();
    pool.now += 1_000;
    pool.probe(name, keyOf('7'));
    pool.pass(1_000);
    expect(pool.place(name)).toBe('held');
    pool.sync(['7']);
    expect(pool.place(name)).toBe('Busy');
  });

  it('ends an earlier start of its job that came back with the store and waits', () => {
    const pool = new Pool(shapeOf({ max: 1 }));
    const older = pool.ask(keyOf('7', attempt(1)));
    pool.event({ type: 'listed', servers: [stranger], complete: false });
    pool.now += 1_000;
    pool.probe(stranger.name as MemberName, keyOf('7', attempt(2)));
    pool.sync(['7']);
    expect(pool.book.leases.keys()).toEqual([leaseIdOf(keyOf('7', attempt(2)))]);
    expect(pool.book.requests.get(older)).toBeUndefined();
  });

  it('does not keep a newer start of its job waiting for ever, nor meets it', () => {
    const pool = ready(1, { max: 2 });
    pool.event({ type: 'hold', member: pool.member().name, why: 'no VM for now' });
    const newer = pool.ask(keyOf('7', attempt(2)));
    pool.event({ type: 'listed', servers: [stranger], complete: false });
    pool.now += 1_000;
    pool.probe(stranger.name as never, keyOf('7', attempt(1)));
    pool.event({ type: 'unhold', member: pool.member().name });
    pool.scrub(pool.member().name);
    expect(pool.book.requests.get(newer)).toBeDefined();
    pool.sync(['7']);
    expect(pool.place(stranger.name)).toBe('deleting');
    pool.event({ type: 'looked', member: stranger.name as never, id: stranger.id, view: null });
    pool.event({
      type: 'engine',
      event: { type: 'removed', cell: 'c007' as never, member: stranger.name as never },
    });
    pool.pass(1_000);
    expect(pool.book.leases.get(newer)).toBeDefined();
  });
});

it('a silent VM that the listing leaves out is still probed, and looks do not count as its answers', () => {
  const pool = ready(1);
  const { name } = pool.member();
  pool.now += 60_000;
  pool.event({ type: 'listed', servers: [], complete: true });
  expect(pool.work()[0]?.kind).toBe('look');
  pool.silence(name);
  pool.look(name, viewOf(name, pool.member().server?.id ?? ''));
  pool.silence(name);
  expect(pool.place(name)).toBe('unreachable');
  const kinds = new Set<string>();
  for (let i = 0; i < 12; i += 1) {
    pool.event({ type: 'listed', servers: [], complete: true });
    for (const { kind } of pool.work()) kinds.add(kind);
    if (pool.work('look').length > 0) pool.look(name, viewOf(name, pool.member().server?.id ?? ''));
    for (const { kind } of pool.work()) kinds.add(kind);
    pool.now += 1_000;
  }
  expect([...kinds]).toEqual(expect.arrayContaining(['look', 'probe']));
});

it('a lost create without a server ends by the boot limit where no listing ever is complete', () => {
  const pool = new Pool(shapeOf({ min: 1 }));
  const { name, cell } = pool.member();
  pool.runEnded(wishOf(pool.state, cell), { instances: [], lostCreates: [name], unlisted: [] });
  for (let i = 0; i < 130; i += 1) {
    pool.event({ type: 'listed', servers: [], complete: false });
    pool.pass(5_000);
  }
  expect(pool.place(name)).toBe('deleting');
});

it('a VM beyond its age is replaced by one: no VM that is well and idle goes in its place', () => {
  const shape = { max: 7, maxAgeMs: 1_800_000 };
  const pool = ready(1, shape);
  pool.pass(600_000);
  pool.adopt(shapeOf({ ...shape, min: 2 }));
  pool.boot().pass(1_200_001);
  const places = (): string[] => pool.members().map(({ name }) => pool.place(name));
  // Its replacement is being built; until it is ready both are left alone, and nothing more is decided.
  expect(places()).toEqual(['Free', 'Free', 'building']);
  pool.pass(1_000).pass(1_000);
  expect(places()).toEqual(['Free', 'Free', 'building']);
  const [old, well] = pool.members().map(({ name }) => name);
  pool.boot().pass(1_000);
  expect([pool.place(old ?? ''), pool.place(well ?? '')]).toEqual(['deleting', 'Free']);
});
