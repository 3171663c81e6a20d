import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { CloudError, type Cloud } from '../../../src/cloud/port.js';
import { updateFailures, type CellWish, type Engine, type UpdateFailure } from '../../../src/engine/port.js';
import type { Guest, GuestTarget } from '../../../src/guest/port.js';
import { HttpMetrics } from '../../../src/metrics/http-metrics.js';
import { meteredCloud, meteredEngine, meteredGuest, meteredStore } from '../../../src/metrics/metered.js';
import { PoolMetrics } from '../../../src/metrics/pool-metrics.js';
import type { Policy } from '../../../src/pool/policy.js';
import type { CellName, LeaseId, MemberName, Shape } from '../../../src/pool/model.js';
import { attempt, keyOf, Pool, shapeOf, specOf, unlimitedQuota, viewOf } from '../pool/fixture.js';
import { valueOf } from './exposition.js';

afterEach(() => {
  jest.restoreAllMocks();
});

const never = new AbortController().signal;

/** A pool in the core, its figures, and the ports around it as far as a test plays them. */
class World {
  readonly pool: Pool;
  readonly http = new HttpMetrics();
  readonly metrics: PoolMetrics;
  storeProblem: string | null = null;

  constructor(shape: Partial<Shape> = {}, policy: Partial<Policy> = {}) {
    this.pool = new Pool(shapeOf({ min: 0, max: 4, ...shape }), policy);
    this.metrics = new PoolMetrics('p', () => ({
      state: this.pool.state,
      now: this.pool.now,
      breakerAfter: 1,
      storeProblem: this.storeProblem,
    }));
  }

  /** A Free VM. */
  vm(): MemberName {
    this.pool.adopt(shapeOf({ min: 1, max: 4 }));
    this.pool.boot();
    return this.pool.member().name;
  }
  /** A VM on which a job of queue `batch` runs. */
  job(): { readonly name: MemberName; readonly lease: LeaseId } {
    const name = this.vm();
    const lease = this.pool.ask(keyOf('1.s'));
    this.pool.pass(2_000);
    this.pool.stage(lease);
    return { name, lease };
  }
  release(exit: number): void {
    this.pool.event({
      type: 'release',
      release: { worker: 'w1', job: '1.s', attempt: null, reason: 'done', holdFor: null, exit },
    });
  }
  async text(): Promise<string> {
    for (const note of this.pool.notes.splice(0)) this.metrics.told(note);
    return `${await this.metrics.text()}\n${await this.http.text()}`;
  }
}

/** Each look at the machine's clock is so much later than the one before. */
const eachLookAfter = (ms: number): void => {
  let now = 0;
  jest.spyOn(performance, 'now').mockImplementation(() => (now += ms));
};

const wish: CellWish = { cell: 'c001' as CellName, members: [], retire: [] };
const endsWith = (kind: UpdateFailure | null): Engine =>
  ({
    converge: () =>
      Promise.resolve(
        kind === null
          ? { ok: true, state: { instances: [], lostCreates: [], unlisted: [] } }
          : { ok: false, state: null, kind, message: '' },
      ),
  }) as unknown as Engine;
const update = (world: World, kind: UpdateFailure | null): Promise<unknown> =>
  meteredEngine(endsWith(kind), world.metrics).converge(wish, () => undefined, never);
const target = {} as GuestTarget;
const guestOf = (world: World, parts: Partial<Guest>): Guest => meteredGuest(parts as Guest, world.metrics);

/** Lets a VM fall out of use for each reason, and says which VM. */
const faults: Readonly<Record<string, (world: World) => void>> = {
  create: ({ pool }) => {
    pool.adopt(shapeOf({ min: 1, max: 4 }));
    const { name, cell } = pool.member();
    pool.event({ type: 'engine', event: { type: 'createFailed', cell, member: name, message: 'no host' } });
  },
  boot: ({ pool }) => {
    pool.adopt(shapeOf({ min: 1, max: 4 }));
    pool.list();
    pool.pass(pool.policy.bootLimitMs + 1_000);
  },
  unfit: ({ pool }) => {
    pool.adopt(shapeOf({ min: 1, max: 4 }));
    pool.list();
    const { name } = pool.member();
    pool.event({ type: 'welcomed', member: name, result: { kind: 'unfit', why: 'no bash' } });
  },
  error: (world) => {
    const name = world.vm();
    world.pool.look(name, viewOf(name, `s-${name}`, { status: 'ERROR' }));
  },
  disturbed: (world) => {
    const name = world.vm();
    world.pool.look(name, viewOf(name, `s-${name}`, { status: 'REBUILD' }));
  },
  gone: (world) => {
    world.pool.look(world.vm(), null);
  },
  silent: (world) => {
    const name = world.vm();
    world.pool.silence(name);
    world.pool.silence(name);
  },
  rebooted: (world) => {
    world.pool.probe(world.vm(), null, 'another boot');
  },
  marker: (world) => {
    world.pool.probe(world.vm(), keyOf('9.s'));
  },
  staging: (world) => {
    world.vm();
    const lease = world.pool.ask(keyOf('1.s'));
    world.pool.pass(5_000);
    world.pool.event({
      type: 'staged',
      lease,
      result: { ok: false, kind: 'unreachable', why: 'no answer' },
    });
  },
  dirty: (world) => {
    const { name } = world.job();
    world.release(0);
    world.pool.event({
      type: 'scrubbed',
      member: name,
      bootId: null,
      result: { ok: false, kind: 'dirty', why: 'left', findings: ['a file'] },
    });
  },
  scrub: (world) => {
    world.job();
    world.release(0);
    world.pool.pass(world.pool.policy.scrubLimitMs + 1_000);
  },
};

