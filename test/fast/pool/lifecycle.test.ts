import { describe, expect, it } from '@jest/globals';
import type { Member } from '../../../src/pool/book.js';
import type { Occurrence, Place } from '../../../src/pool/lifecycle.js';
import { lifecycle, next } from '../../../src/pool/lifecycle.js';
import { moveMember, placeOf, putMember } from '../../../src/pool/members.js';
import type { LeaseId, VmState } from '../../../src/pool/model.js';
import type { Pool } from './fixture.js';
import { keyOf, ready } from './fixture.js';

const places: readonly Place[] = [
  'Free',
  'Busy',
  'building',
  'unreachable',
  'error',
  'scrubbing',
  'held',
  'deleting',
  'lost',
];
const occurrences: readonly Occurrence[] = [
  'welcomed',
  'answered',
  'silent',
  'rebooted',
  'foreignMarker',
  'unfit',
  'broken',
  'disturbed',
  'createFailed',
  'absent',
  'reappeared',
  'granted',
  'unstageable',
  'released',
  'scrubbed',
  'dirty',
  'rebuilt',
  'held',
  'unheld',
  'overdue',
];

/** The whole life of a VM, written down once more by hand: `place occurrence place`. */
const arrows = new Set(
  `building welcomed Free
building foreignMarker held
building unfit error
building broken error
building createFailed deleting
building absent lost
building held held
building overdue deleting
Free granted Busy
Free silent unreachable
Free rebooted scrubbing
Free foreignMarker held
Free unfit error
Free broken error
Free disturbed unreachable
Free absent lost
Free held held
Free overdue deleting
Busy released scrubbing
Busy unstageable unreachable
unreachable answered scrubbing
unreachable foreignMarker held
unreachable unfit error
unreachable broken error
unreachable absent lost
unreachable held held
unreachable overdue deleting
error answered scrubbing
error foreignMarker held
error absent lost
error held held
error overdue deleting
scrubbing scrubbed Free
scrubbing dirty deleting
scrubbing rebuilt building
scrubbing foreignMarker held
scrubbing broken error
scrubbing absent lost
scrubbing held held
scrubbing overdue deleting
held unheld scrubbing
held silent unreachable
held absent lost
held overdue deleting
lost reappeared unreachable
lost held held
lost overdue deleting`.split('\n'),
);

const pairs = places.flatMap((place) => occurrences.map((what) => [place, what] as const));

describe('the life cycle', () => {
  it.each(pairs)('%s, %s', (place, what) => {
    const to = next(place, what);
    if (to === place) expect([...arrows].some((a) => a.startsWith(`${place} ${what} `))).toBe(false);
    else expect(arrows).toContain(`${place} ${what} ${to}`);
  });

  it('has no way out of deleting, and out of Busy only the end of its job, or that it cannot begin', () => {
    expect(lifecycle.deleting).toEqual({});
    expect(Object.keys(lifecycle.Busy)).toEqual(['released', 'unstageable']);
  });

  it.each(pairs)('a member in %s that is %s goes where the table says, and nowhere else', (place, what) => {
    const pool = ready(1);
    const state: VmState =
      place === 'Free'
        ? { kind: 'Free', since: 1 }
        : place === 'Busy'
          ? { kind: 'Busy', since: 1, lease: 'l' as LeaseId }
          : { kind: 'Unusable', reason: place, since: 1, detail: '' };
    const member: Member = { ...pool.member(), state };
    const before = putMember(pool.state, member);
    const after = moveMember(before, member.name, what, 'why', pool.context(), () => undefined, {
      lease: 'l' as LeaseId,
    });
    const now = after.book.members.get(member.name);
    expect(now && placeOf(now.state)).toBe(next(place, what));
    if (next(place, what) === place) expect(after).toBe(before);
  });
});

describe('what goes with a move', () => {
  it('a VM to be retired does not become Free', () => {
    const pool = ready(1);
    pool.ask(keyOf('1'));
    pool.event({ type: 'retire', member: pool.member().name, why: 'told so' });
    expect(pool.places()).toEqual(['Busy']);
    pool.release(keyOf('1'));
    pool.scrub(pool.member().name);
    expect(pool.place(pool.member().name)).toBe('deleting');
  });

  it('a VM that becomes Free has no tenant', () => {
    const pool = ready(1);
    pool.ask(keyOf('1'));
    expect(pool.member().tenant?.job).toBe('1');
    pool.release(keyOf('1'));
    expect(pool.member().tenant?.job).toBe('1');
    pool.scrub(pool.member().name);
    expect(pool.member().tenant).toBeNull();
  });

  it('where VMs are not reused, the end of the job is the end of the VM', () => {
    const pool = ready(1, {}, { reuse: 'never' });
    const { name } = pool.member();
    pool.ask(keyOf('1'));
    pool.release(keyOf('1'));
    expect(pool.place(name)).toBe('deleting');
  });

  it('a rebuilt VM is welcomed like a new one', () => {
    const pool = ready(1, {}, { reuse: 'rebuild' });
    const { name } = pool.member();
    pool.ask(keyOf('1'));
    pool.release(keyOf('1'));
    expect(pool.work('rebuild')).toHaveLength(1);
    pool.event({ type: 'rebuilt', member: name });
    expect(pool.member()).toMatchObject({ hostKeys: [], tenant: null });
    expect(pool.place(name)).toBe('building');
    pool.welcome(name);
    expect(pool.place(name)).toBe('Free');
  });
});

describe('a VM that is unusable for longer than its reason allows', () => {
  const limits = { bootLimitMs: 1_000, unreachableLimitMs: 2_000, errorLimitMs: 3_000, scrubLimitMs: 4_000 };
  const after = (pool: Pool, name: string, ms: number): readonly string[] => {
    pool.pass(ms);
    const early = pool.place(name);
    pool.pass(1);
    return [early, pool.place(name)];
  };

  it('building', () => {
    const pool = ready(0, {}, limits);
    pool.ask(keyOf('1'));
    const { name } = pool.member();
    expect(after(pool, name, 1_000)).toEqual(['building', 'deleting']);
    expect(pool.book.breaker.failures).toBe(1);
  });

  it('unreachable', () => {
    const pool = ready(1, {}, limits);
    const { name } = pool.member();
    pool.silence(name);
    expect(pool.place(name)).toBe('Free');
    pool.silence(name);
    expect(after(pool, name, 2_000)).toEqual(['unreachable', 'deleting']);
  });

  it('error', () => {
    const pool = ready(1, {}, limits);
    const { name } = pool.member();
    pool.silence(name, 'host-key');
    expect(after(pool, name, 3_000)).toEqual(['error', 'deleting']);
  });

  it('scrubbing', () => {
    const pool = ready(1, {}, limits);
    const { name } = pool.member();
    pool.ask(keyOf('1'));
    pool.release(keyOf('1'));
    expect(after(pool, name, 4_000)).toEqual(['scrubbing', 'deleting']);
  });

  it('held, where there is a limit; for ever, where there is none', () => {
    for (const heldLimitMs of [5_000, null]) {
      const pool = ready(1, {}, { heldLimitMs });
      const { name } = pool.member();
      pool.event({ type: 'hold', member: name, why: 'look' });
      pool.pass(5_001);
      expect(pool.place(name)).toBe(heldLimitMs === null ? 'held' : 'deleting');
    }
  });
});
