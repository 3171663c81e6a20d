import { afterEach, describe, expect, it } from '@jest/globals';
import type { ClassSettings } from '../../../src/config/class-settings.js';
import { leaseRequest, statusView, type LeaseRequest, type LeaseView } from '../../../src/http/api.js';
import { planView } from '../../../src/http/plan-api.js';
import { emptyBook } from '../../../src/pool/book.js';
import { followedTogether, type Followed } from '../../../src/pool/followed.js';
import type { InstallationId, Shape } from '../../../src/pool/model.js';
import { defaultPolicy } from '../../../src/pool/policy.js';
import { offerOf, type ClassedPool } from '../../../src/service/classes/classed-pool.js';
import { createClassedService, type ClassedService } from '../../../src/service/classes/service.js';
import { startPool } from '../../../src/service/pool.js';
import type { Answer } from '../../../src/service/port.js';
import { shapeOf } from '../pool/fixture.js';
import {
  FakeCloud,
  FakeEngine,
  FakeGuest,
  FakeHistory,
  fakeLog,
  FakeStore,
  FakeUsage,
} from './fake-ports.js';
import { calm, ManualClock, until } from './manual-clock.js';

const never = new AbortController().signal;

interface Class extends ClassedPool {
  readonly cloud: FakeCloud;
  readonly engine: FakeEngine;
  readonly guest: FakeGuest;
  readonly store: FakeStore;
}
interface Site {
  readonly clock: ManualClock;
  readonly service: ClassedService;
  readonly classes: readonly Class[];
}

const open: Site[] = [];
afterEach(async () => {
  for (const { service, classes } of open.splice(0)) {
    service.close();
    for (const { pool } of classes) await pool.stop();
  }
});

const rule = (pool: string, more: Partial<ClassSettings> = {}): ClassSettings => ({
  ...{ pool, features: [], reserved: false },
  ...more,
});

/** Small VMs with 4 processors, large ones with 16. */
async function openSite(
  more: { readonly small?: Partial<Shape> | null; readonly rules?: readonly Partial<ClassSettings>[] } = {},
): Promise<Site> {
  const clock = new ManualClock();
  const { rules = [] } = more;
  let told: ClassedService['told'] = () => undefined;
  const start = (name: string, processors: number, shape: Shape | null, at: number): Class => {
    const [cloud, guest, store] = [new FakeCloud(), new FakeGuest(), new FakeStore()];
    cloud.processors = processors;
    const engine = new FakeEngine(cloud);
    engine.automatic = true;
    engine.outputs = shape;
    const pool = startPool({
      ...{ store, engine, cloud, guest, clock },
      readHistory: () => Promise.resolve([{ at: at + 1, kind: 'shape', detail: name }]),
      history: new FakeHistory(),
      usage: new FakeUsage(),
      book: emptyBook('i' as InstallationId, name, clock.now()),
      hostKeyPolicy: 'first-sight',
      parseOutputs: (outputs) => ({ ok: true, shape: outputs as Shape, services: {} }),
      log: fakeLog(),
      version: '1',
      capabilitySecret: Buffer.from('secret'),
      settings: {
        policy: { ...defaultPolicy, idleBeforeShrinkMs: 10_000 },
        workers: ['w1'],
        watch: { busyMs: 1_000, quietMs: 30_000 },
        adoptEveryMs: 60_000,
        maxCells: 4,
      },
      onNote: (note) => told(note),
    });
    return { ...{ cloud, engine, guest, store, pool }, rule: rule(name, rules[at]) };
  };
  const { small = {} } = more;
  const classes = [
    start('small', 4, small === null ? null : shapeOf({ min: 1, max: 3, ...small }), 0),
    start('large', 16, shapeOf({ min: 1, max: 2 }), 1),
  ];
  const service = createClassedService(classes, clock);
  told = (note) => service.told(note);
  const site = { clock, service, classes };
  open.push(site);
  await until(clock, 'the VMs', () => service.status().counts.free === (small === null ? 1 : 2));
  return site;
}

const body = (job: string, more: Partial<LeaseRequest> = {}): LeaseRequest =>
  leaseRequest.parse({
    job,
    attempt: { start: 1, boot: 'b', pid: 1, ticks: 1 },
    user: { name: 'u', uid: 1000, gid: 1000, groups: [], home: '/home/u', shell: '/bin/sh' },
    publicKey: 'ssh-ed25519 AAAA',
    ...more,
  });
const again = (start: number) => ({ attempt: { start, boot: 'b', pid: start, ticks: start } });
const done = <T>(answer: Answer<T>): T => {
  if (answer.kind !== 'done') throw new Error(`${answer.code}: ${answer.detail}`);
  return answer.value;
};
const ask = async ({ service }: Site, job: string, more: Partial<LeaseRequest> = {}): Promise<LeaseView> =>
  done(await service.request('w1', body(job, more)));

