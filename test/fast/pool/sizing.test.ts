import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { Shape } from '../../../src/pool/model.js';
import { size } from '../../../src/pool/sizer.js';
import { wishOf } from '../../../src/pool/planner.js';
import { nodeVerdict, statusView } from '../../../src/pool/views.js';
import { attempt, keyOf, Pool, ready, shapeOf } from './fixture.js';

function fail(pool: Pool, why = 'quota exceeded'): void {
  for (const m of pool.members()) {
    if (pool.place(m.name) !== 'building') continue;
    pool.event({
      type: 'engine',
      event: { type: 'createFailed', cell: m.cell, member: m.name, message: why },
    });
  }
}

describe('how many', () => {
  it('nothing without a shape', () => {
    const pool = new Pool(null);
    pool.ask(keyOf('1'));
    pool.pass(1_000);
    expect(pool.members()).toEqual([]);
  });

  it('the minimum at once, the maximum at most, one for each waiting request', () => {
    const pool = new Pool(shapeOf({ min: 1, max: 3 }));
    expect(pool.members()).toHaveLength(1);
    for (let n = 1; n <= 5; n += 1) pool.ask(keyOf(String(n)));
    expect(pool.members()).toHaveLength(3);
  });

  it('spare ones beyond those in use', () => {
    const pool = new Pool(shapeOf({ max: 4, spare: 1 })).boot();
    expect(pool.members()).toHaveLength(1);
    pool.ask(keyOf('1'));
    expect(pool.members()).toHaveLength(2);
  });

  it('held and leaving ones count against the maximum', () => {
    const pool = ready(2, { min: 2, max: 2 });
    pool.event({ type: 'hold', member: pool.member().name, why: 'look' });
    pool.event({ type: 'retire', member: pool.member(1).name, why: 'told so' });
    pool.pass(1_000);
    expect(pool.members()).toHaveLength(2);
    pool.end();
    expect(pool.places()).toEqual(['held', 'building']);
  });

  it('one to be retired after its job is replaced beforehand only within the maximum', () => {
    const pool = ready(1, { min: 1, max: 1 });
    pool.ask(keyOf('1'));
    pool.event({ type: 'retire', member: pool.member().name, why: 'told so' });
    pool.pass(1_000);
    expect(pool.members()).toHaveLength(1);
  });
});

describe('shrinking', () => {
  const idle = { idleBeforeShrinkMs: 5_000 };

  it('waits for the idle time, and keeps the minimum and the oldest', () => {
    const pool = ready(3, {}, idle);
    pool.adopt(shapeOf({ min: 1, max: 4 }));
    pool.pass(4_999);
    expect(pool.places()).toEqual(['Free', 'Free', 'Free']);
    pool.pass(1);
    expect(pool.places()).toEqual(['Free', 'deleting', 'deleting']);
  });

  it('does not wait where the maximum was lowered, and never touches a Busy one', () => {
    const pool = ready(3, { max: 3 }, idle);
    for (const job of ['1', '2']) pool.ask(keyOf(job));
    pool.adopt(shapeOf({ min: 0, max: 1 }));
    expect(pool.places().sort()).toEqual(['Busy', 'Busy', 'deleting']);
    pool.pass(100_000);
    expect(pool.places().sort()).toEqual(['Busy', 'Busy', 'deleting']);
  });
});

