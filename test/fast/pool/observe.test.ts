import { describe, expect, it } from '@jest/globals';
import { leaseIdOf } from '../../../src/pool/ids.js';
import type { MemberName, ServerId } from '../../../src/pool/model.js';
import { sshEndpoint } from '../../../src/pool/observe.js';
import { wishOf } from '../../../src/pool/planner.js';
import { problemsOf } from '../../../src/pool/views.js';
import { distrust } from '../../../src/pool/restore.js';
import { attempt, keyOf, Pool, ready, shapeOf, specOf, viewOf } from './fixture.js';

const listNothing = { type: 'listed', servers: [], complete: true } as const;

describe('a listing that lies', () => {
  it.each([true, false])(
    'empty, complete %s: no VM is lost by it, and each is looked at by id',
    (complete) => {
      const pool = ready(3);
      pool.event({ type: 'listed', servers: [], complete });
      expect(pool.places()).toEqual(['Free', 'Free', 'Free']);
      expect(pool.work('look')).toHaveLength(complete ? 3 : 0);
    },
  );

  it('a look that finds the server ends the doubt', () => {
    const pool = ready(1);
    pool.event(listNothing);
    pool.look(pool.member().name, viewOf(pool.member().name, pool.member().server?.id ?? ''));
    expect(pool.work('look')).toEqual([]);
    expect(pool.places()).toEqual(['Free']);
  });

  it('stale: a server that is long gone is a stray until a look says so', () => {
    const pool = ready(1);
    pool.adopt(shapeOf({ min: 0 }));
    const { name, server } = pool.member();
    pool.event({ type: 'retire', member: name, why: 'told so' });
    pool.end();
    expect(pool.members()).toEqual([]);
    pool.event({ type: 'listed', servers: [viewOf(name, server?.id ?? '')], complete: true });
    expect(pool.members()).toEqual([]);
    expect(pool.work('endStray')).toHaveLength(1);
    pool.event({ type: 'strayGone', id: server?.id as ServerId });
    expect(pool.work()).toEqual([]);
  });

  it('of changes only: what it leaves out is not even doubted', () => {
    const pool = ready(3);
    const { name, server } = pool.member();
    pool.event({ type: 'listed', servers: [viewOf(name, server?.id ?? '')], complete: false });
    expect(pool.work('look')).toEqual([]);
    expect(pool.places()).toEqual(['Free', 'Free', 'Free']);
  });

  it.each(['DELETED', 'SOFT_DELETED'])('as %s: looked at by id before anything follows', (status) => {
    const pool = ready(1);
    const { name, server } = pool.member();
    pool.list({ [name]: { status } }, false);
    expect(pool.places()).toEqual(['Free']);
    expect(pool.work('look')).toMatchObject([{ member: name }]);
    pool.look(name, viewOf(name, server?.id ?? ''));
    expect(pool.places()).toEqual(['Free']);
    pool.list({ [name]: { status } }, false);
    pool.pass(2_000);
    pool.look(name, null);
    expect(pool.place(name)).toBe('lost');
  });

  it('deleted servers of names that are gone or unknown make neither strays nor members', () => {
    const pool = ready(0);
    pool.event({
      type: 'listed',
      servers: [viewOf('p-0099-xxxx', 's9', { status: 'DELETED' })],
      complete: false,
    });
    expect(pool.members()).toEqual([]);
    expect(pool.book.strays).toEqual({});
  });

  it.each([
    ['empty', () => []],
    ['stale', (names: readonly string[]) => names.slice(1).map((name) => viewOf(name, `s-${name}`))],
  ])('%s for an hour, while looks by id find every server: nothing is deleted and nothing made', (_, lie) => {
    const pool = ready(3, { min: 3, max: 6 });
    const names = pool.members().map((m) => m.name);
    for (let n = 0; n < 120; n += 1) {
      pool.event({ type: 'listed', servers: lie(names), complete: true });
      for (const item of pool.work('look'))
        if (item.kind === 'look') pool.look(item.member, viewOf(item.member, item.server));
      pool.pass(30_000);
      expect(pool.work('end')).toEqual([]);
    }
    expect(pool.members().map((m) => m.name)).toEqual(names);
    expect(pool.places()).toEqual(['Free', 'Free', 'Free']);
  });

  it('that shows servers of another pool or without a name is none of ours', () => {
    const pool = ready(0);
    pool.event({
      type: 'listed',
      servers: [viewOf('q-0001-aaaa', 's1', { pool: 'q' }), viewOf('../etc', 's2')],
      complete: true,
    });
    expect(pool.members()).toEqual([]);
    expect(pool.book.strays).toEqual({});
  });
});