describe('several pools behind one service', () => {
  it('lead each job to the class that it asks for, and find what they gave again', async () => {
    const site = await openSite();
    const { service, clock } = site;
    const [a, b] = [await ask(site, '1'), await ask(site, '2', { processors: 8 })];
    expect([a.pool, b.pool]).toEqual(['small', 'large']);
    const ready = service.waitFor(b.id, 'ready', 30_000, never, true);
    await until(clock, 'ready leases', () => [a, b].every(({ id }) => service.lease(id)?.ready === true));
    expect(await ready).toMatchObject({ pool: 'large', ready: true });
    expect(await ask(site, '2', { processors: 8 })).toMatchObject({ id: b.id, pool: 'large' });
    const vm = service.lease(b.id)?.vm?.member ?? '';
    expect(service.member(vm)).toMatchObject({ member: { pool: 'large' }, lease: { id: b.id } });
    expect(service.only('large')?.member(vm)).not.toBeNull();
    expect(service.only('small')?.member(vm)).toBeNull();
    expect(service.only('other')).toBeNull();

    expect(done(await service.drain(vm, 'for repair', 'tester')).detail).not.toBe('');
    expect(done(await service.releaseById(b.id, 'over'))).toMatchObject({ outcome: 'ended' });
    expect(service.lease(b.id)).toMatchObject({ state: 'ended', pool: 'large' });
    expect(done(await service.release('w1', { job: '1', reason: 'over' }))).toMatchObject({
      outcome: 'ended',
    });
    expect(done(await service.release('w1', { job: '1', reason: 'over' }))).toMatchObject({
      outcome: 'nothing-to-end',
    });
    expect(await service.kill('none', 'x', 'tester')).toMatchObject({ kind: 'refused', code: 'not-found' });
  });

  it('refuse what no class has, in words for the owner of the job', async () => {
    const site = await openSite({ rules: [{ queues: ['short'] }, { features: ['big'], reserved: true }] });
    expect(await site.service.request('w1', body('1', { processors: 64, queue: 'short' }))).toEqual({
      kind: 'refused',
      code: 'no-class-fits',
      detail:
        'no class of VMs fits the job, which asks for 64 processors, a place in queue short. ' +
        'small (4 processors, 1 GiB, queues short): too few processors; ' +
        'large (16 processors, 1 GiB, features big): only for jobs that ask for its features',
    });
    expect(await ask(site, '2', { queue: 'long', features: ['big'] })).toMatchObject({ pool: 'large' });
    expect(await site.service.request('w1', body('3', { queue: 'long' }))).toMatchObject({
      code: 'no-class-fits',
    });
    expect(site.service.status().requests).toEqual([]);
  });

  it('wait for a class whose flavor is not known yet, and serve the others meanwhile', async () => {
    const site = await openSite({ small: null });
    expect(await site.service.request('w1', body('1', { processors: 2 }))).toMatchObject({
      code: 'unavailable',
    });
    expect(await ask(site, '2')).toMatchObject({ pool: 'small', state: 'waiting' });
    const [small] = site.classes;
    if (small === undefined) throw new Error('no class');
    small.engine.outputs = shapeOf({ min: 0, max: 1 });
    await until(site.clock, 'the shape', () => small.pool.flavor() !== null);
    expect(await ask(site, '1', { processors: 2 })).toMatchObject({ pool: 'small' });
  });

  it('end an earlier start in its class, and serve the newer one elsewhere once the VM is clean', async () => {
    const site = await openSite();
    const { service, clock, classes } = site;
    const first = await ask(site, '1');
    await until(clock, 'a ready lease', () => service.lease(first.id)?.ready === true);
    let clean: () => void = () => undefined;
    const [small] = classes;
    if (small === undefined) throw new Error('no class');
    const scrubbed = new Promise<void>((resolve) => (clean = resolve));
    small.guest.onScrub = async ({ member }) => {
      await scrubbed;
      small.guest.markers.delete(member);
      return { ok: true };
    };
    const newer = body('1', { ...again(2), processors: 8 });
    expect(await service.request('w1', newer)).toMatchObject({
      code: 'rival-attempt',
      detail: expect.stringContaining('of pool small') as unknown,
    });
    expect(service.lease(first.id)).toMatchObject({ state: 'ended' });
    expect(service.status().requests).toEqual([]);
    clean();
    await until(clock, 'a clean VM', () => service.only('small')?.status().counts.free === 1);
    const second = done(await service.request('w1', newer));
    expect(second.pool).toBe('large');
    // The earlier start is late: it gets nothing of either class and ends nothing.
    expect(await service.request('w1', body('1'))).toMatchObject({ code: 'stale-attempt' });
    expect(await service.request('w1', body('1', { ...again(1), processors: 8 }))).toMatchObject({
      code: 'stale-attempt',
    });
    expect(service.lease(second.id)?.state).not.toBe('ended');
    // Another starter with the same count waits for the end of the one that lives, in whatever class.
    expect(
      await service.request('w1', body('1', { attempt: { start: 2, boot: 'b', pid: 9, ticks: 9 } })),
    ).toMatchObject({ code: 'rival-attempt' });
  });

  it('take one start of a job after the other, also when they ask for different classes at once', async () => {
    const site = await openSite();
    const answers = await Promise.all([
      site.service.request('w1', body('1', again(1))),
      site.service.request('w1', body('1', { ...again(2), processors: 8 })),
    ]);
    const lives = site.service.status();
    expect([...lives.leases, ...lives.requests].filter(({ job }) => job === '1').length).toBeLessThanOrEqual(
      1,
    );
    expect(answers[1]?.kind === 'refused' ? answers[1].code : 'done').toBe('rival-attempt');
  });

  it('refuse the late request of a start that ended before it was known, in every class', async () => {
    const site = await openSite();
    done(await site.service.release('w1', { job: '1', attempt: again(1).attempt, reason: 'over' }));
    for (const processors of [1, 8])
      expect(await site.service.request('w1', body('1', { processors }))).toMatchObject({
        code: 'stale-attempt',
      });
  });

  it('do not wait for each other: where one class hangs, the other grows and serves', async () => {
    const site = await openSite({ small: { min: 1, max: 3 } });
    const { service, clock, classes } = site;
    const [small, large] = classes;
    if (small === undefined || large === undefined) throw new Error('no class');
    small.engine.automatic = false;
    const hanging = [await ask(site, '1'), await ask(site, '2')];
    await clock.advance(1_000);
    const jobs = [await ask(site, '3', { processors: 8 }), await ask(site, '4', { processors: 8 })];
    await until(clock, 'both', () => jobs.every(({ id }) => service.lease(id)?.ready === true));
    expect(service.lease(hanging[1]?.id ?? '')).toMatchObject({ state: 'waiting' });
    expect(
      service
        .status()
        .cells.filter(({ running }) => running)
        .map(({ pool }) => pool),
    ).toEqual(['small']);
    // A store that refuses takes only its own class out.
    small.store.refusing = true;
    await service.request('w1', body('5')).catch(() => undefined);
    await calm();
    expect(service.node('w1')).toMatchObject({ ok: true });
    done(await service.releaseById(jobs[0]?.id ?? '', 'over'));
    expect(await ask(site, '6', { processors: 8 })).toMatchObject({ pool: 'large' });
    for (const run of small.engine.runs.slice(1)) small.engine.finish(run);
    small.engine.automatic = true;
  });

  it('tell a listing of a worker to all, and are told of together', async () => {
    const site = await openSite();
    const { service, clock } = site;
    await ask(site, '1');
    await ask(site, '2', { processors: 8 });
    const sync = async (): Promise<readonly string[]> =>
      done(await service.sync('w1', { jobs: [], ageMs: 0 })).ended;
    await clock.advance(1_000);
    expect(await sync()).toEqual([]);
    await clock.advance(20_000);
    expect([...(await sync())].sort()).toEqual(['1', '2']);

    const status = service.status();
    expect(statusView.parse(status)).toMatchObject({
      pool: 'small, large',
      shape: { min: 2, max: 5 },
      pools: [
        { name: 'small', takes: { processors: 4, memory: 2 ** 30, queues: null } },
        { name: 'large', takes: { processors: 16 } },
      ],
      workers: [{ name: 'w1', jobs: 0 }],
    });
    expect(new Set(status.members.map(({ pool }) => pool))).toEqual(new Set(['small', 'large']));
    expect(service.events(0).map(({ id }) => id)).toEqual(service.events(0).map((_, at) => at + 1));
    expect(service.events(0).filter(({ kind }) => kind === 'shape')).toHaveLength(2);
    expect(service.trend().length).toBeGreaterThan(0);
    const wish = { vm: undefined, job: undefined, pool: undefined, most: 500 };
    expect((await service.history(wish, never)).map(({ detail }) => detail)).toEqual(['small', 'large']);
    expect(await service.usage({ since: 0, until: clock.now() + 1, by: ['queue'] }, never)).toMatchObject({
      total: { leases: 2 },
    });
  });

  it('are paused together or one by one, and never changed without a name', async () => {
    const { service } = await openSite();
    const large = service.only('large');
    if (large === null) throw new Error('no class');
    done(await large.pause('repair', 60_000, 'tester'));
    expect(service.status().paused).toMatchObject({ why: 'only large: repair' });
    const plan = service.plan();
    expect(planView.parse(plan)).toEqual(plan);
    expect(plan.pools).toMatchObject([
      { name: 'small', paused: null },
      { name: 'large', paused: { why: 'repair' } },
    ]);
    expect(new Set(plan.cells.map(({ pool }) => pool))).toEqual(new Set(['small', 'large']));
    expect(large.plan().pools.map(({ name }) => name)).toEqual(['large']);
    expect(done(await service.pause('all', 60_000, 'tester')).detail).toMatch(/^small: .*; large: /);
    expect(done(await service.resume('tester')).detail).toMatch(/^small: /);
    expect(service.status().paused).toBeNull();
    expect(done(await service.adopt()).detail).toMatch(/^small: .*; large: /);
    const change = { kind: 'scale', sizes: { 'vmpool:max': 1 } } as never;
    expect(await service.changeConfig({ change, reason: '', dryRun: true, who: 'op' })).toMatchObject({
      code: 'conflict',
      detail: expect.stringContaining('small, large') as unknown,
    });
  });

  it('take the jobs of their workers, whose nodes go by them', async () => {
    const { service, classes } = await openSite({ rules: [{ workers: ['w1', 'w3'] }, { workers: ['w2'] }] });
    expect(done(await service.request('w1', body('1.s'))).pool).toBe('small');
    expect(done(await service.request('w2', body('2.s'))).pool).toBe('large');
    expect(await service.request('w1', body('3.s', { processors: 9 }))).toMatchObject({
      code: 'no-class-fits',
      detail: expect.stringContaining('workers w2): not for jobs of w1') as unknown,
    });
    expect(service.status().pools?.map(({ takes }) => takes.workers)).toEqual([['w1', 'w3'], ['w2']]);
    const [small] = classes;
    if (small === undefined) throw new Error('there is no class');
    small.pool.service.node = () => ({ ok: false, detail: 'no VM' });
    expect(service.node('w1')).toEqual({ ok: false, detail: 'small: no VM' });
    expect(service.node('w2')).toEqual({ ok: true, detail: '' });
    expect(service.node('w4')).toMatchObject({
      ok: false,
      detail: expect.stringContaining('no class takes jobs of w4') as unknown,
    });
  });

  it('offer the smaller of what the configuration allows and the flavor has', async () => {
    const { classes } = await openSite({ rules: [{ processors: 2, memory: 2 ** 40 }] });
    expect(classes.map((one) => offerOf(one).processors)).toEqual([2, 16]);
    expect(classes.map((one) => offerOf(one).memory)).toEqual([2 ** 30, 2 ** 30]);
  });
});

