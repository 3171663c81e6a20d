import { describe, expect, it } from '@jest/globals';
import { emptySight } from '../../../src/pool/book.js';
import { leaseIdOf } from '../../../src/pool/ids.js';
import { distrust } from '../../../src/pool/restore.js';
import { problemsOf } from '../../../src/pool/views.js';
import { attempt, keyOf, Pool, ready, shapeOf, viewOf } from './fixture.js';

/** The pool after its book was put back from a copy that is as old as the present one. */
function putBack(pool: Pool): void {
  pool.state = { book: distrust(pool.book, pool.now, true), sight: emptySight };
}

describe('a book put back from a copy', () => {
  it('leases no VM before its marker was read and every worker has spoken', () => {
    const pool = ready(1, { max: 1 });
    putBack(pool);
    const id = pool.ask(keyOf('1'));
    expect(pool.book.leases.get(id)).toBeUndefined();
    const { name } = pool.member();
    expect(pool.place(name)).toBe('held');
    pool.pass(1_000).probe(name);
    expect(pool.place(name)).toBe('held');
    pool.sync([]);
    expect(pool.place(name)).toBe('scrubbing');
    pool.scrub(name);
    expect(pool.book.leases.get(id)?.member).toBe(name);
  });

  it('scrubs or gives up no VM that it calls unusable: a job may have come since', () => {
    const pool = ready(1, { max: 1 }, { scrubLimitMs: 1_000, unreachableLimitMs: 1_000 });
    const { name } = pool.member();
    pool.ask(keyOf('1'));
    pool.release(keyOf('1'));
    expect(pool.place(name)).toBe('scrubbing');
    putBack(pool);
    expect(pool.place(name)).toBe('held');
    pool.pass(3_600_000);
    expect(pool.place(name)).toBe('held');
    expect(pool.work('scrub')).toEqual([]);
  });

  it('gives the lease back that the marker tells of, while the worker has the job', () => {
    const pool = ready(1, { max: 1 });
    const { name } = pool.member();
    putBack(pool);
    pool.pass(1_000).probe(name, keyOf('7'));
    pool.sync(['7']);
    expect(pool.place(name)).toBe('Busy');
    expect(pool.book.leases.keys()).toEqual([leaseIdOf(keyOf('7'))]);
  });

  it('gives no lease back by a marker that is not its own, and holds the VM while the job that it names lives', () => {
    const pool = ready(1, { max: 1 });
    const { name } = pool.member();
    putBack(pool);
    pool.pass(1_000).probe(name, keyOf('7'), 'b1', false);
    pool.sync(['7']);
    pool.pass(24 * 3_600_000);
    expect(pool.place(name)).toBe('held');
    expect(pool.book.leases.size).toBe(0);
    expect(problemsOf(pool.state, pool.context()).find((p) => p.includes(name))).toMatch(
      /names job 7 and was not written by this service.*vmpool retire/,
    );
    pool.probe(name, keyOf('7'), 'b1', false);
    pool.sync([]);
    pool.pass(1_000);
    expect(pool.place(name)).toBe('deleting');
  });

  it('serves no later start of a job while an earlier one may run on a VM that was not asked yet', () => {
    const pool = ready(2, { max: 3 });
    putBack(pool);
    const [first, second] = [pool.member(0).name, pool.member(1).name];
    const later = pool.ask(keyOf('7', attempt(2)));
    pool.pass(1_000).probe(first);
    pool.sync(['7']);
    pool.scrub(first);
    expect(pool.place(first)).toBe('Free');
    expect(pool.book.leases.get(later)).toBeUndefined();
    pool.probe(second);
    pool.pass(1_000);
    expect(pool.book.leases.get(later)?.member).toBe(first);
  });
});