describe('a server that is gone', () => {
  it('of a Free VM: lost at the second look by id, and replaced', () => {
    const pool = ready(1);
    const { name } = pool.member();
    pool.event(listNothing);
    pool.look(name, null);
    expect(pool.place(name)).toBe('lost');
    pool.pass(2_000);
    pool.look(name, null);
    expect(pool.place(name)).toBe('deleting');
    pool.event({ type: 'engine', event: { type: 'removed', cell: pool.member().cell, member: name } });
    expect(pool.place(name)).toBe('gone');
    expect(pool.book.retired.get(name)).toBeDefined();
  });

  it('of a Busy VM: its job decides, the lease stays', () => {
    const pool = ready(1);
    const lease = pool.ask(keyOf('1'));
    pool.stage(lease);
    pool.event(listNothing);
    pool.look(pool.member().name, null);
    expect(pool.places()).toEqual(['Busy']);
    expect(pool.book.leases.get(lease)).toBeDefined();
    pool.event(listNothing);
    expect(pool.work('look')).toEqual([]);
  });
});

describe('what Nova says of a server', () => {
  it.each(['ERROR', 'SHUTOFF', 'PAUSED', 'SUSPENDED', 'RESCUE', 'SHELVED', 'SHELVED_OFFLOADED'])(
    '%s: a Free VM is of no use',
    (status) => {
      const pool = ready(1);
      pool.list({ [pool.member().name]: { status } });
      expect(pool.places()).toContain('error');
    },
  );

  it.each(['ERROR', 'SHUTOFF', 'DELETED'])('%s: a Busy VM stays its job\u2019s', (status) => {
    const pool = ready(1);
    pool.ask(keyOf('1'));
    pool.list({ [pool.member().name]: { status } });
    expect(pool.places()).toEqual(['Busy']);
    expect(pool.work('end')).toEqual([]);
  });

  it.each(['REBUILD', 'RESIZE', 'REVERT_RESIZE', 'REBOOT', 'HARD_REBOOT'])(
    '%s by someone else or by maintenance: a Free VM is not leased until Nova is done and it was verified',
    (status) => {
      const pool = ready(1, { max: 1 });
      const { name } = pool.member();
      pool.list({ [name]: { status } });
      expect(pool.place(name)).toBe('unreachable');
      const lease = pool.ask(keyOf('1'));
      pool.probe(name, null);
      expect(pool.place(name)).toBe('unreachable');
      pool.list();
      pool.probe(name, null, 'b2');
      expect(pool.place(name)).toBe('scrubbing');
      pool.scrub(name);
      expect(pool.book.leases.get(lease)?.member).toBe(name);
    },
  );

  it('REBUILD by someone else: one that comes back with another host key is not used again', () => {
    const pool = ready(1);
    const { name } = pool.member();
    pool.list({ [name]: { status: 'REBUILD' } });
    pool.list();
    pool.silence(name, 'host-key');
    expect(pool.place(name)).toBe('error');
  });

  it.each(['MIGRATING', 'VERIFY_RESIZE'])('%s: maintenance that the guest survives moves no VM', (status) => {
    const pool = ready(1);
    pool.list({ [pool.member().name]: { status } });
    expect(pool.places()).toEqual(['Free']);
  });

  it.each([
    'REBUILD',
    'RESIZE',
    'VERIFY_RESIZE',
    'MIGRATING',
    'PAUSED',
    'SUSPENDED',
    'SHELVED_OFFLOADED',
    'RESCUE',
  ])('%s under a job: the VM is left alone, and the status says so', (status) => {
    const pool = ready(1, { max: 1 });
    const { name } = pool.member();
    pool.stage(pool.ask(keyOf('1')));
    pool.list({ [name]: { status } });
    expect(pool.places()).toEqual(['Busy']);
    expect(pool.work('end')).toEqual([]);
    expect(pool.work('converge')).toEqual([]);
    const [problem] = problemsOf(pool.state, pool.context());
    if (['VERIFY_RESIZE', 'MIGRATING'].includes(status)) expect(problem).toBeUndefined();
    else expect(problem).toContain(`job 1 runs on VM ${name}, but Nova reports ${status}`);
  });

  it('stopped by someone else and started again in time: verified, and Free again', () => {
    const pool = ready(1, { max: 1 });
    const { name } = pool.member();
    pool.list({ [name]: { status: 'SHUTOFF' } });
    pool.probe(name, null);
    expect(pool.place(name)).toBe('error');
    pool.list();
    pool.probe(name, null, 'b2');
    pool.scrub(name);
    expect(pool.place(name)).toBe('Free');
  });

  it('stopped by someone else and left so: deleted and replaced', () => {
    const pool = ready(1, { max: 2 }, { errorLimitMs: 60_000 });
    const { name } = pool.member();
    pool.list({ [name]: { status: 'SHUTOFF' } });
    pool.pass(60_001);
    expect(pool.place(name)).toBe('deleting');
    expect(pool.places()).toContain('building');
  });

  it('a server that was moved has its new address, under a job too', () => {
    const pool = ready(1, { max: 1 });
    const { name } = pool.member();
    pool.stage(pool.ask(keyOf('1')));
    pool.list({ [name]: { addresses: { net0: [{ address: '10.9.9.9', version: 4, type: 'fixed' }] } } });
    expect(pool.member().endpoint?.host).toBe('10.9.9.9');
    expect(pool.places()).toEqual(['Busy']);
  });

  it('ERROR while it boots counts as a failed create', () => {
    const pool = new Pool(shapeOf({ min: 1 }));
    pool.list({ [pool.member().name]: { status: 'ERROR', fault: 'no valid host' } });
    expect(pool.place(pool.member().name)).toBe('error');
    expect(pool.book.breaker).toMatchObject({ failures: 1, why: 'Nova reports ERROR: no valid host' });
  });

  it('a second server under a member\u2019s name is a stray, deleted once Pulumi says which one is the member\u2019s', () => {
    const pool = new Pool(shapeOf({ min: 1 }));
    const { name, cell } = pool.member();
    pool.event({ type: 'listed', servers: [viewOf(name, 'one'), viewOf(name, 'three')], complete: true });
    expect(pool.work('endStray')).toEqual([]);
    pool.event({
      type: 'engine',
      event: { type: 'created', cell, member: name, serverId: 'one' as ServerId, addresses: {} },
    });
    expect(pool.work('endStray')).toMatchObject([{ server: 'three' }]);
  });
});

