import { afterEach, describe, expect, it } from '@jest/globals';
import { leaseRequest, type LeaseView } from '../../../src/http/api.js';
import { emptyBook } from '../../../src/pool/book.js';
import type { InstallationId, Shape } from '../../../src/pool/model.js';
import { defaultPolicy } from '../../../src/pool/policy.js';
import type { RunningPool, Settings } from '../../../src/service/pool.js';
import { startPool } from '../../../src/service/pool.js';
import { servicesSchema, type Services } from '../../../stacks/services/registry.js';
import { epoch, shapeOf } from '../pool/fixture.js';
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
const settings: Settings = {
  policy: { ...defaultPolicy, idleBeforeShrinkMs: 10_000 },
  workers: ['w1'],
  watch: { busyMs: 1_000, quietMs: 30_000 },
  adoptEveryMs: 60_000,
  maxCells: 4,
};

interface Bench {
  readonly pool: RunningPool;
  readonly clock: ManualClock;
  readonly cloud: FakeCloud;
  readonly engine: FakeEngine;
  readonly guest: FakeGuest;
  readonly store: FakeStore;
  readonly history: FakeHistory;
  readonly stop: () => Promise<void>;
}

const open: Bench[] = [];
afterEach(async () => {
  for (const bench of open.splice(0)) await bench.stop();
});

function start(
  shape: Shape | null,
  more: { readonly refusing?: boolean; readonly services?: Services } = {},
): Bench {
  const clock = new ManualClock();
  const [cloud, guest, store, history] = [
    new FakeCloud(),
    new FakeGuest(),
    new FakeStore(),
    new FakeHistory(),
  ];
  const engine = new FakeEngine(cloud);
  engine.automatic = true;
  engine.outputs = shape;
  store.refusing = more.refusing ?? false;
  const pool = startPool({
    readHistory: () => Promise.resolve([]),
    usage: new FakeUsage(),
    ...{ store, history, engine, cloud, guest, clock, settings },
    book: emptyBook('i' as InstallationId, 'p', epoch),
    hostKeyPolicy: 'first-sight',
    parseOutputs: (outputs) => ({ ok: true, shape: outputs as Shape, services: more.services ?? {} }),
    log: fakeLog(),
    version: '1',
    capabilitySecret: Buffer.from('secret'),
  });
  let stopped: Promise<void> | null = null;
  const bench: Bench = {
    ...{ pool, clock, cloud, engine, guest, store, history },
    stop: () => (stopped ??= pool.stop()),
  };
  open.push(bench);
  return bench;
}

const request = async ({ pool }: Bench, job: string): Promise<LeaseView> => {
  const answer = await pool.service.request(
    'w1',
    leaseRequest.parse({
      job,
      attempt: { start: 1, boot: 'b', pid: 1, ticks: 1 },
      user: { name: 'u', uid: 1000, gid: 1000, groups: [], home: '/home/u', shell: '/bin/sh' },
      publicKey: 'ssh-ed25519 AAAA',
    }),
  );
  if (answer.kind !== 'done') throw new Error(answer.detail);
  return answer.value;
};
const states = ({ pool }: Bench): string[] =>
  pool.service.status().members.map(({ state, reason }) => reason ?? state);