describe('a VM that is held until it is explained', () => {
  it('is not given back by an operator in passing, and its advice names what is missing', () => {
    const pool = new Pool(shapeOf({ max: 2 }));
    pool.event({ type: 'listed', servers: [viewOf('p-0099-xxxx', 's-1', { cell: 'c007' })], complete: true });
    const { name } = pool.member();
    expect(pool.event({ type: 'unhold', member: name })).toMatchObject({
      outcome: { kind: 'refused', code: 'conflict' },
    });
    expect(pool.event({ type: 'hold', member: name, why: 'x' })).toMatchObject({
      outcome: { kind: 'refused' },
    });
    expect(pool.member().hold?.kind).toBe('unknown');
    const advice = problemsOf(pool.state, pool.context()).find((p) => p.includes(name));
    expect(advice).toContain('its marker has not been read yet');
    expect(advice).toContain('no sync yet from w1');
    expect(advice).not.toContain('unhold');
  });

  it('has its cell ignored when that is no name of a cell', () => {
    const pool = new Pool();
    pool.event({
      type: 'listed',
      servers: [viewOf('p-0099-xxxx', 's-1', { cell: '../../etc' })],
      complete: true,
    });
    expect(pool.member().cell).toBe('');
    expect(pool.book.cells).toEqual([]);
  });

  it('stays held when one look misses its server', () => {
    const pool = new Pool();
    const view = viewOf('p-0099-xxxx', 's-1', { cell: 'c007' });
    pool.event({ type: 'listed', servers: [view], complete: true });
    const { name } = pool.member();
    pool.event({ type: 'looked', member: name, id: view.id, view: null });
    expect(pool.place(name)).toBe('lost');
    pool.event({ type: 'looked', member: name, id: view.id, view });
    expect(pool.place(name)).toBe('held');
    expect(pool.member().hold?.kind).toBe('unknown');
  });
});

it('a job that was root and wrote the marker of another request gets neither its lease nor its place in the line', () => {
  const pool = ready(1, { max: 1 });
  const { name } = pool.member();
  const own = pool.ask(keyOf('1'));
  pool.stage(own);
  const victim = pool.ask(keyOf('2'));
  pool.probe(name, keyOf('2'));
  pool.release(keyOf('1'));
  expect(pool.place(name)).toBe('held');
  pool.pass(1_000).probe(name, keyOf('2'));
  pool.sync(['2']);
  expect(pool.book.leases.get(victim)).toBeUndefined();
  expect(pool.book.requests.get(victim)).toBeDefined();
  expect(pool.place(name)).toBe('held');
});

it("one worker's word ends nothing of another worker's job, now or later", () => {
  const pool = ready(1);
  const id = pool.ask(keyOf('1'));
  pool.release(keyOf('1', attempt(999), 'w2'));
  expect(pool.book.leases.get(id)).toBeDefined();
  expect(pool.asked(keyOf('1'))).toBe('accepted');
  pool.release(keyOf('1'));
  pool.release(keyOf('1', attempt(999), 'w2'));
  expect(pool.asked(keyOf('1', attempt(2)))).toBe('accepted');
});

it('the book forgets ended jobs that their worker has long stopped to list, and no others', () => {
  const pool = ready(1);
  for (const job of ['1', '2']) {
    pool.ask(keyOf(job));
    pool.release(keyOf(job));
  }
  pool.pass(3_700_000);
  expect(pool.book.ended.keys()).toEqual(['1', '2']);
  pool.sync(['2']);
  pool.pass(10_000);
  expect(pool.book.ended.keys()).toEqual(['2']);
});

it('an outdated VM is replaced although jobs never stop waiting for it', () => {
  const pool = ready(1, { max: 1 });
  const old = pool.member().name;
  pool.ask(keyOf('1'));
  pool.adopt(shapeOf({ max: 1, generation: 'g2' }));
  const next = pool.ask(keyOf('2'));
  pool.release(keyOf('1'));
  pool.scrub(old);
  expect(pool.place(old)).toBe('deleting');
  expect(pool.book.requests.get(next)).toBeDefined();
});

it('time in which the service was down counts against no VM', () => {
  const pool = ready(1, {}, { unreachableLimitMs: 10_000 });
  const { name } = pool.member();
  pool.silence(name);
  pool.pass(2_500).silence(name);
  expect(pool.place(name)).toBe('unreachable');
  pool.now += 3_600_000;
  pool.state = { ...pool.state, sight: { ...emptySight, startedAt: pool.now } };
  pool.pass(1);
  expect(pool.place(name)).toBe('unreachable');
  pool.pass(60_000);
  expect(pool.place(name)).toBe('deleting');
});

