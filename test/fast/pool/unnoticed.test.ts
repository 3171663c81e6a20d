import { describe, expect, it } from '@jest/globals';
import { attempt, keyOf, ready, shapeOf } from './fixture.js';

/** What changes of the core by a mutation tool had shown to be said by no test of the pool alone. */
describe('a job that its worker no longer lists', () => {
  it('absent twice: its lease is over, its VM is scrubbed, and its attempt gets nothing more', () => {
    const pool = ready(1, { max: 1 });
    const key = keyOf('1');
    pool.ask(key);
    pool.pass(20_000).sync([]);
    pool.pass(20_000);
    expect(pool.sync([])).toEqual(['1']);
    expect(pool.book.leases.size).toBe(0);
    expect(pool.places()).toEqual(['scrubbing']);
    expect(pool.asked(key)).not.toBe('accepted');
  });

  it('in two listings of one moment, delivered one after the other: nothing ends', () => {
    const pool = ready(1, { max: 1 });
    pool.ask(keyOf('1'));
    pool.pass(60_000).sync([]);
    // Taken before the first one had come.
    expect(pool.pass(20_000).sync([], 'w1', 25_000)).toEqual([]);
    expect(pool.book.leases.keys()).toHaveLength(1);
  });

  it('in a listing taken before its VM was granted: that one does not count', () => {
    const pool = ready(1, { max: 1 });
    pool.pass(60_000).ask(keyOf('1'));
    pool.pass(5_000).sync([], 'w1', 30_000);
    expect(pool.pass(20_000).sync([])).toEqual([]);
    expect(pool.book.leases.keys()).toHaveLength(1);
  });
});

describe('the end of a start', () => {
  it('keeps out every earlier start, and no later one', () => {
    const pool = ready(1, { max: 1 });
    pool.release(keyOf('1', attempt(2)));
    expect(pool.asked(keyOf('1', attempt(1)))).not.toBe('accepted');
    expect(pool.asked(keyOf('1', attempt(3)))).toBe('accepted');
  });

  it('is remembered for each attempt of that start', () => {
    const pool = ready(1, { max: 1 });
    pool.release(keyOf('1', attempt(2, 50)));
    pool.release(keyOf('1', attempt(2, 60)));
    expect(pool.asked(keyOf('1', attempt(2, 50)))).not.toBe('accepted');
    expect(pool.asked(keyOf('1', attempt(2, 60)))).not.toBe('accepted');
    // An end that comes late is of no start that matters any more.
    pool.release(keyOf('1', attempt(1)));
    expect(pool.asked(keyOf('1', attempt(2, 50)))).not.toBe('accepted');
  });
});

describe('of several Free VMs', () => {
  it('the one made first is leased first, and one of the wanted generation before all others', () => {
    const pool = ready(2, { min: 2, max: 4 }, { maxSurge: 1 });
    const [oldest, second] = pool.members().map(({ name }) => name);
    pool.ask(keyOf('1'));
    expect(pool.place(oldest ?? '')).toBe('Busy');
    expect(pool.place(second ?? '')).toBe('Free');
    pool.release(keyOf('1'));
    pool.scrub(pool.member().name);
    // Both are of the old generation now; the first new one comes up beside them.
    pool.adopt(shapeOf({ min: 2, max: 4, generation: 'g2' }));
    pool.boot();
    const young = pool.members().find(({ generation }) => generation === 'g2')?.name;
    pool.ask(keyOf('2'));
    expect(pool.place(young ?? '')).toBe('Busy');
  });
});
