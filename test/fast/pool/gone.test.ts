import { describe, expect, it } from '@jest/globals';
import { emptySight } from '../../../src/pool/book.js';
import { distrust } from '../../../src/pool/restore.js';
import { problemsOf } from '../../../src/pool/views.js';
import { keyOf, ready, type Pool } from './fixture.js';

/** A pool whose only VM was lost to Nova under its job, and whose job has ended. */
function goneUnderItsJob(): { pool: Pool; name: string } {
  const pool = ready(1, { max: 1 }, { scrubLimitMs: 3_600_000 });
  const { name } = pool.member();
  pool.ask(keyOf('1'));
  pool.look(name, null);
  expect(pool.book.members.get(name)?.server?.status).toBe('GONE');
  pool.release(keyOf('1'));
  expect(pool.place(name)).toBe('scrubbing');
  return { pool, name };
}

const listingsWithout = (pool: Pool): void => {
  pool.event({ type: 'listed', servers: [], complete: true });
  pool.pass(2_000);
};

describe('a VM whose server went under its job', () => {
  it('is looked at again when the job has ended, and not scrubbed until the limit', () => {
    const { pool, name } = goneUnderItsJob();
    listingsWithout(pool);
    expect(pool.work('look').map(({ key }) => key)).toEqual([`member/${name}`]);
    pool.look(pool.member().name, null);
    expect(pool.place(name)).toBe('lost');
  });

  it('is looked at after a restore, and not held for ever', () => {
    const { pool, name } = goneUnderItsJob();
    pool.state = { book: distrust(pool.book, pool.now, true), sight: emptySight };
    expect(pool.place(name)).toBe('held');
    listingsWithout(pool);
    expect(pool.work('look').map(({ key }) => key)).toEqual([`member/${name}`]);
    pool.look(pool.member().name, null);
    expect(pool.place(name)).toBe('lost');
  });

  it('is not asked after again and again while its job runs', () => {
    const pool = ready(1, { max: 1 });
    const { name } = pool.member();
    pool.ask(keyOf('1'));
    pool.look(name, null);
    listingsWithout(pool);
    expect(pool.work('look')).toEqual([]);
  });
});

describe('a VM that was held by a restore and answers nobody', () => {
  it('is the operator to retire, who is told so', () => {
    const pool = ready(1, { max: 1 });
    const { name } = pool.member();
    pool.state = { book: distrust(pool.book, pool.now, true), sight: emptySight };
    for (let n = 0; n < 3; n += 1) pool.silence(name);
    expect(pool.place(name)).toBe('held');
    expect(problemsOf(pool.state, pool.context()).join('\n')).toContain(`vmpool retire ${name} ends it`);
  });
});