describe('a VM that is held for files that could not be copied back', () => {
  const held = (): Pool => {
    const pool = ready(1, { max: 2 }, { unreachableLimitMs: 60_000 });
    const lease = pool.ask(keyOf('7'));
    pool.stage(lease);
    pool.release(keyOf('7'), 'fetch them from the VM');
    return pool;
  };

  it('stays held while it answers', () => {
    const pool = held();
    const { name } = pool.member();
    for (let i = 0; i < 5; i += 1) pool.pass(60_000).probe(name, keyOf('7'));
    expect(pool.place(name)).toBe('held');
  });

  it('does not hold up the next start of its job for ever when it is dead', () => {
    const pool = held();
    const { name } = pool.member();
    const next = pool.ask(keyOf('7', attempt(2)));
    pool.silence(name);
    pool.pass(2_500).silence(name);
    expect(pool.place(name)).toBe('unreachable');
    pool.pass(61_000);
    expect(pool.place(name)).toBe('deleting');
    expect(pool.book.requests.get(next) ?? pool.book.leases.get(next)).toBeDefined();
  });

  it('is held again when it answers again', () => {
    const pool = held();
    const { name } = pool.member();
    pool.silence(name);
    pool.pass(2_500).silence(name);
    pool.pass(10_000).probe(name, keyOf('7'));
    expect(pool.place(name)).toBe('held');
    expect(pool.member().hold?.kind).toBe('copy-back');
  });

  it('is held again when its host was down and is back: the files are still there', () => {
    const pool = held();
    const { name } = pool.member();
    pool.silence(name);
    pool.pass(2_500).silence(name);
    pool.list({ [name]: { status: 'SHUTOFF' } });
    expect(pool.place(name)).toBe('error');
    pool.pass(10_000).list();
    pool.probe(name, keyOf('7'));
    expect(pool.place(name)).toBe('held');
    expect(pool.member().hold).toMatchObject({ kind: 'copy-back', why: 'fetch them from the VM' });
  });
});

describe('a server that the store lost while it was still being built', () => {
  const stuck = (workers = ['w1']) => {
    const pool = new Pool(shapeOf({ max: 1 }), { bootLimitMs: 60_000 });
    pool.workers = workers;
    const view = viewOf('p-0099-xxxx', 's-1', { cell: 'c007', status: 'BUILD', addresses: {} });
    pool.event({ type: 'listed', servers: [view], complete: true });
    const { name } = pool.member();
    const list = (): unknown => pool.event({ type: 'listed', servers: [view], complete: true });
    const look = (status = 'BUILD'): unknown =>
      pool.event({ type: 'looked', member: name, id: view.id, view: { ...view, status } });
    return { pool, name, list, look };
  };

  it('goes when it is still in BUILD after its time and every worker has spoken, by a look by id', () => {
    const { pool, name, list, look } = stuck();
    pool.pass(1_000).sync([]);
    look();
    pool.pass(50_000);
    expect(pool.work('look')).toEqual([]);
    pool.pass(20_000);
    list();
    expect(pool.place(name)).toBe('held');
    expect(pool.work('look')).toEqual([expect.objectContaining({ kind: 'look', member: name })]);
    look();
    expect(pool.place(name)).toBe('deleting');
    expect(pool.member().state).toMatchObject({ detail: expect.stringContaining('no job can be on it') });
  });

  it('stays while a worker is silent, and while only a listing says BUILD', () => {
    const { pool, name, list, look } = stuck(['w1', 'w2']);
    pool.pass(1_000).sync([]);
    pool.pass(100_000);
    look();
    expect(pool.place(name)).toBe('held');
    pool.workers = ['w1'];
    look('ACTIVE');
    list();
    pool.pass(1_000);
    expect(pool.place(name)).toBe('held');
    look();
    expect(pool.place(name)).toBe('deleting');
  });

  it('stays when it answers with a marker whose job lives', () => {
    const { pool, name, look } = stuck();
    pool.pass(1_000).probe(name, keyOf('7'), 'b1', false);
    pool.sync(['7']);
    pool.pass(100_000);
    look();
    expect(pool.place(name)).toBe('held');
  });
});
