import { describe, expect, it } from '@jest/globals';
import { entryAt, without } from '../../../src/pool/book.js';
import { memberDetail } from '../../../src/pool/detail-view.js';
import { standingIn } from '../../../src/pool/elsewhere.js';
import { leaseIdOf } from '../../../src/pool/ids.js';
import type { Measured } from '../../../src/pool/measured.js';
import {
  countsOf,
  leaseView,
  memberView,
  nodeVerdict,
  problemsOf,
  statusView,
} from '../../../src/pool/views.js';
import { attempt, epoch, keyOf, Pool, ready, shapeOf, specOf } from './fixture.js';

const own = keyOf('1.s');
const iso = (ms: number): string => new Date(ms).toISOString();
const problems = (pool: Pool): string[] => problemsOf(pool.state, pool.context());
const status = (pool: Pool) => statusView(pool.state, pool.context(), '1.2.3');
const shown = (pool: Pool, index = 0) => memberView(pool.state, pool.member(index));

/** A VM whose job began five seconds after the VM was Free; its probe was answered two seconds later. */
function busy(): Pool {
  const pool = ready(1);
  pool.now += 5_000;
  pool.stage(pool.ask(own));
  pool.now += 2_000;
  pool.probe(pool.member().name, own);
  return pool;
}

describe('what a job that runs has used so far', () => {
  const measured: Measured = {
    ...{ cpuSeconds: 30, memoryBytes: 2 ** 20, wallSeconds: 60, begun: true, code: null, told: false },
    over: null,
  };
  const usage = (pool: Pool) => leaseView(pool.state, leaseIdOf(own))?.usage;

  it('is what its VM told last, and when; no news for the store', () => {
    const pool = busy();
    const { name } = pool.member();
    expect(leaseView(pool.state, leaseIdOf(own))).not.toHaveProperty('usage');
    const { book } = pool;
    pool.now += 60_000;
    pool.probe(name, own, 'b1', true, measured);
    const told = { at: iso(pool.now), cpuSeconds: 30, memoryBytes: 2 ** 20, wallSeconds: 60 };
    expect(usage(pool)).toEqual(told);
    expect(memberDetail(pool.state, name)?.lease?.usage).toEqual(told);
    expect(status(pool).leases[0]?.usage).toEqual(told);
    expect(pool.book).toBe(book);
    // Of a meter that has died meanwhile nothing newer is told.
    pool.now += 60_000;
    pool.probe(name, own);
    expect(usage(pool)).toEqual(told);
    pool.now += 60_000;
    pool.probe(name, own, 'b1', true, { ...measured, cpuSeconds: 80 });
    expect(usage(pool)).toMatchObject({ at: iso(pool.now), cpuSeconds: 80 });
  });

  it('is nothing before its program began, nothing under another marker, and ends with it', () => {
    const pool = busy();
    const { name } = pool.member();
    pool.probe(name, own, 'b1', true, { ...measured, begun: false });
    expect(usage(pool)).toBeUndefined();
    pool.probe(name, own, 'b1', true, measured);
    expect(pool.state.sight.using.get(name)?.lease).toBe(leaseIdOf(own));
    const { worker, job, attempt } = own;
    const release = { worker, job, attempt, reason: 'done', holdFor: null, exit: 0 };
    pool.event({ type: 'release', release });
    expect(pool.state.sight.using.get(name)).toBeUndefined();
    const other = busy();
    other.probe(other.member().name, keyOf('7'), 'b1', true, measured);
    expect(usage(other)).toBeUndefined();
  });
});