interface Figure {
  readonly series: string;
  readonly value: number;
  /** What makes it so. */
  readonly after: (world: World) => unknown;
}

const memory = 300 * 2 ** 20;
const endedJob = (world: World): void => {
  const { name } = world.job();
  world.pool.pass(30_000);
  world.release(1);
  world.pool.event({
    type: 'scrubbed',
    member: name,
    bootId: 'b1',
    result: {
      ok: true,
      measured: {
        ...{ cpuSeconds: 12.5, memoryBytes: memory, wallSeconds: 20, begun: true, code: 3 },
        ...{ told: false, over: null },
      },
    },
  });
};

const figures: readonly Figure[] = [
  {
    series: 'vmpool_members{state="Busy",reason="",pool="p"}',
    value: 1,
    after: (world) => world.job(),
  },
  { series: 'vmpool_members{state="Free",reason="",pool="p"}', value: 1, after: (world) => world.vm() },
  {
    series: 'vmpool_members{state="Unusable",reason="building",pool="p"}',
    value: 3,
    after: ({ pool }) => {
      pool.adopt(shapeOf({ min: 3, max: 4 }));
    },
  },
  {
    series: 'vmpool_members_outdated{pool="p"}',
    value: 1,
    after: (world) => {
      world.job();
      world.pool.adopt(shapeOf({ min: 1, max: 4, generation: 'g2', spec: specOf('g2') }));
    },
  },
  {
    series: 'vmpool_size_limit{bound="min",pool="p"}',
    value: 2,
    after: ({ pool }) => pool.adopt(shapeOf({ min: 2, max: 7, spare: 3 })),
  },
  {
    series: 'vmpool_size_limit{bound="max",pool="p"}',
    value: 7,
    after: ({ pool }) => pool.adopt(shapeOf({ min: 2, max: 7, spare: 3 })),
  },
  {
    series: 'vmpool_size_limit{bound="spare",pool="p"}',
    value: 3,
    after: ({ pool }) => pool.adopt(shapeOf({ min: 2, max: 7, spare: 3 })),
  },
  { series: 'vmpool_leases{pool="p"}', value: 1, after: (world) => world.job() },
  {
    series: 'vmpool_requests_waiting{pool="p"}',
    value: 2,
    after: ({ pool }) => [pool.ask(keyOf('1.s')), pool.ask(keyOf('2.s'))],
  },
  {
    series: 'vmpool_oldest_request_age_seconds{pool="p"}',
    value: 7,
    after: ({ pool }) => {
      pool.ask(keyOf('1.s'));
      pool.pass(4_000);
      pool.ask(keyOf('2.s'));
      pool.pass(3_000);
    },
  },
  {
    series: 'vmpool_breaker_open{pool="p"}',
    value: 1,
    after: (world) => faults['create']?.(world),
  },
  {
    series: 'vmpool_create_failures_in_a_row{pool="p"}',
    value: 1,
    after: (world) => faults['create']?.(world),
  },
  {
    series: 'vmpool_cells_failing{pool="p"}',
    value: 1,
    after: ({ pool }) => {
      pool.adopt(shapeOf({ min: 1, max: 4 }));
      pool.runEnded({ ...wish, cell: pool.member().cell }, null, 'locked');
    },
  },
  {
    series: 'vmpool_cells_running{pool="p"}',
    value: 1,
    after: ({ pool }) => {
      pool.adopt(shapeOf({ min: 1, max: 4 }));
      pool.event({ type: 'runBegan', cell: pool.member().cell });
    },
  },
  {
    series: 'vmpool_cloud_up{pool="p"}',
    value: 1,
    after: ({ pool }) => {
      pool.list();
    },
  },
  {
    series: 'vmpool_cloud_up{pool="p"}',
    value: 0,
    after: ({ pool }) => pool.event({ type: 'cloudFailed', why: 'down' }),
  },
  ...(
    [
      ['used', 18],
      ['limit', 20],
    ] as const
  ).map(([bound, value]): Figure => ({
    series: `vmpool_quota{what="instances",bound="${bound}",pool="p"}`,
    value,
    after: ({ pool }) =>
      pool.event({
        type: 'quota',
        quota: { ...unlimitedQuota, instances: { used: 18, limit: 20 } },
        flavor: { vcpus: 2, ramMiB: 2048 },
      }),
  })),
  { series: 'vmpool_store_up{pool="p"}', value: 1, after: () => undefined },
  {
    series: 'vmpool_store_up{pool="p"}',
    value: 0,
    after: (world) => (world.storeProblem = 'the disk is full'),
  },
  {
    series: 'vmpool_worker_sync_age_seconds{worker="w1",pool="p"}',
    value: 65,
    after: ({ pool }) => {
      pool.sync([], 'w1', 5_000);
      pool.pass(60_000);
    },
  },
  {
    series: 'vmpool_lease_wait_seconds_sum{pool="p"}',
    value: 9,
    after: ({ pool }) => {
      pool.ask(keyOf('1.s'));
      pool.pass(9_000);
      pool.boot();
    },
  },
  { series: 'vmpool_lease_stage_seconds_sum{pool="p"}', value: 2, after: (world) => world.job() },
  {
    series: 'vmpool_member_boot_seconds_bucket{le="45",pool="p"}',
    value: 1,
    after: ({ pool }) => {
      pool.adopt(shapeOf({ min: 1, max: 4 }));
      pool.pass(40_000);
      pool.boot();
    },
  },
  { series: 'vmpool_leases_ended_total{queue="batch",pool="p"}', value: 1, after: endedJob },
  // Two seconds of staging, thirty of work.
  { series: 'vmpool_lease_vm_seconds_total{queue="batch",pool="p"}', value: 32, after: endedJob },
  { series: 'vmpool_jobs_ended_total{queue="batch",end="failed",pool="p"}', value: 1, after: endedJob },
  { series: 'vmpool_jobs_ended_total{queue="batch",end="vm-lost",pool="p"}', value: 0, after: endedJob },
  { series: 'vmpool_job_cpu_seconds_total{queue="batch",pool="p"}', value: 12.5, after: endedJob },
  { series: 'vmpool_job_processor_seconds_total{queue="batch",pool="p"}', value: 20, after: endedJob },
  { series: 'vmpool_job_memory_bytes_sum{pool="p"}', value: memory, after: endedJob },
  {
    series: 'vmpool_member_moves_total{from="Free",to="Busy",pool="p"}',
    value: 1,
    after: (world) => world.job(),
  },
  ...Object.entries(faults).map(([reason, after]): Figure => ({
    series: `vmpool_member_failures_total{reason="${reason}",pool="p"}`,
    value: 1,
    after,
  })),
  ...(['ok', 'dirty', 'unreachable', 'foreign-marker'] as const).map((outcome): Figure => ({
    series: `vmpool_scrubs_total{outcome="${outcome}",pool="p"}`,
    value: 2,
    after: async (world) => {
      const guest = guestOf(world, {
        scrub: () =>
          Promise.resolve(
            outcome === 'ok' ? { ok: true } : { ok: false, kind: outcome, why: '', findings: [] },
          ),
      });
      await guest.scrub(target, null, never);
      await guest.scrub(target, null, never);
      // One that was cut off says nothing of the VM.
      await guest.scrub(target, null, AbortSignal.abort());
    },
  })),
  {
    series: 'vmpool_probes_total{outcome="host-key",pool="p"}',
    value: 1,
    after: (world) =>
      guestOf(world, { probe: () => Promise.resolve({ ok: false, step: 'host-key', why: '' }) }).probe(
        target,
        never,
      ),
  },
  {
    series: 'vmpool_cloud_call_seconds_sum{call="quota",outcome="rate-limited",pool="p"}',
    value: 3,
    after: async ({ metrics }) => {
      eachLookAfter(3_000);
      const refusing = { quota: () => Promise.reject(new CloudError('rate-limited', 'slow down')) };
      await expect(meteredCloud(refusing as unknown as Cloud, metrics).quota(never)).rejects.toThrow(
        'slow down',
      );
    },
  },
  {
    series: 'vmpool_cell_update_seconds_sum{cell="c001",outcome="ok",pool="p"}',
    value: 25,
    after: async (world) => {
      eachLookAfter(12_500);
      await update(world, null);
      await update(world, null);
    },
  },
  {
    series: 'vmpool_cell_update_seconds_bucket{le="15",cell="c001",outcome="failed",pool="p"}',
    value: 1,
    after: async (world) => {
      eachLookAfter(12_500);
      await update(world, 'locked');
    },
  },
  {
    series: 'vmpool_cell_update_seconds_count{cell="c001",outcome="failed",pool="p"}',
    value: 1,
    after: async ({ metrics }) => {
      const dead = { converge: () => Promise.reject(new Error('gone')) } as unknown as Engine;
      await expect(meteredEngine(dead, metrics).converge(wish, () => undefined, never)).rejects.toThrow(
        'gone',
      );
    },
  },
  ...(Object.keys(updateFailures) as UpdateFailure[]).map((reason): Figure => ({
    series: `vmpool_cell_update_failures_total{reason="${reason}",pool="p"}`,
    value: 1,
    after: (world) => update(world, reason),
  })),
  {
    series: 'vmpool_store_commit_seconds_sum{outcome="failed",pool="p"}',
    value: 0.25,
    after: async ({ metrics }) => {
      eachLookAfter(250);
      const full = { commit: () => Promise.reject(new Error('full')), close: () => Promise.resolve() };
      await expect(meteredStore(full, metrics).commit({})).rejects.toThrow('full');
    },
  },
  {
    series: 'vmpool_http_refusals_total{route="POST /v1/leases",reason="no-class-fits"}',
    value: 1,
    after: ({ http }) => http.refused('POST /v1/leases', 'no-class-fits'),
  },
];