describe('who ends a server', () => {
  it('Pulumi, and Nova when Pulumi is too slow', () => {
    const pool = ready(1, {}, { deleteFallbackMs: 60_000 });
    pool.adopt(shapeOf({ min: 0 }));
    pool.event({ type: 'retire', member: pool.member().name, why: 'told so' });
    expect(pool.work().map((w) => w.kind)).toEqual(['converge']);
    pool.pass(60_001);
    expect(pool.work('end')).toHaveLength(1);
  });

  it('Nova, when Pulumi hangs on the create of one stuck in BUILD', () => {
    const pool = new Pool(shapeOf({ min: 1 }), { bootLimitMs: 1_000 });
    const { name, cell } = pool.member();
    pool.event({ type: 'runBegan', cell });
    pool.list({ [name]: { status: 'BUILD' } });
    pool.pass(1_001);
    expect(pool.place(name)).toBe('deleting');
    expect(pool.work('end')).toHaveLength(1);
  });

  it('Nova, when the create was lost with a killed engine: never again on a list', () => {
    const pool = ready(1);
    const { name, cell } = pool.member();
    pool.runEnded(wishOf(pool.state, cell), { instances: [], lostCreates: [name], unlisted: [] });
    expect(wishOf(pool.state, cell).members.map((m) => m.name)).not.toContain(name);
    pool.event({ type: 'retire', member: name, why: 'told so' });
    expect(wishOf(pool.state, cell).retire).toEqual([]);
    expect(pool.work('end')).toHaveLength(1);
    pool.look(name, null);
    pool.event(listNothing);
    pool.pass(30_000);
    expect(pool.place(name)).toBe('gone');
  });

  it('nobody yet, while a lost create may still bring one', () => {
    const pool = new Pool(shapeOf({ min: 1 }));
    const { name, cell } = pool.member();
    pool.runEnded(wishOf(pool.state, cell), { instances: [], lostCreates: [name], unlisted: [] });
    pool.event(listNothing);
    pool.pass(29_999);
    expect(pool.place(name)).toBe('building');
    pool.pass(1).pass(0);
    expect(pool.place(name)).toBe('gone');
    pool.event({ type: 'listed', servers: [viewOf(name, 'late')], complete: true });
    expect(pool.work('endStray')).toMatchObject([{ server: 'late' }]);
  });
});

