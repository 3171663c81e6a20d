import { describe, expect, it } from '@jest/globals';
import type { ScrubResult } from '../../../src/guest/port.js';
import type { WelcomeResult } from '../../../src/pool/guest-events.js';
import { leaseIdOf } from '../../../src/pool/ids.js';
import type { Member } from '../../../src/pool/book.js';
import { keyOf, Pool, ready, shapeOf } from './fixture.js';

const own = keyOf('1.s');
const strange = keyOf('9.s');

const detailOf = (member: Member): string => (member.state.kind === 'Unusable' ? member.state.detail : '');

/** One VM whose server runs and that was not welcomed yet. */
function building(): Pool {
  const pool = new Pool(shapeOf({ min: 1, max: 1 }));
  pool.list();
  const { name, cell } = pool.member();
  pool.event({
    type: 'engine',
    event: { type: 'created', cell, member: name, serverId: `s-${name}` as never, addresses: {} },
  });
  expect(pool.places()).toEqual(['building']);
  return pool;
}
/** One VM whose job has ended, not scrubbed yet. */
function scrubbing(): Pool {
  const pool = ready(1);
  pool.stage(pool.ask(own));
  pool.release(own);
  expect(pool.places()).toEqual(['scrubbing']);
  return pool;
}
const welcome = (pool: Pool, result: WelcomeResult): void => {
  pool.event({ type: 'welcomed', member: pool.member().name, result });
};
const scrub = (pool: Pool, result: ScrubResult, bootId: string | null = null): void => {
  pool.event({ type: 'scrubbed', member: pool.member().name, result, bootId });
};

describe('the welcome of a new VM', () => {
  it('makes it Free, with the keys and the boot that it showed, and says how long it took', () => {
    const pool = building();
    pool.pass(7_000);
    pool.notes = [];
    welcome(pool, { kind: 'welcomed', hostKeys: ['k1', 'k2'], bootId: 'b7' });
    expect(pool.member()).toMatchObject({ state: { kind: 'Free' }, hostKeys: ['k1', 'k2'], bootId: 'b7' });
    expect(pool.notes.map(({ detail }) => detail)).toContainEqual(
      expect.stringContaining('ready 7000 ms after it was decided'),
    );
  });

  it('that meets nobody is tried again, and the reason is shown', () => {
    const pool = building();
    for (const failures of [1, 2, 3]) {
      welcome(pool, { kind: 'silent', why: 'tcp: refused' });
      expect(pool.places()).toEqual(['building']);
      expect(pool.state.sight.checked.get(pool.member().name)).toMatchObject({ failures });
    }
    expect(pool.state.sight.silent[pool.member().name]).toEqual({ since: 0, why: 'building: tcp: refused' });
  });

  it('ends one whose image lacks something, and counts as a create that failed', () => {
    const pool = building();
    welcome(pool, { kind: 'unfit', why: 'no bash' });
    expect(pool.places()).toEqual(['error']);
    expect(detailOf(pool.member())).toContain('no bash');
    expect(pool.book.breaker.failures).toBe(1);
  });

  it('holds one that carries a lease already', () => {
    const pool = building();
    welcome(pool, { kind: 'foreign-marker', why: 'lease 9' });
    expect(pool.member()).toMatchObject({
      state: { kind: 'Unusable', reason: 'held' },
      hold: { kind: 'foreign-marker', why: 'lease 9', at: pool.now },
    });
  });

  it.each([ready(1), scrubbing(), new Pool()].map((pool) => [pool.places().join(), pool] as const))(
    'that comes too late changes nothing (%s)',
    (_, pool) => {
      const before = pool.state;
      for (const result of [
        { kind: 'welcomed', hostKeys: ['other'], bootId: 'b9' },
        { kind: 'unfit', why: 'no bash' },
        { kind: 'foreign-marker', why: 'lease 9' },
      ] as const) {
        const member = pool.members()[0]?.name ?? ('p-0001-none' as Member['name']);
        pool.event({ type: 'welcomed', member, result });
      }
      expect(pool.state).toEqual(before);
    },
  );
});

