import { describe, expect, it } from '@jest/globals';
import { GuestFailure } from '../../../src/guest/failure.js';
import { Patience } from '../../../src/guest/patience.js';
import type { MemberName } from '../../../src/pool/model.js';

const never = new AbortController().signal;
const [a, b] = ['vm-a', 'vm-b'] as [MemberName, MemberName];

/** A call that ends like that; returns the limit that the next one has. */
async function after(patience: Patience, member: MemberName, end: 'in time' | GuestFailure): Promise<number> {
  const work = (): Promise<string> => (end === 'in time' ? Promise.resolve('') : Promise.reject(end));
  await patience.call(member, 'probe', 10_000, never, work, (_step, why) => why);
  return patience.limit(member, 1_000);
}

describe('patience with a VM', () => {
  const slow = new GuestFailure('login', 'not in time', true);
  const dead = new GuestFailure('tcp', 'refused');

  it('doubles with each call that it does not end in time, to an end, and halves with each that it does', async () => {
    const patience = new Patience();
    const limits: number[] = [];
    for (let n = 0; n < 5; n += 1) limits.push(await after(patience, a, slow));
    for (let n = 0; n < 4; n += 1) limits.push(await after(patience, a, 'in time'));
    expect(limits).toEqual([2, 4, 8, 8, 8, 4, 2, 1, 1].map((times) => times * 1_000));
  });

  it('does not grow with one that is not there, and is no other\u2019s', async () => {
    const patience = new Patience();
    expect(await after(patience, a, dead)).toBe(1_000);
    expect(await after(patience, a, slow)).toBe(2_000);
    expect(await after(patience, a, dead)).toBe(2_000);
    expect(patience.limit(b, 1_000)).toBe(1_000);
  });

  it('is forgotten with the VM', async () => {
    const patience = new Patience();
    await after(patience, a, slow);
    await after(patience, b, slow);
    patience.keepOnly(new Set([b]));
    expect([patience.limit(a, 1), patience.limit(b, 1)]).toEqual([1, 2]);
    patience.forget(b);
    expect(patience.limit(b, 1)).toBe(1);
  });
});
