import { describe, expect, it } from '@jest/globals';
import { leaseIdOf } from '../../../src/pool/ids.js';
import { leaseView } from '../../../src/pool/views.js';
import { attempt, keyOf, ready } from './fixture.js';

const first = keyOf('1', attempt(1));
const second = keyOf('1', attempt(2));

describe('a call that comes twice', () => {
  it('asking again gives the same request, and the same lease', () => {
    const pool = ready(1);
    expect(pool.asked(first)).toBe('accepted');
    const { leases } = pool.book;
    expect(pool.asked(first)).toBe('accepted');
    expect(pool.book.leases).toBe(leases);
  });

  it('releasing again ends nothing more', () => {
    const pool = ready(1);
    pool.ask(first);
    expect(pool.release(first)).toHaveLength(1);
    expect(pool.release(first)).toHaveLength(0);
    expect(pool.places()).toContain('scrubbing');
  });

  it('staging told twice changes nothing', () => {
    const pool = ready(1);
    const lease = pool.ask(first);
    pool.stage(lease);
    const { book } = pool;
    pool.stage(lease);
    expect(pool.book).toBe(book);
  });
});

describe('a stale attempt', () => {
  it('whose end was told is refused for ever: the late POST after its release', () => {
    const pool = ready(1);
    pool.ask(first);
    pool.release(first);
    expect(pool.asked(first)).toBe('stale-attempt');
    pool.restart();
    expect(pool.asked(first)).toBe('stale-attempt');
  });

  it('whose release came before its request is refused', () => {
    const pool = ready(1);
    pool.release(first);
    expect(pool.asked(first)).toBe('stale-attempt');
    expect(pool.book.leases.size).toBe(0);
  });

  it('is refused while a newer start is under way, and leaves it alone', () => {
    const pool = ready(1);
    pool.ask(second);
    expect(pool.asked(first)).toBe('stale-attempt');
    expect(pool.release(first)).toEqual([]);
    expect(pool.book.leases.get(leaseIdOf(second))).toBeDefined();
  });

  it('is forgotten in the end, so that the book stays small', () => {
    const pool = ready(1, {}, { rememberEndedMs: 1_000 });
    pool.release(first);
    pool.pass(10_001);
    expect(pool.book.ended.size).toBe(0);
  });

  it('is told that it has ended', () => {
    const pool = ready(1);
    const id = pool.ask(first);
    pool.release(first);
    expect(leaseView(pool.state, id)?.state).toBe('ended');
  });
});

describe('a newer attempt', () => {
  it('ends the older and gets no VM before the older one is cleaned away', () => {
    const pool = ready(2);
    const [old] = [pool.ask(first)];
    pool.ask(second);
    expect(pool.book.leases.get(old)).toBeUndefined();
    const id = leaseIdOf(second);
    expect(pool.book.requests.get(id)).toBeDefined();
    expect(pool.places()).toContain('Free');
    const dirty = pool.members().find((m) => m.tenant !== null);
    pool.scrub(dirty?.name ?? pool.member().name);
    expect(pool.book.leases.get(id)).toBeDefined();
  });

  it('takes the place of an older one that still waits', () => {
    const pool = ready(0, { max: 1 });
    const old = pool.ask(first);
    expect(pool.asked(second)).toBe('accepted');
    expect(pool.book.requests.keys()).toEqual([leaseIdOf(second)]);
    expect(pool.asked(first)).toBe('stale-attempt');
    expect(leaseView(pool.state, old)?.state).toBe('ended');
  });

  it('whose release comes ends what the older still holds', () => {
    const pool = ready(1);
    pool.ask(first);
    expect(pool.release(second)).toEqual([leaseIdOf(first)]);
  });
});

describe('a rival attempt: the same start count, another starter', () => {
  const rival = keyOf('1', attempt(1, 99));

  it('waits until the first has ended', () => {
    const pool = ready(2);
    pool.ask(first);
    expect(pool.asked(rival)).toBe('rival-attempt');
    pool.release(first);
    expect(pool.asked(rival)).toBe('accepted');
  });

  it('cannot release what the other holds', () => {
    const pool = ready(1);
    pool.ask(first);
    expect(pool.release(rival)).toEqual([]);
    expect(pool.places()).toContain('Busy');
  });

  it('of another worker is refused until that worker has let go', () => {
    const pool = ready(2);
    pool.ask(first);
    const moved = keyOf('1', attempt(2), 'w2');
    expect(pool.asked(moved)).toBe('rival-attempt');
    expect(pool.release(moved)).toEqual([]);
    pool.release(first);
    expect(pool.asked(keyOf('1', attempt(3), 'w2'))).toBe('accepted');
  });
});