describe('a scrub', () => {
  it('that is done and verified makes the VM Free, and keeps its boot where it did not show one', () => {
    const pool = scrubbing();
    pool.pass(2_000);
    scrub(pool, { ok: true }, 'b8');
    expect(pool.member()).toMatchObject({ state: { kind: 'Free' }, bootId: 'b8' });
    const again = scrubbing();
    scrub(again, { ok: true });
    expect(again.member()).toMatchObject({ state: { kind: 'Free' }, bootId: 'b1' });
  });

  it('that leaves something ends the VM, and names five things of what was left', () => {
    const pool = scrubbing();
    const findings = ['a', 'b', 'c', 'd', 'e', 'f'];
    pool.notes = [];
    scrub(pool, { ok: false, kind: 'dirty', why: 'not gone', findings });
    expect(pool.places()[0]).toBe('deleting');
    const told = pool.notes.map(({ detail }) => detail).join('\n');
    expect(told).toContain('not clean after the scrub: not gone: a; b; c; d; e');
    expect(told).not.toContain('; f');
  });

  it('that leaves something tells what the job used, where it knows; else that is asked once more', () => {
    const figures = { cpuSeconds: 3, memoryBytes: 5, wallSeconds: 7, begun: true, code: 0, told: false };
    for (const measured of [null, undefined, { ...figures, over: null }]) {
      const pool = scrubbing();
      const findings = ['a'];
      scrub(pool, {
        ok: false,
        kind: 'dirty',
        why: 'w',
        findings,
        ...(measured === undefined ? {} : { measured }),
      });
      const told = pool.notes.some((note) => JSON.stringify(note).includes('"cpuSeconds":3'));
      expect(told).toBe(measured != null);
      expect(pool.work('measure')).toHaveLength(measured == null ? 1 : 0);
    }
  });

  it('that meets nobody goes on, and shows why', () => {
    const pool = scrubbing();
    scrub(pool, { ok: false, kind: 'unreachable', why: 'tcp: refused', findings: [] });
    expect(pool.places()).toEqual(['scrubbing']);
    const { name } = pool.member();
    expect(pool.state.sight.checked.get(name)).toMatchObject({ failures: 1 });
    expect(pool.state.sight.silent[name]).toMatchObject({ why: 'scrubbing: tcp: refused' });
  });

  it('that finds another lease touches nothing and holds the VM', () => {
    const pool = scrubbing();
    scrub(pool, { ok: false, kind: 'foreign-marker', why: 'lease 9', findings: [] });
    expect(pool.member()).toMatchObject({
      state: { kind: 'Unusable', reason: 'held' },
      hold: { kind: 'foreign-marker', why: 'lease 9' },
    });
  });

  it.each([ready(1), building(), new Pool()].map((pool) => [pool.places().join(), pool] as const))(
    'of a VM that is at something else changes nothing (%s), nor does a rebuild',
    (_, pool) => {
      const before = pool.state;
      const member = pool.members()[0]?.name ?? ('p-0001-none' as Member['name']);
      pool.event({ type: 'scrubbed', member, result: { ok: true }, bootId: 'b9' });
      pool.event({
        ...{ type: 'scrubbed', member, bootId: null },
        result: { ok: false, kind: 'dirty', why: 'w', findings: [] },
      });
      pool.event({ type: 'rebuilt', member });
      expect(pool.state).toEqual(before);
    },
  );
});