describe('a VM as it is shown', () => {
  it('Free: where it is, whose it was made as, and the last answer', () => {
    const pool = ready(1);
    const { name, cell, server, endpoint } = pool.member();
    const view = {
      ...{ name, cell, state: 'Free', reason: null, detail: '', since: iso(epoch), bornAt: iso(epoch) },
      ...{ generation: 'g1', current: true, serverId: server?.id, address: endpoint?.host },
      ...{ retiring: null, probe: null, job: null },
    };
    expect(shown(pool)).toEqual(view);
    pool.now += 1_000;
    pool.silence(name);
    expect(shown(pool)).toEqual({
      ...view,
      detail: 'does not answer: tcp: no answer',
      probe: { at: iso(pool.now), failures: 1 },
    });
  });

  it('Busy: whose job since when, and what is wrong with its server', () => {
    const pool = busy();
    const { name } = pool.member();
    const job = {
      ...{ id: '1.s', worker: 'w1', user: 'u', lease: leaseIdOf(own) },
      since: iso(epoch + 5_000),
    };
    expect(shown(pool)).toMatchObject({ state: 'Busy', reason: null, detail: '', job });
    pool.look(name, null);
    pool.silence(name);
    expect(shown(pool).detail).toBe('its server is gone; does not answer: tcp: no answer');
    expect(problems(pool)).toEqual([
      `job 1.s runs on VM ${name}, but its server is gone; the pool leaves it alone until the job ends (qdel 1.s ends it)`,
    ]);
  });

  it('Unusable: its reason, and what the last try met rather than how it began', () => {
    const pool = new Pool(shapeOf({ min: 1, max: 1 }));
    expect(shown(pool)).toMatchObject({
      ...{ state: 'Unusable', reason: 'building', serverId: null, address: null, probe: null },
    });
    pool.list();
    const silent = { kind: 'silent', why: 'tcp: refused' } as const;
    pool.event({ type: 'welcomed', member: pool.member().name, result: silent });
    expect(shown(pool).detail).toBe('building: tcp: refused');
  });

  it('of another generation than the shape, or of a pool without one, is not current', () => {
    const pool = busy();
    pool.adopt(shapeOf({ min: 0, generation: 'g2' }));
    expect(shown(pool).current).toBe(false);
  });

  it('whole: its spec, stack, keys, hold and lease', () => {
    const pool = busy();
    const { name, endpoint, server } = pool.member();
    pool.event({ type: 'hold', member: name, why: 'look', limitMs: 60_000 });
    expect(memberDetail(pool.state, name)).toEqual({
      member: shown(pool),
      made: { reason: 'minimum', detail: "the pool's minimum is 1, and it has 0" },
      spec: {
        ...{ flavor: 'g1', image: 'image', networks: ['net0'], securityGroups: [], availabilityZones: [] },
        ...{ bootVolumeGiB: null, floatingIpPool: null },
      },
      stack: `p-${pool.member().cell}`,
      engine: 'managed',
      serverStatus: 'ACTIVE',
      ssh: { ...endpoint, hostKeys: ['k'] },
      bootId: 'b1',
      hold: { kind: 'operator', why: 'look', at: iso(pool.now), limitMs: 60_000 },
      lease: leaseView(pool.state, leaseIdOf(own)),
    });
    expect(server).not.toBeNull();
    expect(memberDetail(pool.state, 'p-0001-none')).toBeNull();
    const fresh = new Pool(shapeOf({ min: 1, max: 1 }));
    expect(memberDetail(fresh.state, fresh.member().name)).toMatchObject({
      ...{ serverStatus: null, ssh: null, hold: null, lease: null, bootId: null },
    });
  });
});

