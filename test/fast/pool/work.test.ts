import { describe, expect, it } from '@jest/globals';
import { defaultPolicy } from '../../../src/pool/policy.js';
import type { Work } from '../../../src/pool/work.js';
import { bringsWork } from '../../../src/pool/work.js';
import { keyOf, Pool, ready, shapeOf, viewOf } from './fixture.js';

const own = keyOf('1.s');
const { probeEveryMs, recheckEveryMs } = defaultPolicy;

/** What is to be done with the first VM itself. */
function workOn(pool: Pool): Work | undefined {
  const { name } = pool.member();
  return pool.work().find(({ key }) => key === `member/${name}`);
}
/** After how long the same work comes again, when nothing is answered but what `tried` tells. */
function paceOf(pool: Pool, kind: Work['kind'], tried: () => void): number {
  expect(workOn(pool)?.kind).toBe(kind);
  tried();
  expect(workOn(pool)?.kind).not.toBe(kind);
  const since = pool.now;
  for (;;) {
    pool.now += 100;
    if (workOn(pool)?.kind === kind) return pool.now - since;
    if (pool.now - since > 3_600_000) throw new Error(`no ${kind} within an hour`);
  }
}
/** A VM that Nova shows ACTIVE and that was not welcomed. */
function active(): Pool {
  const pool = new Pool(shapeOf({ min: 1, max: 1 }));
  pool.list();
  return pool;
}
const found = (pool: Pool) => {
  const { name, endpoint, server } = pool.member();
  return { key: `member/${name}`, member: name, server: server?.id, endpoint };
};

describe('a VM that boots', () => {
  it('is welcomed as soon as Nova shows it ACTIVE with an address', () => {
    const pool = active();
    const { key, member, server, endpoint } = found(pool);
    expect(workOn(pool)).toEqual({
      ...{ kind: 'welcome', key, member, server },
      target: { member, endpoint, hostKeys: [] },
    });
  });

  it.each([{ status: 'BUILD' }, { addresses: {} }])('is left alone while it is %j', (patch) => {
    const pool = new Pool(shapeOf({ min: 1, max: 1 }));
    pool.list({ [pool.member().name]: patch });
    expect(workOn(pool)).toBeUndefined();
  });

  it('is tried five times a second at first, and every two seconds after a hundred and fifty times', () => {
    const pool = active();
    const silent = (): void => {
      const result = { kind: 'silent', why: 'tcp: refused' } as const;
      pool.event({ type: 'welcomed', member: pool.member().name, result });
    };
    for (let n = 1; n < 150; n += 1) expect(paceOf(pool, 'welcome', silent)).toBe(200);
    expect(paceOf(pool, 'welcome', silent)).toBe(2_000);
  });
});

describe('a VM of a job', () => {
  it('is staged with all that the request told, at once, and every half second until it is done', () => {
    const pool = ready(1);
    const lease = pool.ask(own);
    const { key, member, endpoint } = found(pool);
    const request = pool.book.leases.get(lease)?.request;
    expect(workOn(pool)).toEqual({
      ...{ kind: 'stage', key, member, target: { member, endpoint, hostKeys: ['k'] } },
      order: { lease, key: own, user: request?.user, publicKey: 'ssh-ed25519 A', environment: {} },
    });
    const failed = { ok: false, kind: 'unreachable', why: 'tcp' } as never;
    expect(paceOf(pool, 'stage', () => pool.event({ type: 'staged', lease, result: failed }))).toBe(500);
    pool.stage(lease);
    expect(workOn(pool)?.kind).not.toBe('stage');
  });

  it('is staged with the limits of the job, where it has some', () => {
    const pool = ready(1);
    const ask = { key: own, user: { name: 'u', uid: 1, gid: 1, groups: [], home: '/h', shell: '/s' } };
    const limits = { mem: 5 };
    pool.event({
      type: 'ask',
      ask: { ...ask, publicKey: 'k', processors: 1, queue: 'q', jobName: 'j', limits },
    });
    expect(workOn(pool)).toMatchObject({ kind: 'stage', order: { limits } });
  });

  it('is probed at the common pace while the job runs', () => {
    const pool = ready(1);
    pool.stage(pool.ask(own));
    const { member } = found(pool);
    expect(paceOf(pool, 'probe', () => pool.probe(member, own))).toBe(probeEveryMs);
  });
});