describe('the running pool', () => {
  it('leads a job from its request to a scrubbed VM, every step durable before the next', async () => {
    const b = start(shapeOf({ min: 0, max: 2 }));
    await calm();
    expect(b.pool.notReady()).toBeNull();
    const { id } = await request(b, '1');
    const ready = b.pool.service.waitFor(id, 'ready', 30_000, never, true);
    await b.clock.advance(300);
    expect(b.engine.runs).toHaveLength(1);
    expect(b.engine.runs[0]?.wish.members).toHaveLength(1);
    await until(b.clock, 'a ready lease', () => b.pool.service.lease(id)?.ready === true);
    expect(await ready).toMatchObject({
      state: 'granted',
      vm: { member: b.engine.runs[0]?.wish.members[0]?.name, hostKeys: ['ssh-ed25519 AAAA'], user: 'u' },
    });
    const [, vm = ''] = b.guest.calls[0]?.split(' ') ?? [];
    expect(b.guest.calls.slice(0, 4)).toEqual([
      `probe ${vm}`,
      `contract ${vm}`,
      `baseline ${vm}`,
      `stage ${vm}`,
    ]);
    expect(states(b)).toEqual(['Busy']);
    expect(b.store.committed.at(-1)?.leases.get(id)).toMatchObject({ ready: true });

    expect(await b.pool.service.releaseById(id, 'over')).toMatchObject({ value: { outcome: 'ended' } });
    await until(b.clock, 'a Free VM', () => states(b).join() === 'Free');
    expect(b.guest.count('scrub')).toBe(1);
    expect(b.guest.markers.size).toBe(0);
    const told = b.history.entries.map(({ kind }) => kind);
    expect(told).toEqual(
      expect.arrayContaining(['shape', 'request', 'vm', 'lease', 'staged', 'lease-ended']),
    );

    await until(b.clock, 'the idle VM to go', () => states(b).length === 0);
    expect(b.cloud.servers.size).toBe(0);
    expect(b.guest.calls).toContain(`forget ${vm}`);
  });

  it('serves the next in line with the VM that a job gives back', async () => {
    const b = start(shapeOf({ min: 1, max: 1 }));
    await until(b.clock, 'a Free VM', () => states(b).join() === 'Free');
    const [first, second] = [await request(b, '1'), await request(b, '2')];
    expect([first.state, second.state]).toEqual(['granted', 'waiting']);
    await b.pool.service.releaseById(first.id, 'over');
    await until(b.clock, 'the second lease', () => b.pool.service.lease(second.id)?.ready === true);
    expect(b.engine.runs).toHaveLength(1);
  });

  it('takes over changed settings at once, without touching leases', async () => {
    const b = start(shapeOf({ min: 0, max: 2 }));
    await calm();
    const { id } = await request(b, '1');
    await until(b.clock, 'a ready lease', () => b.pool.service.lease(id)?.ready === true);
    b.pool.configure({
      ...settings,
      policy: { ...defaultPolicy, reuse: 'never', probeEveryMs: 1_000 },
      watch: { busyMs: 200, quietMs: 400 },
    });
    const probes = b.guest.count('probe');
    await b.clock.advance(1_000);
    await b.clock.advance(1_000);
    expect(b.guest.count('probe')).toBeGreaterThan(probes);
    expect(b.pool.service.lease(id)).toMatchObject({ state: 'granted', ready: true });
    await b.pool.service.releaseById(id, 'over');
    await until(b.clock, 'the used VM to go', () => states(b).length === 0);
    expect(b.guest.count('scrub')).toBe(0);
  });

  it('refuses jobs by the processors of the flavor that it has adopted', async () => {
    const b = start(shapeOf({ min: 0, max: 2 }));
    await calm();
    const body = leaseRequest.parse({
      job: '1',
      attempt: { start: 1, boot: 'b', pid: 1, ticks: 1 },
      user: { name: 'u', uid: 1000, gid: 1000, groups: [], home: '/home/u', shell: '/bin/sh' },
      publicKey: 'ssh-ed25519 AAAA',
      processors: 5,
    });
    expect(await b.pool.service.request('w1', body)).toMatchObject({ code: 'unsatisfiable' });
  });

  it('keeps its shape when the stack publishes one that the cloud cannot meet, and says why', async () => {
    const b = start(shapeOf({ min: 0, max: 2 }));
    await calm();
    b.engine.outputs = shapeOf({ min: 0, max: 9, generation: 'g2' });
    b.cloud.absent.add('g2').add('net0');
    expect(await b.pool.service.adopt()).toMatchObject({
      kind: 'refused',
      detail: 'there is no g2; there is no net0',
    });
    expect(b.pool.service.status().shape).toMatchObject({ max: 2 });
    expect(b.pool.service.status().problems.join()).toContain('there is no g2');
  });

  it('looks for its first shape every five seconds, and is not ready before it has one', async () => {
    const b = start(null);
    await calm();
    expect(b.pool.notReady()).toBe('the pool has no shape yet');
    b.engine.outputs = shapeOf();
    await b.clock.advance(5_000);
    expect(b.pool.notReady()).toBeNull();
  });

  it('does nothing while the disk refuses, says so, and goes on by itself when it does no more', async () => {
    const b = start(shapeOf({ min: 1 }), { refusing: true });
    for (let n = 0; n < 20; n += 1) await b.clock.advance(500);
    expect(b.engine.runs).toEqual([]);
    expect(b.pool.notReady()).toContain('the store refuses to commit');
    b.store.refusing = false;
    await until(b.clock, 'a Free VM', () => states(b).join() === 'Free');
    expect(b.pool.notReady()).toBeNull();
  });

  it('closes everything it was given when it stops, the store last and only once all is quiet', async () => {
    const b = start(shapeOf({ min: 1 }));
    await until(b.clock, 'a Free VM', () => states(b).join() === 'Free');
    let before: boolean[] = [];
    const close = b.store.close.bind(b.store);
    b.store.close = () => {
      before = [b.engine.closed, b.guest.closed, b.history.closed];
      return close();
    };
    await b.stop();
    expect(before).toEqual([true, true, true]);
    const { length } = b.store.committed;
    await b.clock.advance(120_000);
    expect(b.store.committed).toHaveLength(length);
    expect(b.clock.naps).toEqual([]);
  });
});