describe('rolling to a new spec', () => {
  const settled = (pool: Pool): void => {
    for (let i = 0; i < 40; i += 1) {
      pool.pass(1_000);
      pool.boot();
      pool.end();
    }
  };

  it.each([2, 3, 6])('ends with new ones only, at most one beyond the target on the way, max %i', (max) => {
    const pool = ready(2, { max });
    pool.adopt(shapeOf({ min: 2, max, generation: 'g2' }));
    for (let i = 0; i < 20; i += 1) {
      pool.pass(1_000);
      expect(pool.members().length).toBeLessThanOrEqual(Math.min(max, 3));
      expect(pool.places().filter((p) => p === 'Free').length).toBeGreaterThanOrEqual(max === 2 ? 1 : 2);
      pool.boot();
      pool.end();
    }
    expect(pool.members().map((m) => m.generation)).toEqual(['g2', 'g2']);
  });

  it('leaves a Busy one with its spec until its job has ended', () => {
    const pool = ready(1);
    pool.ask(keyOf('1'));
    const before = pool.member();
    pool.adopt(shapeOf({ min: 1, generation: 'g2' }));
    settled(pool);
    expect(pool.book.members.get(before.name)).toMatchObject({ state: { kind: 'Busy' }, spec: before.spec });
    pool.release(keyOf('1'));
    pool.scrub(before.name);
    settled(pool);
    expect(pool.book.members.get(before.name)).toBeUndefined();
  });

  it('takes the old one, and no new one for it, when its job has ended and there is one too many', () => {
    const pool = ready(1);
    pool.stage(pool.ask(keyOf('1')));
    const old = pool.member().name;
    pool.adopt(shapeOf({ min: 2, max: 6, spare: 2, generation: 'g2' }));
    pool.boot().pass(3_600_000);
    const others = pool.members().filter(({ name }) => name !== old);
    expect(pool.places()).toEqual(['Busy', 'Free', 'Free']);
    pool.release(keyOf('1'));
    expect(pool.places()).toEqual(['scrubbing', 'Free', 'Free']);
    pool.scrub(old);
    expect(pool.places()).toEqual(['deleting', 'Free', 'Free']);
    pool.end();
    pool.pass(3_600_000);
    expect(pool.members()).toEqual(others);
  });

  it('shrinks to a lowered maximum at once, whatever waits to be replaced', () => {
    const pool = ready(1);
    pool.stage(pool.ask(keyOf('1')));
    pool.adopt(shapeOf({ min: 2, max: 6, spare: 2, generation: 'g2' }));
    pool.boot();
    pool.release(keyOf('1'));
    pool.adopt(shapeOf({ min: 2, max: 2, generation: 'g2' }));
    expect(pool.places()).toEqual(['scrubbing', 'Free', 'deleting']);
  });

  it('replaces what is older than the maximum age', () => {
    const pool = ready(1, { maxAgeMs: 60_000 });
    const { name } = pool.member();
    pool.pass(60_000);
    expect(pool.members()).toHaveLength(1);
    pool.pass(1);
    pool.boot();
    expect(pool.place(name)).toBe('deleting');
  });
});

describe('a cloud that gives no VMs', () => {
  it('is asked less and less often, a burst counting once, and says why', () => {
    const pool = new Pool(shapeOf({ min: 3, max: 3 }), { backoffBaseMs: 1_000, backoffMaxMs: 8_000 });
    const pauses: number[] = [];
    for (let i = 0; i < 6; i += 1) {
      const failedAt = pool.now;
      fail(pool);
      pool.end();
      while (pool.members().length === 0) pool.pass(100);
      pauses.push(pool.now - failedAt);
    }
    expect(pauses).toEqual([1_000, 2_000, 4_000, 8_000, 8_000, 8_000]);
    expect(statusView(pool.state, pool.context(), '1').problems.join()).toContain('quota exceeded');
  });

  it('takes the node out of service when nothing is Free, and brings it back with the first success', () => {
    const pool = new Pool(shapeOf({ min: 1, max: 2 }), { breakerAfter: 2, backoffBaseMs: 100 });
    for (let i = 0; i < 2; i += 1) {
      expect(nodeVerdict(pool.state, pool.context()).ok).toBe(true);
      fail(pool);
      pool.end();
      pool.pass(1_000);
    }
    expect(nodeVerdict(pool.state, pool.context())).toMatchObject({ ok: false });
    pool.boot();
    expect(nodeVerdict(pool.state, pool.context()).ok).toBe(true);
    expect(pool.book.breaker.failures).toBe(0);
  });
});