describe('a probe that meets nobody', () => {
  it('is remembered with its first moment, and makes a Free VM unreachable the second time', () => {
    const pool = ready(1);
    const { name } = pool.member();
    const since = pool.now;
    pool.silence(name);
    expect(pool.places()).toEqual(['Free']);
    expect(pool.state.sight.silent[name]).toEqual({ since, why: 'tcp: no answer' });
    pool.now += 1_000;
    pool.silence(name);
    expect(pool.place(name)).toBe('unreachable');
    pool.probe(name);
    expect(pool.state.sight.silent[name]).toBeUndefined();
  });

  it('with a wrong host key ends its use at once, where a key is known', () => {
    const pool = ready(1);
    pool.silence(pool.member().name, 'host-key');
    expect(pool.places()[0]).toBe('error');
  });

  it('of nobody’s VM is nothing', () => {
    const pool = ready(0);
    const before = pool.state;
    pool.silence('p-0001-none' as Member['name']);
    pool.probe('p-0001-none' as Member['name']);
    expect(pool.state).toEqual(before);
  });
});

describe('the marker that a probe finds', () => {
  it('on a Free VM is somebody’s: held, and said whose', () => {
    const pool = ready(1);
    pool.probe(pool.member().name, strange);
    const why = `its lease marker says ${leaseIdOf(strange)}, the book nothing`;
    expect(pool.member()).toMatchObject({
      state: { kind: 'Unusable', reason: 'held', detail: why },
      hold: { kind: 'foreign-marker', why, at: pool.now },
    });
  });

  it('on a Busy one may be on its way before it is ready, and must be there afterwards', () => {
    const pool = ready(1);
    const lease = pool.ask(own);
    const { name } = pool.member();
    const holdOf = () => pool.member().hold;
    pool.probe(name);
    expect(holdOf()).toBeNull();
    pool.probe(name, own);
    expect(holdOf()).toBeNull();
    pool.stage(lease);
    pool.probe(name, own);
    expect(holdOf()).toBeNull();
    pool.probe(name);
    expect(holdOf()).toMatchObject({
      kind: 'foreign-marker',
      why: `its lease marker says nothing, the book ${lease}`,
    });
    expect(pool.places()).toEqual(['Busy']);
  });

  it('on a Busy one that is not ready may not be a stranger’s', () => {
    const pool = ready(1);
    const lease = pool.ask(own);
    pool.probe(pool.member().name, strange);
    expect(pool.member().hold).toMatchObject({
      kind: 'foreign-marker',
      why: `its lease marker says ${leaseIdOf(strange)}, the book ${lease}`,
    });
  });

  it('on one that did not answer for a while is its last job’s or nobody’s', () => {
    const silent = (): Pool => {
      const pool = ready(1);
      const { name } = pool.member();
      pool.silence(name);
      pool.silence(name);
      return pool;
    };
    const never = silent();
    never.probe(never.member().name);
    expect(never.places()[0]).toBe('scrubbing');
    const foreign = silent();
    foreign.probe(foreign.member().name, strange);
    expect(foreign.places()[0]).toBe('held');
    expect(detailOf(foreign.member())).toBe(`its lease marker says ${leaseIdOf(strange)}, the book nothing`);
  });

  it('does not take the place of an operator’s hold, and a drain gives way to it', () => {
    for (const [kind, after] of [
      ['hold', 'operator'],
      ['drain', 'foreign-marker'],
    ] as const) {
      const pool = ready(1);
      const { name } = pool.member();
      const lease = pool.ask(own);
      pool.stage(lease);
      pool.event(
        kind === 'hold'
          ? { type: 'hold', member: name, why: 'look' }
          : { type: 'drain', member: name, why: 'host' },
      );
      expect(pool.member().hold).not.toBeNull();
      pool.probe(name);
      expect(pool.member().hold?.kind).toBe(after);
    }
  });
});

describe('a VM that was rebooted by somebody else', () => {
  it('is scrubbed where it was Free; a job’s VM is its job’s', () => {
    const pool = ready(1);
    pool.probe(pool.member().name, null, 'b2');
    expect(pool.places()).toEqual(['scrubbing']);
    const busy = ready(1);
    busy.stage(busy.ask(own));
    busy.probe(busy.member().name, own, 'b2');
    expect(busy.places()).toEqual(['Busy']);
  });

  it('that answers as before stays as it is', () => {
    const pool = ready(1);
    const before = pool.book;
    pool.probe(pool.member().name);
    expect(pool.book).toEqual(before);
  });
});