describe('the line', () => {
  it('is served first come, first served', () => {
    const pool = ready(0, { max: 2 });
    const ids = ['1', '2', '3'].map((job) => {
      pool.now += 10;
      return pool.ask(keyOf(job));
    });
    pool.boot();
    expect(ids.map((id) => pool.book.leases.get(id) !== undefined)).toEqual([true, true, false]);
  });

  it('passes over a request that has to wait for an earlier start of its own job, and comes back to it', () => {
    const pool = ready(2, { max: 2 });
    pool.ask(first);
    pool.ask(second);
    const other = pool.ask(keyOf('2'));
    expect(pool.book.leases.get(other)).toBeDefined();
    expect(pool.book.requests.get(leaseIdOf(second))).toBeDefined();
    pool.scrub(pool.member().name);
    expect(pool.book.leases.get(leaseIdOf(second))?.member).toBe(pool.member().name);
  });

  it('keeps the place of a request whose VM could not be staged', () => {
    const pool = ready(1, { max: 1 });
    const id = pool.ask(keyOf('1'));
    pool.ask(keyOf('2'));
    const fail = (): void => {
      pool.event({ type: 'staged', lease: id, result: { ok: false, kind: 'unreachable', why: 'no answer' } });
    };
    fail();
    expect(pool.book.leases.get(id)).toBeDefined();
    pool.now += 20_000;
    fail();
    expect(pool.book.leases.get(id)).toBeUndefined();
    expect(pool.places()).toEqual(['unreachable']);
    pool.probe(pool.member().name);
    pool.scrub(pool.member().name);
    expect(pool.book.leases.get(id)).toBeDefined();
  });

  it('drops a request that nobody asks for any more, and nothing that was asked for in time', () => {
    const pool = ready(0, { max: 1 }, { requestIdleLimitMs: 1_000, bootLimitMs: 1e9 });
    const idle = pool.ask(keyOf('1'));
    const wanted = pool.ask(keyOf('2'));
    for (let i = 0; i < 3; i += 1) {
      pool.pass(500);
      pool.event({ type: 'poll', id: wanted });
    }
    expect(pool.book.requests.keys()).toEqual([wanted]);
    expect(leaseView(pool.state, idle)?.state).toBe('ended');
  });

  it('a restart counts as asking: the idle time begins anew', () => {
    const pool = ready(0, { max: 1 }, { requestIdleLimitMs: 1_000, bootLimitMs: 1e9 });
    pool.ask(keyOf('1'));
    pool.now += 50_000;
    pool.restart();
    pool.pass(1).pass(900);
    expect(pool.book.requests.keys()).toHaveLength(1);
    pool.pass(200);
    expect(pool.book.requests.keys()).toHaveLength(0);
  });
});

describe('staging', () => {
  it('that the VM refuses for this user ends the lease with the reason', () => {
    const pool = ready(1);
    const id = pool.ask(first);
    pool.event({
      type: 'staged',
      lease: id,
      result: { ok: false, kind: 'refused', why: 'uid 1000 is taken' },
    });
    expect(leaseView(pool.state, id)).toMatchObject({ state: 'ended', detail: 'uid 1000 is taken' });
    expect(pool.places()).toContain('scrubbing');
  });

  it("that finds a stranger's marker holds the VM and puts the request back into the line", () => {
    const pool = ready(1);
    const id = pool.ask(first);
    const { name } = pool.member();
    pool.event({ type: 'staged', lease: id, result: { ok: false, kind: 'foreign-marker', why: 'of 9' } });
    expect(pool.place(name)).toBe('held');
    expect(pool.book.requests.get(id)).toBeDefined();
  });

  it('told after the lease has ended changes nothing', () => {
    const pool = ready(1);
    const id = pool.ask(first);
    pool.release(first);
    const { book } = pool;
    pool.stage(id);
    expect(pool.book).toBe(book);
  });
});

describe('a sync', () => {
  it('ends a lease whose job is absent twice, the second time in a listing begun after the first', () => {
    const pool = ready(1);
    pool.ask(first);
    pool.now += 60_000;
    expect(pool.sync([])).toEqual([]);
    pool.now += 500;
    expect(pool.sync([], 'w1', 1_000)).toEqual([]);
    pool.now += 60_000;
    expect(pool.sync([])).toEqual(['1']);
  });

  it('older than the lease says nothing about it', () => {
    const pool = ready(1);
    pool.now += 60_000;
    pool.ask(first);
    for (let i = 0; i < 5; i += 1) {
      pool.now += 10;
      expect(pool.sync([], 'w1', 30_000)).toEqual([]);
    }
  });

  it('that shows the job in between begins the count anew', () => {
    const pool = ready(1);
    pool.ask(first);
    for (const jobs of [[], ['1'], [], ['1'], []]) {
      pool.now += 60_000;
      expect(pool.sync(jobs)).toEqual([]);
    }
  });

  it('of another worker ends nothing, and silence never does', () => {
    const pool = ready(1);
    pool.ask(first);
    for (let i = 0; i < 100; i += 1) {
      pool.now += 60_000;
      pool.sync([], 'w2');
    }
    expect(pool.book.leases.keys()).toHaveLength(1);
  });
});

it('a lease older than its limit is ended, where there is one', () => {
  const pool = ready(1, {}, { leaseLimitMs: 1_000 });
  pool.ask(first);
  pool.pass(1_000);
  expect(pool.places()).toContain('Busy');
  pool.pass(1);
  expect(pool.book.leases.size).toBe(0);
});