describe('cells', () => {
  const grouped = (patch: Partial<Shape>): Shape => {
    const shape = shapeOf(patch);
    return { ...shape, spec: { ...shape.spec, serverGroupPolicy: 'soft-anti-affinity' } };
  };

  it('with a server group hold no more members than a group\u2019s usual quota', () => {
    const pool = new Pool(grouped({ min: 12, max: 12 }), { cellSize: 50 });
    expect(pool.members().filter((m) => m.cell === 'c001')).toHaveLength(10);
    expect(pool.members().filter((m) => m.cell === 'c002')).toHaveLength(2);
  });

  it('with a server group: beyond the usual quota of groups a running cell with room is waited for', () => {
    const pool = new Pool(grouped({ min: 0, max: 30 }), { cellSize: 4 });
    for (let n = 1; n <= 10; n += 1) {
      pool.adopt(grouped({ min: n, max: 30 }));
      const cell = pool.members().at(-1)?.cell;
      if (cell !== undefined) pool.event({ type: 'runBegan', cell });
    }
    expect(pool.book.cells).toHaveLength(10);
    pool.adopt(grouped({ min: 11, max: 30 }));
    expect(pool.book.cells).toHaveLength(10);
    expect(pool.members()).toHaveLength(11);
  });

  it('zones: the emptiest one is next, however many requests came between; after a failure the one after it', () => {
    const zones = (patch: Partial<Shape>): Shape => {
      const shape = shapeOf(patch);
      return { ...shape, spec: { ...shape.spec, availabilityZones: ['a', 'b'] } };
    };
    const pool = new Pool(zones({ min: 0, max: 6 }));
    for (let n = 1; n <= 4; n += 1) pool.ask(keyOf(String(n)));
    expect(pool.members().map((m) => m.spec.availabilityZones)).toEqual([['a'], ['b'], ['a'], ['b']]);
    const failed = pool.member(0);
    pool.event({
      type: 'engine',
      event: { type: 'createFailed', cell: failed.cell, member: failed.name, message: 'no valid host' },
    });
    pool.pass(60_000);
    expect(pool.members().at(-1)?.spec.availabilityZones).toEqual(['b']);
  });

  it('hold no more than their size', () => {
    const pool = new Pool(shapeOf({ min: 5, max: 5 }), { cellSize: 2 });
    expect(pool.members().map((m) => m.cell)).toEqual(['c001', 'c001', 'c002', 'c002', 'c003']);
  });

  it('that are running, or have just failed, get no new members', () => {
    const pool = new Pool(shapeOf({ min: 1, max: 4 }));
    pool.event({ type: 'runBegan', cell: pool.member().cell });
    pool.ask(keyOf('1'));
    pool.ask(keyOf('2'));
    expect(pool.members().map((m) => m.cell)).toEqual(['c001', 'c002']);
  });

  it('that are empty are used again', () => {
    const pool = ready(1, {}, { idleBeforeShrinkMs: 1_000 });
    pool.adopt(shapeOf({ min: 0 }));
    pool.pass(1_000);
    pool.end();
    expect(pool.members()).toEqual([]);
    pool.ask(keyOf('1'));
    expect(pool.member().cell).toBe('c001');
    expect(pool.book.cells).toEqual(['c001']);
  });

  it('keep a member on the list until the book says that it goes, then among those to go', () => {
    const pool = ready(1);
    const { name, cell, spec, generation } = pool.member();
    expect(wishOf(pool.state, cell)).toEqual({
      cell,
      members: [{ name, generation, spec, made: true }],
      retire: [],
    });
    pool.adopt(shapeOf({ min: 1, max: 4, spec: { ...spec, image: 'other' }, generation: 'g2' }));
    expect(wishOf(pool.state, cell).members[0]?.spec.image).toBe('image');
    pool.event({ type: 'retire', member: name, why: 'told so' });
    expect(wishOf(pool.state, cell).retire).toEqual([name]);
  });

  it('whose run failed keep their distance', () => {
    const pool = new Pool(shapeOf({ min: 1 })).pass(1_000);
    const { cell } = pool.member();
    pool.event({ type: 'runBegan', cell });
    expect(pool.work('converge')).toEqual([]);
    pool.runEnded(wishOf(pool.state, cell), null, 'the backend does not answer');
    expect(pool.work('converge')).toEqual([]);
    pool.pass(2_000);
    expect(pool.work('converge')).toHaveLength(1);
  });
});

