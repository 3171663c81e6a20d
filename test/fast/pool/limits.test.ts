import { describe, expect, it } from '@jest/globals';
import type { Member } from '../../../src/pool/book.js';
import { isUnseen, limitOf, stuckAfter } from '../../../src/pool/limits.js';
import type { UnusableReason } from '../../../src/pool/model.js';
import type { Pool } from './fixture.js';
import { keyOf, ready } from './fixture.js';

/** Each limit has a value of its own, so that none can stand for another. */
const pool = ready(
  1,
  {},
  {
    ...{ bootLimitMs: 1, unreachableLimitMs: 2, errorLimitMs: 3, scrubLimitMs: 4, heldLimitMs: 5 },
    ...{ recheckEveryMs: 20_000 },
  },
);
const c = pool.context();
const placed = (reason: UnusableReason, patch: Partial<Member> = {}): Member => ({
  ...pool.member(),
  state: { kind: 'Unusable', reason, since: 0, detail: '' },
  ...patch,
});
const hold = (kind: 'unknown' | 'restored' | 'operator', at = 0): Partial<Member> => ({
  hold: { kind, why: 'w', at },
});

describe('how long a VM may stay where it is', () => {
  it.each([
    ['building', 1],
    ['unreachable', 2],
    ['error', 3],
    ['lost', 3],
    ['scrubbing', 4],
    ['held', 5],
    ['deleting', null],
  ] as const)('%s: %s', (reason, limit) => {
    expect(limitOf(placed(reason), c)).toBe(limit);
  });

  it('Free and Busy: for ever', () => {
    expect(limitOf(pool.member(), c)).toBeNull();
    expect(limitOf({ ...pool.member(), state: { kind: 'Busy' } } as Member, c)).toBeNull();
  });

  it('held without knowing whether a job runs there: for ever; by an operator: as others', () => {
    for (const kind of ['unknown', 'restored'] as const)
      expect(limitOf(placed('held', hold(kind)), c)).toBeNull();
    expect(limitOf(placed('held', hold('operator')), c)).toBe(5);
  });

  it('of no limit where the policy sets none', () => {
    const none = ready(1, {}, { heldLimitMs: null });
    expect(limitOf(placed('held'), none.context())).toBeNull();
  });
});

describe('a service that has just started', () => {
  const seen = (startedAt: number, afterMs: number, recheckEveryMs = 20_000): boolean => {
    const state = { ...pool.state, sight: { ...pool.state.sight, startedAt } };
    const context = { ...c, now: startedAt + afterMs, policy: { ...c.policy, recheckEveryMs } };
    return !isUnseen(state, context);
  };

  it('counts no time against a VM before each was looked at three times, half a minute at least', () => {
    expect(seen(1_000, 59_999)).toBe(false);
    expect(seen(1_000, 60_000)).toBe(true);
    expect(seen(1_000, 29_999, 1_000)).toBe(false);
    expect(seen(1_000, 30_000, 1_000)).toBe(true);
  });

  it('that never was down has seen them all', () => {
    expect(seen(0, 1)).toBe(true);
  });
});

describe('a server that the store does not know and that is in BUILD', () => {
  it('has the time of a boot from its create or its finding, whichever came later', () => {
    const made = { bornAt: 100 };
    expect(stuckAfter(placed('held', made), c)).toBe(101);
    expect(stuckAfter(placed('held', { ...made, ...hold('unknown', 70) }), c)).toBe(101);
    expect(stuckAfter(placed('held', { ...made, ...hold('unknown', 700) }), c)).toBe(701);
  });
});

describe('how a job ended whose VM was in trouble', () => {
  const ended = (trouble: (pool: Pool) => void, exit: number | null = null): string => {
    const own = keyOf('1.s');
    const site = ready(1);
    site.stage(site.ask(own));
    trouble(site);
    const { worker, job, attempt } = own;
    site.event({
      ...{ type: 'release' },
      release: { ...{ worker, job, attempt, reason: 'done', holdFor: null }, exit },
    });
    return site.book.members.get(site.member().name)?.tenant?.ended?.lost === true ? 'lost' : 'there';
  };
  const status = (word: string) => (site: Pool) => site.list({ [site.member().name]: { status: word } });

  it.each(['DELETED', 'SHUTOFF', 'ERROR'])('lost it where Nova shows %s', (word) => {
    expect(ended(status(word))).toBe('lost');
  });

  it.each(['ACTIVE', 'PAUSED', 'REBOOT'])('did not lose it where Nova shows %s', (word) => {
    expect(ended(status(word))).toBe('there');
  });

  it('lost it where the server is gone or left the listing, or where the VM does not answer', () => {
    expect(ended((site) => site.look(site.member().name, null))).toBe('lost');
    expect(ended((site) => site.event({ type: 'listed', servers: [], complete: true }))).toBe('lost');
    expect(ended((site) => site.silence(site.member().name))).toBe('lost');
    expect(ended(() => undefined)).toBe('there');
  });
});