describe('a VM without a job', () => {
  it('is probed at the common pace, and two seconds after a probe that failed', () => {
    const pool = ready(1);
    const { key, member, server, endpoint } = found(pool);
    const target = { member, endpoint, hostKeys: ['k'] };
    expect(workOn(pool)).toEqual({ kind: 'probe', key, member, server, target, routineSince: null });
    expect(paceOf(pool, 'probe', () => pool.probe(member))).toBe(probeEveryMs);
    expect(paceOf(pool, 'probe', () => pool.silence(member))).toBe(2_000);
    const hasty = ready(1, {}, { probeEveryMs: 1_000 });
    expect(paceOf(hasty, 'probe', () => hasty.silence(hasty.member().name))).toBe(1_000);
  });

  it('is asked as a matter of routine only while nothing bad is known of it', () => {
    const pool = ready(1);
    const { member } = found(pool);
    const since = (): unknown => {
      const item = workOn(pool);
      return item?.kind === 'probe' ? item.routineSince : 'no probe';
    };
    pool.probe(member);
    const at = pool.now;
    pool.pass(probeEveryMs);
    expect(since()).toBe(at);
    pool.silence(member);
    pool.pass(2_000);
    expect(since()).toBeNull();
    pool.silence(member);
    pool.pass(probeEveryMs);
    expect(pool.place(member)).toBe('unreachable');
    expect(since()).toBeNull();
  });

  it('is probed more seldom among many: no more than four of them a second', () => {
    const many = ready(20, { max: 20 }, { probeEveryMs: 1_000 });
    expect(paceOf(many, 'probe', () => many.probe(many.member().name))).toBe(5_000);
  });

  it.each([
    ['unreachable', (pool: Pool) => [1, 2].forEach(() => pool.silence(pool.member().name))],
    ['error', (pool: Pool) => pool.silence(pool.member().name, 'host-key')],
    ['held', (pool: Pool) => pool.event({ type: 'hold', member: pool.member().name, why: 'w' })],
  ] as const)('that is %s is probed at the pace for such', (place, bring) => {
    const pool = ready(1);
    bring(pool);
    const { member } = found(pool);
    expect(pool.place(member)).toBe(place);
    pool.now += recheckEveryMs;
    const again = (): void => {
      pool.silence(member);
      pool.silence(member);
    };
    expect(paceOf(pool, 'probe', again)).toBe(recheckEveryMs);
  });

  it('that left the listing is looked at by id instead, every two seconds', () => {
    const pool = ready(1);
    const { key, member, server } = found(pool);
    pool.event({ type: 'listed', servers: [], complete: true });
    expect(workOn(pool)).toEqual({ kind: 'look', key, member, server });
    const view = viewOf(member, server ?? '');
    expect(
      paceOf(pool, 'look', () => {
        pool.look(member, view);
        pool.event({ type: 'listed', servers: [], complete: true });
      }),
    ).toBe(2_000);
  });

  it('that is lost is looked at by id every two seconds until Nova has said so twice', () => {
    const pool = ready(1);
    const { key, member, server } = found(pool);
    pool.event({ type: 'listed', servers: [], complete: true });
    pool.look(member, null);
    expect(pool.place(member)).toBe('lost');
    expect(workOn(pool)).toBeUndefined();
    pool.now += 1_999;
    expect(workOn(pool)).toBeUndefined();
    pool.now += 1;
    expect(workOn(pool)).toEqual({ kind: 'look', key, member, server });
  });
});