describe('a VM that Pulumi could not create but that works', () => {
  it('keeps its job, and goes when it has ended', () => {
    const pool = new Pool(shapeOf({ min: 1 }));
    const { name, cell } = pool.member();
    pool.list();
    pool.welcome(name);
    pool.ask(keyOf('1'));
    pool.event({ type: 'engine', event: { type: 'createFailed', cell, member: name, message: 'time-out' } });
    expect(pool.place(name)).toBe('Busy');
    pool.release(keyOf('1'));
    pool.scrub(name);
    expect(pool.place(name)).toBe('deleting');
  });
});

describe('a probe', () => {
  it('that finds an unexpected marker on a Free VM holds it', () => {
    const pool = ready(1);
    const { name } = pool.member();
    pool.probe(name, keyOf('9'));
    expect(pool.place(name)).toBe('held');
  });

  it('of a Busy VM never takes it away: a wrong marker holds it after the job', () => {
    const pool = ready(1);
    const { name } = pool.member();
    pool.stage(pool.ask(keyOf('1')));
    pool.probe(name, null);
    for (let i = 0; i < 5; i += 1) pool.silence(name, 'host-key');
    expect(pool.place(name)).toBe('Busy');
    pool.release(keyOf('1'));
    expect(pool.place(name)).toBe('held');
    expect(pool.member().hold?.kind).toBe('foreign-marker');
  });

  it('between grant and staging may find either', () => {
    const pool = ready(1);
    pool.ask(keyOf('1'));
    pool.probe(pool.member().name, null);
    pool.probe(pool.member().name, keyOf('1'));
    expect(pool.member().hold).toBeNull();
  });

  it('that finds another boot id sends a Free VM to the scrub', () => {
    const pool = ready(1);
    pool.probe(pool.member().name, null, 'b2');
    expect(pool.place(pool.member().name)).toBe('scrubbing');
  });
});