describe('what services are told of several pools', () => {
  const part = (
    pool: string,
    max: number,
    slots: Record<string, number>,
    born: readonly string[],
    more: Partial<Followed> = {},
  ): Followed => ({
    ...{ max, workers: null, slotsPerVm: 1, ...more },
    input: {
      pool,
      slots,
      members: born.map((bornAt) => ({
        ...{ name: `${pool}-${bornAt}`, serverId: null, addresses: ['10.0.0.1'], flavor: 'f', image: 'i' },
        ...{ cell: 'c001', bornAt, generation: 'g' },
      })),
    },
  });

  it('is all of their VMs by birth, and the sum of their processors', () => {
    const all = [part('a', 3, { w1: 3, w2: 5 }, ['1', '3']), part('b', 2, { w1: 2 }, ['2'])];
    const told = followedTogether('b', all);
    expect(told?.pool).toBe('b');
    expect(told?.pools).toEqual(['a', 'b']);
    expect(told?.members.map(({ name }) => name)).toEqual(['a-1', 'b-2', 'a-3']);
    expect(told?.slots).toEqual({ w1: 5, w2: 7 });
  });

  it('is of each worker the sum of the classes that take its jobs, a VM counting for several where it is said', () => {
    const slots = { w1: 3, w2: 3, w3: 3 };
    const told = followedTogether('a', [
      part('a', 3, slots, [], { workers: ['w1', 'w3'] }),
      part('b', 2, { w2: 2, w3: 2 }, [], { workers: ['w2', 'w3'], slotsPerVm: 8 }),
    ]);
    expect(told?.slots).toEqual({ w1: 3, w2: 16, w3: 19 });
  });

  it('is not known while it is not known of one of them', () => {
    expect(followedTogether('a', [part('a', 1, {}, []), null])).toBeNull();
  });
});