describe('a VM after its job', () => {
  const ended = (reuse: 'scrub' | 'rebuild' | 'never' = 'scrub'): Pool => {
    const pool = ready(1, {}, { reuse });
    pool.stage(pool.ask(own));
    pool.release(own);
    return pool;
  };

  it('is scrubbed of that lease, and every two seconds while it does not answer', () => {
    const pool = ended();
    const { key, member, endpoint } = found(pool);
    const lease = pool.member().tenant?.lease;
    expect(lease).toBeDefined();
    const target = { member, endpoint, hostKeys: ['k'] };
    expect(workOn(pool)).toEqual({ kind: 'scrub', key, member, target, lease });
    const silent = { ok: false, kind: 'unreachable', why: 'tcp', findings: [] } as const;
    const tried = (): void => {
      pool.event({ type: 'scrubbed', member, result: silent, bootId: null });
    };
    expect(paceOf(pool, 'scrub', tried)).toBe(2_000);
  });

  it('is scrubbed of nobody’s lease where it never had one', () => {
    const pool = ready(1);
    pool.probe(pool.member().name, null, 'b2');
    expect(workOn(pool)).toMatchObject({ kind: 'scrub', lease: null });
  });

  it('is rebuilt instead where that is the policy, from the image that it has', () => {
    const pool = ended('rebuild');
    const { key, member, endpoint, server } = found(pool);
    expect(workOn(pool)).toEqual({
      ...{ kind: 'rebuild', key, member, server, image: pool.member().spec.image },
      target: { member, endpoint, hostKeys: ['k'] },
      lease: pool.member().tenant?.lease,
    });
    const fresh = ready(1, {}, { reuse: 'rebuild' });
    fresh.probe(fresh.member().name, null, 'b2');
    expect(workOn(fresh)).toMatchObject({ kind: 'rebuild', lease: null });
  });

  it('is asked what the job used, where it goes without a scrub, and nobody else is', () => {
    const pool = ended('never');
    const { name, endpoint, tenant } = pool.member();
    expect(pool.work('measure')).toEqual([
      {
        ...{ kind: 'measure', key: `measure/${name}`, member: name, lease: tenant?.lease },
        target: { member: name, endpoint, hostKeys: ['k'] },
      },
    ]);
    expect(ended().work('measure')).toEqual([]);
    expect(ready(1).work('measure')).toEqual([]);
  });
});

describe('a VM on its way out', () => {
  const leaving = (): Pool => {
    const pool = ready(1);
    pool.adopt(shapeOf({ min: 0 }));
    pool.event({ type: 'retire', member: pool.member().name, why: 'told so' });
    expect(pool.places()).toEqual(['deleting']);
    return pool;
  };

  it('is Pulumi’s, until that is too slow', () => {
    const pool = leaving();
    const { key, member, server } = found(pool);
    expect(workOn(pool)).toBeUndefined();
    pool.now += defaultPolicy.deleteFallbackMs;
    expect(workOn(pool)).toBeUndefined();
    pool.now += 1;
    expect(workOn(pool)).toEqual({ kind: 'end', key, member, server });
    pool.look(member, viewOf(member, server ?? ''));
    expect(workOn(pool)).toBeUndefined();
    pool.now += 2_000;
    expect(workOn(pool)).toMatchObject({ kind: 'end' });
  });

  it('is left as it is while changes are paused, with the strays and the stacks', () => {
    const pool = leaving();
    const { name } = pool.member();
    pool.event({ type: 'listed', servers: [viewOf(name, 's-twin')], complete: false });
    pool.now += defaultPolicy.deleteFallbackMs + 1;
    const kinds = (): readonly string[] =>
      pool
        .work()
        .map(({ kind }) => kind)
        .sort();
    expect(kinds()).toEqual(['converge', 'end', 'endStray']);
    pool.event({ type: 'pause', forMs: 60_000, why: 'audit' });
    expect(kinds()).toEqual([]);
  });

  it('whose server is gone is nobody’s work but Pulumi’s', () => {
    const pool = leaving();
    pool.look(pool.member().name, null);
    pool.now += defaultPolicy.deleteFallbackMs + 1;
    expect(workOn(pool)).toBeUndefined();
  });
});

describe('a server that carries a name which is not its', () => {
  it('is ended under a key of its own, once Pulumi says which server is the VM’s', () => {
    const pool = ready(1);
    const { name } = pool.member();
    pool.event({ type: 'listed', servers: [viewOf(name, 's-twin')], complete: false });
    const item = { kind: 'endStray', key: 'stray/s-twin', member: name, server: 's-twin' };
    expect(pool.member().engine).toBe('managed');
    expect(pool.work('endStray')).toEqual([item]);
  });
});

describe('whether something brings work', () => {
  it('an answer that changes nothing durable does not; a VM that left the listing does', () => {
    const pool = ready(1);
    const { name } = pool.member();
    let before = pool.state;
    pool.probe(name);
    expect(bringsWork(before, pool.state)).toBe(false);
    before = pool.state;
    pool.event({ type: 'listed', servers: [], complete: true });
    expect(bringsWork(before, pool.state)).toBe(true);
    expect(pool.book).toBe(before.book);
    before = pool.state;
    pool.ask(own);
    expect(bringsWork(before, pool.state)).toBe(true);
  });
});