describe('a VM held because its story is not known', () => {
  const stranger = viewOf('p-0099-xxxx', 'server-99', { cell: 'c007' });
  const name = 'p-0099-xxxx' as MemberName;
  const found = (): Pool => {
    const pool = new Pool();
    pool.workers = ['w1', 'w2'];
    pool.event({ type: 'listed', servers: [stranger], complete: false });
    pool.now += 1_000;
    return pool;
  };

  it('waits for its marker and for every worker, for ever if need be', () => {
    const pool = found();
    pool.pass(1e9);
    expect(pool.place(name)).toBe('held');
    pool.sync([]);
    pool.probe(name, null);
    expect(pool.place(name)).toBe('held');
    pool.sync([], 'w2');
    expect(pool.place(name)).toBe('deleting');
  });

  it('gets its lease back when its job lives, ready, and goes after it', () => {
    const pool = found();
    pool.probe(name, keyOf('7'));
    pool.sync(['7']);
    pool.sync([], 'w2');
    const lease = pool.book.leases.get(leaseIdOf(keyOf('7')));
    expect(lease).toMatchObject({ member: name, ready: true });
    expect(pool.asked(keyOf('7'))).toBe('accepted');
    pool.release(keyOf('7'));
    pool.scrub(name);
    expect(pool.place(name)).toBe('deleting');
  });

  it('goes when its job has ended, or a newer start of it holds a lease', () => {
    const ended = found();
    ended.probe(name, keyOf('7'));
    ended.sync(['8']);
    ended.sync([], 'w2');
    expect(ended.place(name)).toBe('deleting');

    const newer = ready(1, { max: 2 });
    newer.stage(newer.ask(keyOf('7', attempt(2))));
    newer.event({ type: 'listed', servers: [stranger], complete: false });
    newer.now += 1_000;
    newer.probe(name, keyOf('7', attempt(1)));
    newer.sync(['7']);
    expect(newer.place(name)).toBe('deleting');
    expect(newer.places()).toContain('Busy');
  });

  it('a hold for a foreign marker ends with the same proof', () => {
    const pool = ready(1);
    pool.probe(pool.member().name, keyOf('9'));
    const held = pool.member().name;
    pool.pass(1_000);
    pool.probe(held, keyOf('9'));
    pool.sync([]);
    expect(pool.place(held)).toBe('deleting');
  });
});

it('after a store was put back, no VM that it calls Free is leased unseen', () => {
  const pool = ready(1);
  const { name } = pool.member();
  pool.state = { book: distrust(pool.book, pool.now, true), sight: pool.state.sight };
  pool.restart();
  const id = pool.ask(keyOf('1'));
  expect(pool.book.requests.get(id)).toBeDefined();
  pool.probe(name, keyOf('9'));
  expect(pool.place(name)).toBe('held');
});

describe('the address used for SSH', () => {
  const address = (host: string, version: 4 | 6, type: 'fixed' | 'floating') => ({
    address: host,
    version,
    type,
  });

  it('is on the named network, IPv4 first, floating where a pool of those is named', () => {
    const addresses = {
      net0: [
        address('fe80::1', 6, 'fixed'),
        address('10.0.0.1', 4, 'fixed'),
        address('192.0.2.1', 4, 'floating'),
      ],
      net1: [address('10.1.0.1', 4, 'fixed')],
    };
    const spec = specOf('g');
    expect(sshEndpoint(spec, addresses)?.host).toBe('10.0.0.1');
    expect(sshEndpoint({ ...spec, floatingIpPool: 'public' }, addresses)?.host).toBe('192.0.2.1');
    expect(sshEndpoint({ ...spec, sshNetwork: 'net1' }, addresses)?.host).toBe('10.1.0.1');
    const byId = {
      ...spec,
      networks: ['id-0', 'id-1'],
      sshNetwork: 'id-1',
      pinned: {
        flavor: '1',
        image: 'i',
        networks: [
          { id: 'id-0', name: 'net0' },
          { id: 'id-1', name: 'net1' },
        ],
        tags: true,
      },
    };
    expect(sshEndpoint(byId, addresses)?.host).toBe('10.1.0.1');
    expect(sshEndpoint({ ...spec, sshNetwork: 'none' }, addresses)).toBeNull();
    expect(sshEndpoint({ ...spec, sshNetwork: 'none' }, { net1: addresses.net1 })?.host).toBe('10.1.0.1');
  });
});