describe('whatever happens', () => {
  const shapes = fc
    .record({
      max: fc.integer({ min: 0, max: 6 }),
      min: fc.nat(6),
      spare: fc.nat(3),
      generation: fc.constantFrom('g1', 'g2'),
    })
    .map(({ max, min, spare, generation }) => shapeOf({ max, min: Math.min(min, max), spare, generation }));
  const acts = fc.oneof(
    fc.record({ do: fc.constant('ask' as const), job: fc.nat(5), start: fc.integer({ min: 1, max: 3 }) }),
    fc.record({ do: fc.constant('release' as const), job: fc.nat(5), start: fc.integer({ min: 1, max: 3 }) }),
    fc.record({ do: fc.constant('adopt' as const), shape: shapes }),
    fc.record({
      do: fc.constantFrom(
        'boot' as const,
        'end' as const,
        'scrub' as const,
        'fail' as const,
        'restart' as const,
      ),
    }),
    fc.record({ do: fc.constant('pass' as const), ms: fc.nat(400_000) }),
    fc.record({
      do: fc.constantFrom('hold' as const, 'unhold' as const, 'retire' as const),
      index: fc.nat(5),
    }),
  );

  function act(pool: Pool, a: typeof acts extends fc.Arbitrary<infer T> ? T : never): void {
    switch (a.do) {
      case 'ask':
        pool.ask(keyOf(String(a.job), attempt(a.start)));
        return;
      case 'release':
        pool.release(keyOf(String(a.job), attempt(a.start)));
        return;
      case 'adopt':
        pool.adopt(a.shape);
        return;
      case 'boot':
        pool.boot();
        return;
      case 'end':
        pool.end();
        return;
      case 'scrub':
        for (const m of pool.members()) pool.scrub(m.name);
        return;
      case 'fail':
        fail(pool);
        return;
      case 'restart':
        pool.restart();
        return;
      case 'pass':
        pool.pass(a.ms);
        return;
      case 'hold':
      case 'unhold':
      case 'retire': {
        const member = pool.members()[a.index]?.name;
        if (member !== undefined) pool.event({ type: a.do, member, why: 'told so' });
      }
    }
  }

  it('a VM has one lease at most, a job one attempt, and no VM is made beyond the maximum', () => {
    fc.assert(
      fc.property(fc.array(acts, { maxLength: 60 }), (story) => {
        const pool = new Pool(shapeOf({ min: 1, max: 3 }));
        for (const a of story) {
          const before = new Set(pool.members().map((m) => m.name));
          act(pool, a);
          const { book } = pool;
          const leases = book.leases.values();
          expect(new Set(leases.map((l) => l.member)).size).toBe(leases.length);
          const live = [...leases.map((l) => l.request), ...book.requests.values()];
          expect(new Set(live.map((r) => r.key.job)).size).toBe(live.length);
          for (const lease of leases)
            expect(book.members.get(lease.member)?.state).toMatchObject({
              kind: 'Busy',
              lease: lease.request.id,
            });
          for (const m of pool.members())
            if (m.state.kind === 'Busy') expect(book.leases.get(m.state.lease)?.member).toBe(m.name);
          const made = pool.members().some((m) => !before.has(m.name));
          if (made) expect(pool.members().length).toBeLessThanOrEqual(book.shape?.max ?? 0);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('the decision is stable: asking again without news decides nothing more', () => {
    fc.assert(
      fc.property(fc.array(acts, { maxLength: 40 }), (story) => {
        const pool = new Pool(shapeOf({ min: 1, max: 3 }));
        for (const a of story) act(pool, a);
        pool.pass(0);
        const sizing = size(pool.state, pool.context());
        expect({ create: sizing.create, retire: sizing.retire }).toEqual({ create: [], retire: [] });
        const { book } = pool;
        pool.event({ type: 'tick' });
        expect(pool.book).toBe(book);
      }),
      { numRuns: 300 },
    );
  });

  it('left alone, with a cloud that works, every request is served and the pool comes to its size', () => {
    fc.assert(
      fc.property(fc.array(acts, { maxLength: 40 }), (story) => {
        const pool = new Pool(shapeOf({ min: 1, max: 3 }));
        for (const a of story) act(pool, a);
        pool.adopt(shapeOf({ min: 1, max: 3, spare: 1, generation: 'g3' }));
        for (let i = 0; i < 60; i += 1) {
          for (const m of pool.members()) pool.event({ type: 'unhold', member: m.name });
          pool.pass(60_000);
          pool.boot();
          for (const m of pool.members()) pool.scrub(m.name);
          pool.end();
          for (const { request } of pool.book.leases.values()) pool.release(request.key);
          for (const id of pool.book.requests.keys()) pool.event({ type: 'poll', id });
        }
        expect(pool.book.requests.size).toBe(0);
        expect(pool.members().map((m) => [m.generation, m.state.kind])).toEqual([['g3', 'Free']]);
      }),
      { numRuns: 100 },
    );
  });
});