describe('a request as it is shown', () => {
  const asked = { worker: 'w1', job: '1.s', user: 'u', queue: 'batch', askedAt: iso(epoch + 5_000) };

  it('with a VM: where to go, with which keys, and whether it is ready', () => {
    const pool = ready(1);
    pool.now += 5_000;
    const id = pool.ask(own);
    const { name, cell, endpoint } = pool.member();
    const view = {
      ...{ ...asked, id, state: 'granted', position: null, grantedAt: iso(epoch + 5_000) },
      vm: { member: name, ...endpoint, hostKeys: ['k'], user: 'u', stack: `p-${cell}` },
    };
    const detail = `granted; ${name} is being made ready`;
    expect(leaseView(pool.state, id)).toEqual({ ...view, ready: false, detail });
    pool.stage(id);
    expect(leaseView(pool.state, id)).toEqual({ ...view, ready: true, detail: `ready on ${name}` });
  });

  it('that waits: its place, and what for', () => {
    const pool = new Pool(shapeOf({ min: 0, max: 1 }));
    pool.now += 5_000;
    const [first, second] = [pool.ask(own), pool.ask(keyOf('2.s'))];
    const view = { ...asked, state: 'waiting', vm: null, ready: false, grantedAt: null };
    const detail = 'no VM is free; 1 being built';
    expect(leaseView(pool.state, first)).toEqual({ ...view, id: first, position: 1, detail });
    expect(leaseView(pool.state, second)).toMatchObject({ position: 2, job: '2.s', detail });
    pool.boot();
    expect(leaseView(pool.state, second)).toMatchObject({
      ...{ position: 1, detail: 'all 1 VMs of the pool are taken' },
    });
  });

  it('that has ended: when, and why; any other is none', () => {
    const pool = busy();
    pool.now += 1_000;
    const at = pool.now;
    pool.release(own);
    expect(leaseView(pool.state, leaseIdOf(own))).toEqual({
      ...{ id: leaseIdOf(own), state: 'ended', worker: 'w1', job: '1.s', position: null, vm: null },
      ...{ ready: false, grantedAt: null, askedAt: iso(at), detail: 'done' },
    });
    expect(leaseView(pool.state, 'no-such-lease')).toBeNull();
    expect(leaseView(pool.state, leaseIdOf(keyOf('1.s', attempt(2))))).toBeNull();
  });
});

describe('the pool as it is shown', () => {
  it('empty and without a shape', () => {
    const pool = new Pool(null);
    expect(status(pool)).toEqual({
      ...{ pool: 'p', installation: 'i', version: '1.2.3', now: iso(epoch), shape: null, paused: null },
      counts: { free: 0, busy: 0, unusable: 0, waiting: 0, leases: 0 },
      problems: ['the pool has no shape: bring the pool stack up (pulumi up) and adopt it'],
      breaker: { open: false, failures: 0, until: null, why: null },
      ...{ quota: null, members: [], requests: [], leases: [], cells: [], workers: [] },
    });
    expect(nodeVerdict(pool.state, pool.context())).toEqual({
      ...{ ok: false, detail: 'the pool has no shape yet' },
    });
  });

  it('with VMs in their order, leases, those who wait, cells and workers', () => {
    const pool = ready(2, { max: 2 });
    const ids = [1, 2, 3].map((n) => pool.ask(keyOf(`${n}.s`)));
    pool.now += 3_000;
    pool.sync(['1.s', '2.s']);
    const view = status(pool);
    expect(view.shape).toEqual({
      ...{ min: 2, max: 2, spare: 0, generation: 'g1', flavor: specOf('g1').flavor, image: 'image' },
    });
    expect(view.counts).toEqual({ free: 0, busy: 2, unusable: 0, waiting: 1, leases: 2 });
    expect(view.counts).toEqual(countsOf(pool.book));
    expect(view.members).toEqual([shown(pool, 0), shown(pool, 1)]);
    expect(view.requests).toEqual([leaseView(pool.state, ids[2] ?? '')]);
    expect(view.leases.toSorted((a, b) => a.job.localeCompare(b.job))).toEqual(
      ids.slice(0, 2).map((id) => leaseView(pool.state, id)),
    );
    expect(view.workers).toEqual([{ name: 'w1', lastSync: iso(pool.now), jobs: 2 }]);
    const inCell = (name: string): number => pool.members().filter(({ cell }) => cell === name).length;
    expect(view.cells.length).toBeGreaterThan(0);
    for (const cell of view.cells)
      expect(cell).toMatchObject({ stack: `p-${cell.name}`, members: inCell(cell.name), lastError: null });
    expect(nodeVerdict(pool.state, pool.context())).toEqual({ ok: true, detail: '' });
  });

  it('when the cloud gives no VM: the reason, the next try, and no jobs for the node until one is Free', () => {
    const pool = new Pool(shapeOf({ min: 1, max: 2 }), { breakerAfter: 1 });
    const { name, cell } = pool.member();
    pool.event({
      type: 'engine',
      event: { type: 'createFailed', cell, member: name, serverId: null, message: 'No valid host' } as never,
    });
    const view = status(pool);
    expect(view.breaker).toMatchObject({ open: true, failures: 1, until: iso(pool.book.breaker.until) });
    expect(view.problems.join('\n')).toContain(
      `no new VM can be had (1 failures in a row, next try at ${iso(pool.book.breaker.until)}): `,
    );
    const why = pool.book.breaker.why ?? 'no reason';
    expect(why).toContain('No valid host');
    expect(nodeVerdict(pool.state, pool.context())).toEqual({
      ...{ ok: false, detail: `no VM is free and no new one can be had: ${why}` },
    });
    const id = pool.ask(own);
    expect(leaseView(pool.state, id)?.detail).toBe(
      `no VM is free; the cloud gives no new one at the moment: ${why}`,
    );
  });

  it('while changes are paused, and when a lease is old', () => {
    const pool = busy();
    pool.policy = { ...pool.policy, leaseAlarmMs: 60_000 };
    pool.event({ type: 'pause', forMs: 90_000, why: 'audit' });
    const until = pool.now + 90_000;
    expect(status(pool).paused).toEqual({ why: 'audit', since: iso(pool.now), until: iso(until) });
    const paused = `changes of the cloud are paused until ${iso(until)}: audit (vmpool resume ends that)`;
    pool.now = epoch + 5_000 + 60_000;
    expect(problems(pool)).toEqual([paused]);
    pool.now += 1;
    expect(problems(pool)).toEqual([paused, 'lease of job 1.s is older than 60 s']);
  });

  it('with VMs that are held: why, and what ends it', () => {
    const held = ready(1);
    const { name } = held.member();
    held.event({ type: 'hold', member: name, why: 'look', limitMs: 120_000 });
    expect(problems(held)).toEqual([
      `VM ${name} is held: look (vmpool unhold ${name} gives it back, and so does the end of 2 min)`,
    ]);
    const drained = ready(1);
    const other = drained.member().name;
    drained.event({ type: 'drain', member: other, why: 'host' });
    expect(problems(drained)).toEqual([
      `VM ${other} is held: host (drained: vmpool undrain ${other} gives it back)`,
    ]);
    const forever = ready(1);
    forever.event({ type: 'hold', member: forever.member().name, why: 'look' });
    expect(problems(forever)[0]).toMatch(/gives it back\)$/);
  });
});

