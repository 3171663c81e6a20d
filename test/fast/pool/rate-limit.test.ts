import { describe, expect, it } from '@jest/globals';
import { longestRestMs } from '../../../src/pool/observe.js';
import { leaseView, statusView } from '../../../src/pool/views.js';
import { keyOf, Pool, shapeOf } from './fixture.js';

const refused = (pool: Pool, restMs: number | null): void => {
  pool.event({ type: 'cloudFailed', why: 'HTTP 429', restMs });
};
const problems = (pool: Pool): string => statusView(pool.state, pool.context(), 'v').problems.join('\n');

describe('a cloud that asks for a pause', () => {
  it('is sent no new creates until it is over; who waits is told', () => {
    const pool = new Pool(shapeOf({ max: 2 }));
    refused(pool, 90_000);
    const id = pool.ask(keyOf('1'));
    expect(pool.members()).toEqual([]);
    expect(leaseView(pool.state, id)?.detail).toMatch(/^no VM is free; the cloud asked for a pause until /);
    expect(problems(pool)).toMatch(/no new VM is ordered before \S+: the cloud asked for a pause/);
    pool.pass(89_999);
    expect(pool.members()).toEqual([]);
    pool.pass(1);
    expect(pool.members()).toHaveLength(1);
    expect(problems(pool)).not.toContain('is ordered before');
  });

  it('is believed at once when it answers again, and not for ever when it does not', () => {
    const pool = new Pool(shapeOf({ max: 2 }));
    refused(pool, 86_400_000);
    pool.ask(keyOf('1'));
    pool.pass(longestRestMs - 1);
    expect(pool.members()).toEqual([]);
    pool.pass(1);
    expect(pool.members()).toHaveLength(1);
    refused(pool, 60_000);
    pool.ask(keyOf('2'));
    expect(pool.members()).toHaveLength(1);
    pool.event({ type: 'listed', servers: [], complete: true });
    expect(pool.members()).toHaveLength(2);
  });

  it('gets its pause in spite of later failures that ask for none, and of shorter wishes', () => {
    const pool = new Pool(shapeOf({ max: 2 }));
    refused(pool, 60_000);
    refused(pool, null);
    refused(pool, 1_000);
    pool.ask(keyOf('1'));
    pool.pass(59_999);
    expect(pool.members()).toEqual([]);
    pool.pass(1);
    expect(pool.members()).toHaveLength(1);
  });

  it('holds nobody back by failing without a wish', () => {
    const pool = new Pool(shapeOf({ max: 2 }));
    refused(pool, null);
    pool.ask(keyOf('1'));
    expect(pool.members()).toHaveLength(1);
  });
});
