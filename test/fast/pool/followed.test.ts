import { describe, expect, it } from '@jest/globals';
import {
  followedTogether,
  type Followed,
  serviceInput,
  slotsOf,
  type Acquaintance,
} from '../../../src/pool/followed.js';
import type { Member } from '../../../src/pool/book.js';
import type { FollowedFrom, ServiceMember } from '../../../stacks/services/plan.js';
import { keyOf, Pool, ready, shapeOf } from './fixture.js';

const address = (member: Member): readonly string[] => [`10.0.0.${String(member.seq)}`];
const all = (changes: Partial<Acquaintance> = {}): Acquaintance => ({
  ...{ known: new Set<string>(), addressesOf: address, complete: true },
  ...changes,
});
const names = (
  { state }: Pool,
  changes?: Partial<Acquaintance>,
  from?: 'address',
): readonly string[] | null =>
  serviceInput(state, all(changes), from)?.members.map(({ name }) => name) ?? null;
const everybody = (pool: Pool): readonly string[] => pool.members().map(({ name }) => name);

describe('who is followed', () => {
  it('is a VM from its first Free, never while it is only building', () => {
    const pool = new Pool(shapeOf({ min: 2, max: 2 }));
    expect(everybody(pool)).toHaveLength(2);
    expect(names(pool)).toEqual([]);
    pool.boot();
    expect(names(pool)).toEqual(everybody(pool));
  });

  it('is whoever has an address, for what a VM needs before its first lease', () => {
    const pool = new Pool(shapeOf({ min: 2, max: 2 }));
    const [first = '', second] = everybody(pool);
    const one = (member: Member): readonly string[] | null =>
      member.name === first ? address(member) : null;
    expect(names(pool, { addressesOf: one }, 'address')).toEqual([first]);
    expect(names(pool, { addressesOf: () => [] }, 'address')).toEqual([]);
    expect(names(pool, {}, 'address')).toEqual([first, second]);
  });

  it('is told with the age of its disk only to who asks: a rebuild is no news to the others', () => {
    const pool = ready(1, { min: 1, max: 1 }, { reuse: 'rebuild' });
    const told = (from?: FollowedFrom) => serviceInput(pool.state, all(), from)?.members;
    const [before] = [told(), told('address')];
    const { name, bornAt } = pool.member();
    const bornDisk = new Date(bornAt).toISOString();
    expect(told('disk')).toEqual(before?.map((member) => ({ ...member, diskSince: bornDisk })));
    pool.stage(pool.ask(keyOf('1')));
    pool.release(keyOf('1'));
    pool.pass(60_000);
    expect(told('disk')).toMatchObject([{ diskSince: bornDisk }]);
    pool.event({ type: 'rebuilt', member: name });
    expect(told('disk')).toMatchObject([{ name, diskSince: new Date(pool.now).toISOString() }]);
    expect(told('address')).toEqual(before);
    pool.boot();
    expect(told()).toEqual(before);
    expect(told('disk')).not.toMatchObject([{ diskSince: bornDisk }]);
  });

  it('is also one that is Busy, silent or held, so that nothing flaps', () => {
    const pool = ready(3, { max: 3 });
    const before = everybody(pool);
    pool.ask(keyOf('1'));
    const [, silent] = pool.members();
    if (silent === undefined) throw new Error('there is no second VM');
    for (let n = 0; n < 10; n += 1) pool.pass(60_000).silence(silent.name);
    expect(pool.places()).toContain('Busy');
    expect(new Set(pool.places()).size).toBeGreaterThan(1);
    expect(names(pool)).toEqual(before);
  });

  it('is nobody who is being retired', () => {
    const pool = ready(2, { min: 2, max: 2 });
    pool.adopt(shapeOf({ min: 0, max: 2 }));
    pool.pass(24 * 3_600_000);
    expect(pool.places()).toContain('deleting');
    const stay = pool.members().filter(({ name }) => pool.place(name) !== 'deleting');
    expect(names(pool)).toEqual(stay.map(({ name }) => name));
    expect(names(pool, {}, 'address')).toEqual(names(pool));
  });

  it('is nobody at all while an address may still turn up, and without it only when everything was listed', () => {
    const pool = ready(2);
    const [first = ''] = everybody(pool);
    const one = (member: Member): readonly string[] | null =>
      member.name === first ? address(member) : null;
    expect(names(pool, { addressesOf: one, complete: false })).toBeNull();
    expect(names(pool, { addressesOf: one })).toEqual([first]);
  });
});

describe('the slots of a worker', () => {
  it('are the pool’s maximum, or more while more of its jobs are under way', () => {
    const pool = ready(1, { min: 1, max: 3 });
    expect(slotsOf(pool.state)).toEqual({});
    pool.sync([]);
    expect(slotsOf(pool.state)).toEqual({ w1: 3 });
    for (const job of ['1', '2', '3']) pool.ask(keyOf(job));
    pool.adopt(shapeOf({ min: 1, max: 2 }));
    expect(slotsOf(pool.state)).toEqual({ w1: 3 });
  });

  it('are none before the pool has a shape', () => {
    expect(slotsOf(new Pool(null).state)).toEqual({});
  });
});

describe('what services are told of several pools', () => {
  const member = (name: string, bornAt: string): ServiceMember => ({
    ...{ name, bornAt, serverId: 's', addresses: ['10.0.0.1'], flavor: 'f', image: 'i' },
    ...{ cell: 'c', generation: 'g' },
  });
  const part = (
    pool: string,
    slots: Record<string, number>,
    { members = [] as ServiceMember[], ...changes }: Partial<Followed> & { members?: ServiceMember[] } = {},
  ): Followed => ({
    ...{ input: { pool, members, slots }, max: 4, workers: null, slotsPerVm: 1 },
    ...changes,
  });

  it('is all their VMs by birth, under the name of the one whose stacks they are', () => {
    const told = followedTogether('b', [
      part('a', {}, { members: [member('a1', '2026-01-02'), member('a2', '2026-01-01')] }),
      part('b', {}, { members: [member('b1', '2026-01-03'), member('b2', '2026-01-01')] }),
    ]);
    expect(told).toMatchObject({ pool: 'b', pools: ['a', 'b'] });
    expect(told?.members.map(({ name }) => name)).toEqual(['a2', 'b2', 'a1', 'b1']);
  });

  it('is that of one alone where there is one, without a list of pools', () => {
    expect(followedTogether('a', [part('a', { w1: 3 })])).toEqual({
      ...{ pool: 'a', members: [], slots: { w1: 3 } },
    });
  });

  it('is nothing while one of them is not known', () => {
    expect(followedTogether('a', [part('a', {}), null])).toBeNull();
  });

  it('is for each worker the sum of the pools that take its jobs, each VM for as many as it counts for', () => {
    const told = followedTogether('a', [
      part('a', { w2: 3, w1: 2 }, { slotsPerVm: 4 }),
      part('b', { w1: 5 }, { workers: ['w1'] }),
      part('c', { w2: 7 }, { workers: ['w2'], max: 9 }),
      // Has not heard of anybody yet.
      part('d', {}, { max: 10, workers: ['w2'] }),
    ]);
    expect(told?.slots).toEqual({ w1: 2 * 4 + 5, w2: 3 * 4 + 7 + 10 });
    expect(Object.keys(told?.slots ?? {})).toEqual(['w1', 'w2']);
  });
});
