import { describe, expect, it } from '@jest/globals';
import { wishOf } from '../../../src/pool/planner.js';
import type { Pool } from './fixture.js';
import { attempt, keyOf, ready, shapeOf } from './fixture.js';

/** The scrub of its only VM does not get through. */
function failScrub(pool: Pool): void {
  const { name } = pool.member();
  const result = { ok: false, kind: 'unreachable', why: 'no answer', findings: [] } as const;
  pool.event({ type: 'scrubbed', member: name, result, bootId: null });
}

describe('a pool that gets another spec while a create of it is lost', () => {
  it('decides at once all that follows: a new VM takes the last room, so that an old one goes for the next', () => {
    const pool = ready(1, { min: 1, max: 4 }, { maxSurge: 2 });
    pool.adopt(shapeOf({ min: 2, max: 4 }));
    const lost = pool.member(1);
    pool.event({ type: 'runBegan', cell: lost.cell });
    pool.runEnded(wishOf(pool.state, lost.cell), { instances: [], lostCreates: [lost.name], unlisted: [] });
    pool.list({ [lost.name]: { status: 'BUILD' } });
    pool.welcome(pool.member(2).name);
    expect(pool.places()).toEqual(['Free', 'building', 'Free']);
    pool.adopt(shapeOf({ min: 2, max: 4, generation: 'g2' }));
    const decided = ['deleting', 'building', 'Free', 'building'];
    expect(pool.places()).toEqual(decided);
    pool.event({ type: 'tick' });
    expect(pool.places()).toEqual(decided);
  });
});

describe('another VM is made', () => {
  it('for one that is to be retired, as soon as its job has ended', () => {
    const pool = ready(1, { min: 1, max: 2 });
    pool.ask(keyOf('1'));
    pool.event({ type: 'retire', member: pool.member().name, why: 'told so' });
    expect(pool.places()).toEqual(['Busy']);
    pool.release(keyOf('1'));
    expect(pool.places()).toEqual(['scrubbing', 'building']);
  });

  it('for one that is drained, as soon as its job has ended', () => {
    const pool = ready(1, { min: 1, max: 2 });
    pool.ask(keyOf('1'));
    pool.event({ type: 'drain', member: pool.member().name, why: 'told so' });
    pool.release(keyOf('1'));
    expect(pool.places()).toEqual(['scrubbing', 'building']);
  });

  it('for one that cannot be scrubbed, at the second time that it does not answer', () => {
    const pool = ready(1, { min: 1, max: 2 });
    pool.ask(keyOf('1'));
    pool.release(keyOf('1'));
    failScrub(pool);
    expect(pool.places()).toEqual(['scrubbing']);
    failScrub(pool);
    expect(pool.places()).toEqual(['scrubbing', 'building']);
  });

  it('for one that does not answer, is in error, lost or held, and not for one that is being scrubbed', () => {
    const after = (what: (pool: Pool) => void): string[] => {
      const pool = ready(1, { min: 1, max: 2 });
      what(pool);
      return pool.places();
    };
    const { name } = ready(1).member();
    const silent = (pool: Pool): void => {
      pool.silence(name);
      pool.silence(name);
    };
    expect(after(silent)).toEqual(['unreachable', 'building']);
    expect(after((pool) => pool.list({ [name]: { status: 'ERROR' } }))).toEqual(['error', 'building']);
    expect(after((pool) => pool.look(name, null))).toEqual(['lost', 'building']);
    expect(after((pool) => pool.event({ type: 'hold', member: name, why: 'x' }))).toEqual([
      'held',
      'building',
    ]);
    expect(after((pool) => pool.probe(name, null, 'another boot'))).toEqual(['scrubbing']);
  });

  it('for no request that waits for the VM of an earlier start to be clean', () => {
    const pool = ready(1);
    pool.adopt(shapeOf({ min: 0 }));
    pool.ask(keyOf('1', attempt(1)));
    pool.ask(keyOf('1', attempt(2)));
    expect(pool.places()).toEqual(['scrubbing']);
    pool.ask(keyOf('2'));
    expect(pool.places()).toEqual(['scrubbing']);
    pool.ask(keyOf('3'));
    expect(pool.places()).toEqual(['scrubbing', 'building']);
  });
});

describe('outdated VMs under load', () => {
  /** Every VM has a job and is of the old spec, and two more jobs wait. */
  const underLoad = (maxSurge: number): Pool => {
    const pool = ready(3, { min: 3, max: 6 }, { maxSurge });
    for (const job of ['1', '2', '3', '4', '5', '6', '7', '8']) pool.ask(keyOf(job));
    pool.boot();
    expect(pool.places().filter((place) => place === 'Busy')).toHaveLength(6);
    pool.adopt(shapeOf({ min: 3, max: 6, generation: 'g2' }));
    return pool;
  };
  const endJob = (pool: Pool, job: string): void => {
    const lease = pool.book.leases.values().find(({ request }) => request.key.job === job);
    pool.release(keyOf(job));
    if (lease !== undefined) pool.scrub(lease.member);
  };

  it.each([1, 2])('go at most %i at a time, the others serve on', (maxSurge) => {
    const pool = underLoad(maxSurge);
    for (const job of ['1', '2', '3']) endJob(pool, job);
    expect(pool.places().filter((place) => place === 'deleting')).toHaveLength(maxSurge);
    expect(pool.places().filter((place) => place === 'Busy')).toHaveLength(6 - maxSurge);
  });

  it('serve on while the cloud gives no new ones', () => {
    const pool = underLoad(1);
    const spare = pool.members().length;
    endJob(pool, '1');
    expect(pool.places()).toContain('deleting');
    pool.end();
    const young = pool.members().find(({ generation }) => generation === 'g2');
    expect(young).toBeDefined();
    if (young === undefined) return;
    const { name: member, cell } = young;
    pool.event({ type: 'engine', event: { type: 'createFailed', cell, member, message: 'quota' } });
    pool.end();
    endJob(pool, '2');
    expect(pool.places()).toEqual(Array.from({ length: spare - 1 }, () => 'Busy'));
  });
});
