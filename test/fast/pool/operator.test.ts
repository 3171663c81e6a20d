import { describe, expect, it } from '@jest/globals';
import { leaseView, statusView } from '../../../src/pool/views.js';
import { askOf, attempt, keyOf, Pool, ready, shapeOf, viewOf } from './fixture.js';

function told(pool: Pool, type: 'hold' | 'unhold' | 'retire', member: string): string {
  const outcome = pool.event({ type, member, why: 'told so' });
  if (outcome.type !== 'operator') throw new Error(outcome.type);
  return outcome.outcome.kind === 'done' ? 'done' : outcome.outcome.code;
}

describe('an operator', () => {
  it('is told when there is no such VM, and when it is too late', () => {
    const pool = ready(1);
    const { name } = pool.member();
    for (const unknown of ['p-9', 'constructor', 'toString', '__proto__'])
      for (const what of ['hold', 'unhold', 'retire'] as const)
        expect(told(pool, what, unknown)).toBe('not-found');
    expect(told(pool, 'unhold', name)).toBe('conflict');
    expect(told(pool, 'retire', name)).toBe('done');
    expect(told(pool, 'hold', name)).toBe('conflict');
    expect(told(pool, 'retire', name)).toBe('done');
  });

  it('who holds a Free VM keeps it from jobs; given back, it is scrubbed first', () => {
    const pool = ready(1, { max: 1 });
    const { name } = pool.member();
    told(pool, 'hold', name);
    const id = pool.ask(keyOf('1'));
    pool.pass(500_000);
    expect(pool.place(name)).toBe('held');
    told(pool, 'unhold', name);
    expect(pool.place(name)).toBe('scrubbing');
    pool.scrub(name);
    expect(pool.book.leases.get(id)?.member).toBe(name);
  });

  it('who holds a Busy VM gets it when its job has ended, and may change his mind', () => {
    const pool = ready(1);
    const { name } = pool.member();
    pool.ask(keyOf('1'));
    told(pool, 'hold', name);
    told(pool, 'unhold', name);
    told(pool, 'hold', name);
    expect(pool.place(name)).toBe('Busy');
    pool.release(keyOf('1'));
    expect(pool.place(name)).toBe('held');
  });

  it('may end a lease by its id, once', () => {
    const pool = ready(1);
    const id = pool.ask(keyOf('1'));
    const end = (): unknown => pool.event({ type: 'releaseById', id, reason: 'told so' });
    expect(end()).toMatchObject({ outcome: { ended: [id] } });
    expect(end()).toMatchObject({ outcome: { ended: [] } });
  });
});

describe('a failed copy back', () => {
  it('holds the VM with its reason until an operator gives it back', () => {
    const pool = ready(1, {}, { heldLimitMs: null });
    const { name } = pool.member();
    pool.ask(keyOf('1'));
    pool.release(keyOf('1'), 'the disk of the worker is full');
    pool.pass(1e8);
    expect(pool.member()).toMatchObject({
      hold: { kind: 'copy-back', why: 'the disk of the worker is full' },
    });
    told(pool, 'unhold', name);
    expect(pool.place(name)).toBe('scrubbing');
  });

  it('told a second time, after the first has ended the lease, changes nothing', () => {
    const pool = ready(1);
    pool.ask(keyOf('1'));
    pool.release(keyOf('1'));
    pool.release(keyOf('1'), 'late');
    expect(pool.member().hold).toBeNull();
  });
});

describe('what a waiting job is told', () => {
  const detail = (pool: Pool, id: string): string => leaseView(pool.state, id)?.detail ?? '';

  it('its place, and what it waits for', () => {
    const bare = new Pool(null);
    expect(detail(bare, bare.ask(keyOf('1')))).toContain('no shape');

    const pool = new Pool(shapeOf({ max: 1 }));
    const first = pool.ask(keyOf('1'));
    const second = pool.ask(keyOf('2'));
    expect(detail(pool, first)).toContain('being built');
    pool.boot();
    expect(leaseView(pool.state, first)).toMatchObject({ state: 'granted', ready: false, position: null });
    expect(leaseView(pool.state, second)).toMatchObject({ state: 'waiting', position: 1 });
    expect(detail(pool, second)).toContain('all 1 VMs');
  });

  it('that an earlier start is still being cleaned away', () => {
    const pool = ready(2);
    pool.ask(keyOf('1', attempt(1)));
    expect(detail(pool, pool.ask(keyOf('1', attempt(2))))).toContain('earlier start');
  });

  it('why the cloud gives none', () => {
    const pool = new Pool(shapeOf({ max: 1 }));
    const id = pool.ask(keyOf('1'));
    const { name, cell } = pool.member();
    pool.event({ type: 'engine', event: { type: 'createFailed', cell, member: name, message: 'quota' } });
    expect(detail(pool, id)).toContain('quota');
  });
});

describe('names that every object inherits', () => {
  it.each(['constructor', 'toString', '__proto__', 'hasOwnProperty'])(
    '%s is no lease, worker or server',
    (name) => {
      const pool = ready(1);
      expect(leaseView(pool.state, name)).toBeNull();
      expect(pool.event({ type: 'releaseById', id: name, reason: 'asked' })).toMatchObject({
        outcome: { ended: [] },
      });
      const id = pool.ask(keyOf(name, attempt(1), name));
      pool.event({ type: 'sync', worker: name, jobs: [name], ageMs: 0 });
      expect(pool.book.leases.get(id)?.member).toBe(pool.member().name);
      pool.event({ type: 'releaseById', id, reason: 'done' });
      const again = pool.event({ type: 'ask', ask: askOf(keyOf(name, attempt(1), name)) });
      expect(again).toMatchObject({ outcome: { kind: 'refused', code: 'stale-attempt' } });
      pool.event({ type: 'listed', servers: [viewOf(name, name)], complete: true });
      expect(pool.book.members.keys()).toContain(pool.member().name);
    },
  );
});

describe('the status', () => {
  it('counts, and names what keeps the pool from its work', () => {
    const pool = ready(2, { max: 2 }, { leaseAlarmMs: 1_000 });
    pool.ask(keyOf('1'));
    told(pool, 'hold', pool.member(1).name);
    pool.ask(keyOf('2'));
    pool.pass(1_001);
    pool.event({ type: 'cloudFailed', why: 'connection refused' });
    pool.event({ type: 'adoptFailed', why: 'max is smaller than min' });
    const status = statusView(pool.state, pool.context(), '1.0');
    expect(status.counts).toEqual({ free: 0, busy: 1, unusable: 1, waiting: 1, leases: 1 });
    const problems = status.problems.join('\n');
    for (const word of ['connection refused', 'max is smaller', 'is held', 'lease of job 1'])
      expect(problems).toContain(word);
    pool.event({ type: 'listed', servers: [], complete: false });
    if (pool.book.shape !== null) pool.adopt(pool.book.shape);
    const later = statusView(pool.state, pool.context(), '1.0').problems.join('\n');
    expect(later).not.toContain('connection refused');
    expect(later).not.toContain('max is smaller');
  });

  it('a step without news leaves the book as it is: nothing to commit', () => {
    const pool = ready(2);
    const { book } = pool;
    pool.event({ type: 'tick' });
    pool.list();
    pool.probe(pool.member().name);
    pool.event({ type: 'poll', id: 'none' });
    expect(pool.book).toBe(book);
  });
});
