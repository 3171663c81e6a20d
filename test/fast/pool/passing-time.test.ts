import { describe, expect, it } from '@jest/globals';
import type { MemberName } from '../../../src/pool/model.js';
import { wishOf } from '../../../src/pool/planner.js';
import { keyOf, Pool, ready, shapeOf, viewOf } from './fixture.js';

const hour = 3_600_000;
const listNothing = { type: 'listed', servers: [], complete: true } as const;

/** Time passes, and listings that show no server. */
function unseenFor(pool: Pool, ms: number): void {
  for (const end = pool.now + ms; pool.now < end;) {
    pool.event(listNothing);
    pool.pass(Math.min(10_000, end - pool.now));
  }
}

/** The engine was killed in the middle of this member's create. */
function loseCreate(pool: Pool, name: MemberName): void {
  const { cell } = pool.member();
  pool.runEnded(wishOf(pool.state, cell), { instances: [], lostCreates: [name], unlisted: [] });
}

describe('a VM that Nova does not show', () => {
  it('is waited for to the end of its boot limit while Pulumi is at its create', () => {
    const pool = new Pool(shapeOf({ min: 1, max: 1 }), { bootLimitMs: 600_000 });
    const { name, cell } = pool.member();
    pool.event({ type: 'runBegan', cell });
    unseenFor(pool, 600_000);
    expect(pool.place(name)).toBe('building');
    pool.pass(1);
    expect(pool.place(name)).toBe('deleting');
    expect(pool.book.breaker.failures).toBe(1);
  });

  it('is looked at by id where its server is known, also when its create was lost', () => {
    const pool = new Pool(shapeOf({ min: 1, max: 1 }));
    const { name } = pool.member();
    pool.list({ [name]: { status: 'BUILD' } });
    loseCreate(pool, name);
    unseenFor(pool, 60_000);
    expect(pool.place(name)).toBe('building');
    expect(pool.work('look')).toHaveLength(1);
  });

  it('and is on its way out is forgotten by what Pulumi says, not by the time', () => {
    const pool = ready(1, { max: 1 });
    const { name, cell } = pool.member();
    pool.event({ type: 'retire', member: name, why: 'told so' });
    pool.look(name, null);
    unseenFor(pool, hour);
    expect(wishOf(pool.state, cell).retire).toEqual([name]);
    pool.event({ type: 'engine', event: { type: 'removed', cell, member: name } });
    expect(pool.place(name)).toBe('gone');
  });

  it('and is on its way out when its create is lost may still be brought by that for a while', () => {
    const pool = new Pool(shapeOf({ min: 1, max: 1 }));
    const { name } = pool.member();
    pool.event({ type: 'retire', member: name, why: 'told so' });
    loseCreate(pool, name);
    pool.event(listNothing);
    pool.pass(29_999);
    expect(pool.place(name)).toBe('deleting');
    pool.pass(1);
    expect(pool.place(name)).toBe('gone');
  });

  it('and that a lost create has not brought in its time makes room in the same step', () => {
    const pool = new Pool(shapeOf({ min: 1, max: 1 }), { backoffBaseMs: 1_000 });
    const { name } = pool.member();
    loseCreate(pool, name);
    unseenFor(pool, 30_000);
    expect(pool.place(name)).toBe('gone');
  });
});

describe('a name that the pool has retired', () => {
  /** What is done about a server that turns up under it so much later. */
  const after = (ms: number): string[] => {
    const pool = ready(1, { max: 1 });
    const { name } = pool.member();
    pool.adopt(shapeOf({ min: 0, max: 0 }));
    pool.end();
    pool.pass(ms);
    pool.event({ type: 'listed', servers: [viewOf(name, 'late')], complete: true });
    return [pool.place(name), ...pool.work('endStray').map(({ kind }) => kind)];
  };

  it('is known for a day, in which a server that turns up under it is deleted', () => {
    expect(after(1_000)).toEqual(['gone', 'endStray']);
    expect(after(24 * hour)).toEqual(['gone', 'endStray']);
  });

  it('is forgotten then, so that the book stays small: a server under it is held', () => {
    expect(after(24 * hour + 1)).toEqual(['held']);
  });
});

describe('a VM that is to be retired', () => {
  it('and is Free goes at once: its create failed in Pulumi after Nova had shown it', () => {
    const pool = new Pool(shapeOf({ min: 1, max: 1 }));
    const { name, cell } = pool.member();
    pool.list();
    pool.welcome(name);
    expect(pool.place(name)).toBe('Free');
    pool.event({ type: 'engine', event: { type: 'createFailed', cell, member: name, message: 'time-out' } });
    expect(pool.place(name)).toBe('deleting');
  });

  it("and is held for its user's files after its job stays for them", () => {
    const pool = ready(1, { max: 1 });
    const { name } = pool.member();
    pool.ask(keyOf('1'));
    pool.event({ type: 'retire', member: name, why: 'told so' });
    pool.release(keyOf('1'), 'fetch them from the VM');
    pool.pass(hour);
    expect(pool.place(name)).toBe('held');
  });

  it('and is scrubbed after its job is asked there what that used, and goes then', () => {
    const pool = ready(1, { max: 1 });
    const { name } = pool.member();
    pool.ask(keyOf('1'));
    pool.event({ type: 'retire', member: name, why: 'told so' });
    pool.release(keyOf('1'));
    expect(pool.place(name)).toBe('scrubbing');
    pool.scrub(name);
    expect(pool.place(name)).toBe('deleting');
  });
});

describe('failed creates, after which the pool makes fewer,', () => {
  it('are none when a VM was not tried because changes are paused', () => {
    const pool = new Pool(shapeOf({ min: 1, max: 1 }), { bootLimitMs: 60_000 });
    pool.event({ type: 'pause', why: 'told so', forMs: hour });
    pool.pass(60_001);
    expect(pool.places()).toEqual(['deleting']);
    expect(pool.book.breaker.failures).toBe(0);
  });

  it('are counted in a pause as well when a server was there and did not come up', () => {
    const pool = new Pool(shapeOf({ min: 1, max: 1 }), { bootLimitMs: 60_000 });
    pool.list({ [pool.member().name]: { status: 'BUILD' } });
    pool.event({ type: 'pause', why: 'told so', forMs: hour });
    pool.pass(60_001);
    expect(pool.book.breaker.failures).toBe(1);
  });

  it('are none when a VM that was well is given up', () => {
    const pool = ready(1, { max: 1 }, { unreachableLimitMs: 60_000 });
    const { name } = pool.member();
    pool.silence(name);
    pool.silence(name);
    pool.pass(60_001);
    expect(pool.place(name)).toBe('deleting');
    expect(pool.book.breaker.failures).toBe(0);
  });
});
