import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { lateAfter, withBoot } from '../../../src/pool/late.js';
import { keyOf, Pool, shapeOf } from './fixture.js';

/** Three VMs came up within 20 s each and have a job; a fourth request waits for a fourth VM. */
function waiting(policy: ConstructorParameters<typeof Pool>[1] = {}): Pool {
  const pool = new Pool(shapeOf({ min: 0, max: 8 }), policy);
  for (const job of ['1', '2', '3']) {
    pool.ask(keyOf(job));
    pool.pass(20_000).boot();
  }
  pool.ask(keyOf('4'));
  pool.list();
  return pool;
}

const decided = (pool: Pool): number => pool.members().length;

describe('a VM that takes longer than those before it', () => {
  it('is made up for by one more while a request waits, after twice the usual time', () => {
    const pool = waiting();
    pool.pass(40_000);
    expect(decided(pool)).toBe(4);
    pool.pass(1);
    expect(decided(pool)).toBe(5);
    expect(pool.member(4).made).toMatchObject({
      reason: 'request',
      detail: expect.stringContaining(pool.member(3).name),
    });
    pool.pass(60_000);
    expect(decided(pool)).toBe(5);
  });

  it('serves as well when it comes, and is one of two that may idle', () => {
    const pool = waiting();
    pool.pass(41_000);
    const [late, other] = [pool.member(3), pool.member(4)];
    pool.welcome(late.name);
    expect(pool.place(late.name)).toBe('Busy');
    pool.list();
    pool.welcome(other.name);
    expect(pool.place(other.name)).toBe('Free');
    pool.pass(5 * 60_000 + 1);
    expect(pool.place(other.name)).toBe('deleting');
  });

  it('is waited for by itself while nobody waits for it, where creates fail, and before it is known what is usual', () => {
    const withdrawn = waiting();
    withdrawn.release(keyOf('4'));
    expect(decided(withdrawn.pass(100_000))).toBe(4);

    const failing = waiting();
    failing.state = {
      ...failing.state,
      book: {
        ...failing.book,
        breaker: { failures: 1, lastFailureAt: failing.now, until: 0, why: 'no host' },
      },
    };
    expect(decided(failing.pass(100_000))).toBe(4);

    const restarted = waiting();
    restarted.restart();
    expect(decided(restarted.pass(100_000))).toBe(4);
  });

  it('is one at a time, or as many as the policy lets be replaced', () => {
    for (const maxSurge of [1, 2]) {
      const pool = waiting({ maxSurge, bootLimitMs: 3_600_000 });
      for (const job of ['5', '6']) pool.ask(keyOf(job));
      pool.list();
      expect(decided(pool.pass(500_000))).toBe(6 + maxSurge);
    }
  });

  it('never takes the pool beyond its maximum', () => {
    const pool = waiting();
    for (const job of ['5', '6', '7', '8']) pool.ask(keyOf(job));
    expect(decided(pool.pass(500_000))).toBe(8);
  });
});

describe('what is usual', () => {
  it('is known from three boots on, by the last eight of them', () => {
    expect([[], [20_000], [20_000, 20_000]].map(lateAfter)).toEqual([null, null, null]);
    expect(lateAfter([20_000, 90_000, 20_000])).toBe(40_000);
    expect(lateAfter([1_000, 1_000, 1_000])).toBe(11_000);
    const many = fc.array(fc.integer({ min: 0, max: 1_000_000 }), { minLength: 9 });
    fc.assert(
      fc.property(many, (times) => {
        const boots = times.reduce<readonly number[]>(withBoot, []);
        expect(boots).toEqual(times.slice(-8));
        expect(lateAfter(boots)).toBeGreaterThan(boots.toSorted((a, b) => a - b)[4] ?? Infinity);
      }),
    );
  });
});