describe('the value of', () => {
  it.each(figures.map((figure) => [figure.series, figure.value, figure] as const))(
    '%s is %d',
    async (series, value, { after }) => {
      const world = new World();
      await after(world);
      expect(valueOf(await world.text(), series)).toBe(value);
    },
  );

  it('each documented figure is looked at here', async () => {
    const { metrics, http } = new World();
    const all = [...(await metrics.registry.getMetricsAsJSON()), ...(await http.registry.getMetricsAsJSON())];
    const looked = figures.map(({ series }) => series.replace(/(_sum|_count|_bucket)?\{.*$/, ''));
    expect(all.map(({ name }) => name).filter((name) => !looked.includes(name))).toEqual([]);
  });
});

describe('failures of VMs', () => {
  const failures = async (world: World): Promise<Record<string, number>> => {
    const text = await world.text();
    const counted = Object.keys(faults).map(
      (reason) =>
        [reason, valueOf(text, `vmpool_member_failures_total{reason="${reason}",pool="p"}`)] as const,
    );
    return Object.fromEntries(counted.flatMap(([reason, n]) => (n === null || n === 0 ? [] : [[reason, n]])));
  };

  it.each(Object.entries(faults))('%s counts once', async (reason, after) => {
    const world = new World();
    after(world);
    expect(await failures(world)).toEqual({ [reason]: 1 });
  });

  it.each(['unfit', 'error', 'disturbed', 'gone', 'silent', 'staging'])(
    '%s does not count again when it lasts too long',
    (reason) => {
      const world = new World();
      faults[reason]?.(world);
      const { pool } = world;
      const { name } = pool.member();
      pool.pass(Math.max(pool.policy.errorLimitMs, pool.policy.unreachableLimitMs) + 1_000);
      expect(pool.place(name)).toBe('deleting');
      const told = pool.notes.flatMap(({ member, failure }) =>
        member === name && failure !== undefined ? [failure] : [],
      );
      expect(told).toEqual([reason]);
    },
  );

  it('are none: a VM that an operator kills, one that the pool needs no more, one whose job has ended', async () => {
    const world = new World();
    endedJob(world);
    world.pool.event({ type: 'kill', member: world.pool.member().name, why: 'x' });
    world.pool.adopt(shapeOf({ min: 3, max: 4 }));
    world.pool.event({ type: 'retire', member: world.pool.members().at(-1)?.name ?? '', why: 'x' });
    world.pool.boot();
    world.pool.adopt(shapeOf({ min: 0, max: 0 }));
    world.pool.pass(60_000);
    expect(world.pool.places().filter((place) => place !== 'deleting')).toEqual([]);
    expect(await failures(world)).toEqual({});
  });

  it('a create that Pulumi gives up while the VM is in use is one of the create', async () => {
    const world = new World();
    const { name } = world.job();
    const { cell } = world.pool.member();
    world.pool.event({
      type: 'engine',
      event: { type: 'createFailed', cell, member: name, message: 'late' },
    });
    expect(await failures(world)).toEqual({ create: 1 });
  });
});

it('an attempt that is refused waits for nothing and is in no figure of the pool', async () => {
  const world = new World();
  world.pool.ask(keyOf('1.s', attempt(2)));
  expect(world.pool.asked(keyOf('1.s', attempt(1)))).toBe('stale-attempt');
  expect(valueOf(await world.text(), 'vmpool_requests_waiting{pool="p"}')).toBe(1);
});