describe('one of several pools, asked of an attempt that another is to serve', () => {
  const standing = (pool: Pool, key = own) => standingIn(pool.state, key, pool.now);

  it('knows nothing of it, has it, or has an earlier start of it', () => {
    expect(standing(ready(1))).toEqual({ kind: 'free' });
    expect(standing(busy())).toEqual({ kind: 'here' });
    expect(standing(busy(), keyOf('1.s', attempt(2)))).toEqual({ kind: 'earlier', id: leaseIdOf(own) });
  });

  it('refuses one that is over, and one whose earlier start is still on a VM', () => {
    const pool = busy();
    const { name } = pool.member();
    pool.release(own);
    expect(standing(pool)).toMatchObject({ kind: 'refused' });
    expect(standing(pool, keyOf('1.s', attempt(2)))).toEqual({
      ...{ kind: 'refused', code: 'rival-attempt' },
      detail: `an earlier start of job 1.s may still be on ${name} of pool p`,
    });
    pool.scrub(name);
    expect(standing(pool, keyOf('1.s', attempt(2)))).toEqual({ kind: 'free' });
  });
});

describe('a record whose keys come from outside', () => {
  it('has its own keys alone, `__proto__` and `constructor` like any other', () => {
    const record = JSON.parse('{"a":1,"__proto__":2,"b":3}') as Record<string, number>;
    expect(entryAt(record, 'a')).toBe(1);
    expect(entryAt(record, '__proto__')).toBe(2);
    expect(entryAt(record, 'constructor')).toBeUndefined();
    const left = without(record, 'a');
    expect(JSON.stringify(left)).toBe('{"__proto__":2,"b":3}');
    expect(without(without(left, 'b'), '__proto__')).toEqual({});
    expect(Object.getOwnPropertyDescriptor(left, '__proto__')).toEqual({
      ...{ value: 2, enumerable: true, writable: true, configurable: true },
    });
    expect(without(record, 'constructor')).toBe(record);
  });
});