describe('services that follow the nodes', () => {
  it('delay neither a lease nor an update of cells when their host hangs, nor the end of the service', async () => {
    const b = start(shapeOf({ min: 0, max: 2 }), {
      services: servicesSchema.parse({ hosts: { type: 'command', host: 'local', apply: 'true' } }),
    });
    b.engine.onService = (_wish, signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          reject(new Error('stopped'));
        });
      });
    await until(b.clock, 'an update that hangs', () => b.engine.serviceWishes.length === 1);
    for (const job of ['1', '2']) {
      const { id } = await request(b, job);
      await until(b.clock, 'a ready lease', () => b.pool.service.lease(id)?.ready === true);
    }
    expect(states(b)).toEqual(['Busy', 'Busy']);
    expect(b.engine.serviceWishes).toHaveLength(1);
    expect(b.pool.service.status().services).toMatchObject([
      { name: 'hosts', running: true, upToDate: false, hosts: 0, toAdd: 2 },
    ]);
    await b.stop();
    expect(b.engine.closed).toBe(true);
  });

  it('are told of a VM when it is Free, and that it is gone when it is retired', async () => {
    const b = start(shapeOf({ min: 0, max: 2 }), {
      services: servicesSchema.parse({ hosts: { type: 'command', host: 'local', apply: 'true' } }),
    });
    const followed = (): number => b.engine.serviceWishes.at(-1)?.input.members.length ?? -1;
    const hosts = () => b.pool.service.status().services[0];
    await until(b.clock, 'an update', () => hosts()?.upToDate === true);
    expect(followed()).toBe(0);
    const { id } = await request(b, '1');
    await until(b.clock, 'a VM that is followed', () => followed() === 1);
    expect(b.engine.serviceWishes.at(-1)?.input.members[0]?.name).toBe(
      b.pool.service.status().members[0]?.name,
    );
    await b.pool.service.releaseById(id, 'over');
    await until(b.clock, 'its end', () => followed() === 0);
    expect(b.engine.serviceWishes.map(({ input }) => input.members.length)).toEqual([0, 1, 0]);
  });
});
