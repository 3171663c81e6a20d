import { describe, expect, it } from '@jest/globals';
import { compareAttempts, leaseIdOf } from '../../../src/pool/ids.js';
import type { Attempt } from '../../../src/pool/model.js';

const attempt: Attempt = { start: 2, boot: 'b', pid: 7, ticks: 9 };

describe('an attempt to start a job', () => {
  it('is the same only with the same count, boot, process and time', () => {
    expect(compareAttempts(attempt, { ...attempt })).toBe('same');
    for (const other of [{ boot: 'c' }, { pid: 8 }, { ticks: 10 }])
      expect(compareAttempts(attempt, { ...attempt, ...other })).toBe('rival');
  });

  it('of a lower count is older, whoever made it', () => {
    expect(compareAttempts(attempt, { ...attempt, start: 3 })).toBe('older');
    expect(compareAttempts(attempt, { ...attempt, start: 1 })).toBe('newer');
    expect(compareAttempts({ ...attempt, pid: 1 }, { ...attempt, start: 3 })).toBe('older');
  });

  it('has a lease id that any other worker, job or attempt changes', () => {
    const key = { worker: 'w', job: '1.s', attempt };
    const others = [
      { ...key, worker: 'v' },
      { ...key, job: '2.s' },
      ...[{ start: 3 }, { boot: 'c' }, { pid: 8 }, { ticks: 10 }].map((other) => ({
        ...key,
        attempt: { ...attempt, ...other },
      })),
    ];
    const ids = [key, ...others].map(leaseIdOf);
    expect(new Set(ids).size).toBe(ids.length);
    expect(leaseIdOf({ ...key })).toBe(ids[0]);
    expect(ids[0]).toMatch(/^[0-9a-f]{32}$/);
  });
});
