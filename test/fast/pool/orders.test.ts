import { describe, expect, it } from '@jest/globals';
import { workOf } from '../../../src/pool/work.js';
import { statusView } from '../../../src/pool/views.js';
import type { PoolEvent } from '../../../src/pool/step.js';
import { keyOf, ready, type Pool } from './fixture.js';

function told(pool: Pool, event: PoolEvent): string {
  const outcome = pool.event(event);
  if (outcome.type !== 'operator') throw new Error(outcome.type);
  return outcome.outcome.kind === 'done' ? outcome.outcome.detail : outcome.outcome.code;
}
const why = 'told so';

describe('a hold with a limit', () => {
  it('gives the VM back by itself, scrubbed first', () => {
    const pool = ready(1, { max: 1 });
    const { name } = pool.member();
    told(pool, { type: 'hold', member: name, why, limitMs: 60_000 });
    pool.pass(59_000);
    expect(pool.place(name)).toBe('held');
    pool.pass(2_000);
    expect(pool.place(name)).toBe('scrubbing');
    expect(pool.member().hold).toBeNull();
  });

  it('counts from when it is held, not from the order: the job may take its time', () => {
    const pool = ready(1, { max: 1 });
    const { name } = pool.member();
    pool.ask(keyOf('1'));
    told(pool, { type: 'hold', member: name, why, limitMs: 60_000 });
    pool.pass(500_000);
    expect(pool.place(name)).toBe('Busy');
    pool.release(keyOf('1'));
    pool.pass(50_000);
    expect(pool.place(name)).toBe('held');
    pool.pass(20_000);
    expect(pool.place(name)).toBe('scrubbing');
  });
});

describe('a drain', () => {
  it('of a Free VM keeps jobs from it until it is given back', () => {
    const pool = ready(1, { max: 1 });
    const { name } = pool.member();
    told(pool, { type: 'drain', member: name, why });
    const id = pool.ask(keyOf('1'));
    pool.pass(500_000);
    expect(pool.place(name)).toBe('held');
    expect(pool.book.leases.get(id)).toBeUndefined();
    told(pool, { type: 'unhold', member: name });
    pool.scrub(name);
    expect(pool.book.leases.get(id)?.member).toBe(name);
  });

  it('of a Busy VM lets its job end, cleans it, and only then keeps it', () => {
    const pool = ready(1, { max: 1 });
    const { name } = pool.member();
    pool.ask(keyOf('1'));
    expect(told(pool, { type: 'drain', member: name, why })).toContain('gets no other');
    pool.release(keyOf('1'));
    expect(pool.place(name)).toBe('scrubbing');
    pool.ask(keyOf('2'));
    pool.scrub(name);
    expect(pool.place(name)).toBe('held');
    expect(pool.member()).toMatchObject({ tenant: null, hold: { kind: 'drain' } });
  });

  it('may be taken back before it has come about; a second one is a conflict', () => {
    const pool = ready(1, { max: 1 });
    const { name } = pool.member();
    pool.ask(keyOf('1'));
    told(pool, { type: 'drain', member: name, why });
    expect(told(pool, { type: 'drain', member: name, why })).toBe('conflict');
    pool.release(keyOf('1'));
    expect(told(pool, { type: 'unhold', member: name })).toContain('gets jobs again');
    pool.scrub(name);
    expect(pool.place(name)).toBe('Free');
  });

  it('makes room for another VM: what is drained is no strength of the pool, but counts against max', () => {
    const pool = ready(1, { min: 1, max: 2 });
    const { name } = pool.member();
    told(pool, { type: 'drain', member: name, why });
    expect(pool.book.members.keys()).toHaveLength(2);
  });

  it('does not hide a marker that nobody expects', () => {
    const pool = ready(1, { max: 1 });
    const { name } = pool.member();
    pool.ask(keyOf('1'));
    told(pool, { type: 'drain', member: name, why });
    pool.event({
      type: 'staged',
      lease: pool.book.leases.keys()[0] as never,
      result: { ok: false, kind: 'foreign-marker', why: 'another lease' },
    });
    expect(pool.member().hold?.kind).toBe('foreign-marker');
  });
});

describe('a kill', () => {
  it('ends a Busy VM and its job, which gets no second life', () => {
    const pool = ready(1, { max: 1 });
    const { name } = pool.member();
    const id = pool.ask(keyOf('1'));
    expect(told(pool, { type: 'kill', member: name, why })).toContain('and job 1 with it');
    expect(pool.place(name)).toBe('deleting');
    expect(pool.book.leases.get(id)).toBeUndefined();
    expect(pool.state.book.ended.get('1')?.detail).toContain('killed by an operator: told so');
  });

  it('ends what is held, and says so of what is going already', () => {
    const pool = ready(1, { max: 1 });
    const { name } = pool.member();
    told(pool, { type: 'hold', member: name, why });
    told(pool, { type: 'kill', member: name, why });
    expect(pool.place(name)).toBe('deleting');
    expect(told(pool, { type: 'kill', member: name, why })).toContain('already');
    expect(told(pool, { type: 'kill', member: 'nobody', why })).toBe('not-found');
    expect(told(pool, { type: 'drain', member: name, why })).toBe('conflict');
  });
});

describe('a pause', () => {
  const cloudWork = (pool: Pool): string[] =>
    workOf(pool.state, pool.context())
      .map(({ kind }) => kind)
      .filter((kind) => ['converge', 'end', 'endStray'].includes(kind));

  it('makes and ends nothing in the cloud; jobs get the VMs that there are', () => {
    const pool = ready(2, { min: 2, max: 4 });
    const [first = '', second = ''] = pool.book.members.keys();
    told(pool, { type: 'pause', why, forMs: 100_000 });
    pool.ask(keyOf('1'));
    pool.ask(keyOf('2'));
    pool.ask(keyOf('3'));
    expect(pool.book.leases.keys()).toHaveLength(2);
    expect(pool.book.members.keys()).toEqual([first, second]);
    pool.release(keyOf('1'));
    told(pool, { type: 'retire', member: first, why });
    pool.pass(50_000);
    expect(cloudWork(pool)).toEqual([]);
    expect(statusView(pool.state, pool.context(), '1')).toMatchObject({
      paused: { why },
      problems: [expect.stringContaining('vmpool resume')],
    });
    told(pool, { type: 'resume' });
    expect(pool.book.paused).toBeUndefined();
    pool.pass(1_000);
    expect(cloudWork(pool)).toContain('converge');
  });

  it('ends by itself', () => {
    const pool = ready(1, { min: 1, max: 2 });
    told(pool, { type: 'pause', why, forMs: 60_000 });
    pool.ask(keyOf('1'));
    pool.ask(keyOf('2'));
    pool.pass(59_000);
    expect(pool.book.members.keys()).toHaveLength(1);
    pool.pass(2_000);
    expect(pool.book.members.keys()).toHaveLength(2);
    expect(told(pool, { type: 'resume' })).toBe('changes are not paused');
  });
});
