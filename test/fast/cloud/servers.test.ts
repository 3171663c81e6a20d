import { afterEach, describe, expect, it } from '@jest/globals';
import type { OpenStackCloud } from '../../../src/cloud/openstack.js';
import { basics, id, openCloud, play, server, tellingClock } from './play.js';
import type { PlayedCloud, Reply, Route } from './play.js';

const still = new AbortController().signal;
const opened: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

async function start(
  routes: Record<string, Route>,
  options: Parameters<typeof openCloud>[1] = {},
): Promise<{ played: PlayedCloud; cloud: OpenStackCloud }> {
  const played = await play((url) => ({ ...basics(url), ...routes }));
  const cloud = openCloud(played.url, options);
  opened.push(
    () => played.close(),
    () => cloud.close(),
  );
  return { played, cloud };
}

const listing = 'GET /compute/v2.1/servers/detail';
const page = (servers: unknown[], next: string | null): Reply => ({
  json: {
    servers,
    ...(next === null
      ? {}
      : {
          servers_links: [
            { rel: 'next', href: `http://unreachable.example/v2.1/servers/detail?limit=2&marker=${next}` },
          ],
        }),
  },
});
const byMarker =
  (pages: Record<string, Reply>): Route =>
  (asked) =>
    pages[asked.query.get('marker') ?? 'first'] ?? { status: 400 };

describe('listing our servers', () => {
  it('tells why a server failed where the listing leaves it out, as Nova does when no host takes it', async () => {
    const failed = (name: string, fault: object): object => ({
      ...(server(name) as object),
      ...{ status: 'ERROR', ...fault },
    });
    const reason = { fault: { code: 500, message: 'No valid host was found. ' } };
    const { cloud, played } = await start({
      [listing]: () => page([failed('a', {}), failed('b', reason), failed('c', {}), server('d')], null),
      'GET /compute/v2.1/servers/a': () => ({ json: { server: failed('a', reason) } }),
      'GET /compute/v2.1/servers/c': () => ({ status: 404 }),
    });
    const { servers, complete } = await cloud.listOurs(still);
    expect(complete).toBe(true);
    expect(servers.map(({ fault }) => fault?.trim() ?? null)).toEqual([
      'No valid host was found.',
      'No valid host was found.',
      null,
      null,
    ]);
    expect(played.to('GET /compute/v2.1/servers/b')).toHaveLength(0);
    expect(played.to('GET /compute/v2.1/servers/d')).toHaveLength(0);
  });

  it('reads all pages, keeps ours, and merges one seen twice into its later sight', async () => {
    const { cloud } = await start({
      [listing]: byMarker({
        first: page([server('a', { sight: 'old' }), { ...(server('x') as object), metadata: {} }], 'x'),
        x: page([server('a', { sight: 'new' }), server('b')], 'b'),
        b: page([{ ...(server('y') as object), metadata: { vmpool_installation: 'other' } }], null),
      }),
    });
    const list = await cloud.listOurs(still);
    expect(list.complete).toBe(true);
    expect(list.servers.map((each) => each.id)).toEqual(['a', 'b']);
    expect(list.servers[0]?.metadata['sight']).toBe('new');
    expect(list.servers[0]?.addresses).toEqual({
      net0: [{ address: '10.0.0.7', version: 4, type: 'fixed' }],
    });
  });

  it('throws when nothing could be seen', async () => {
    const { cloud } = await start({ [listing]: () => ({ status: 500 }) });
    await expect(cloud.listOurs(still)).rejects.toMatchObject({ kind: 'unavailable' });
  });

  it.each<[string, Reply]>([
    ['fails', { status: 500 }],
    ['lost its marker', { status: 400, json: { badRequest: { message: 'marker [a] not found' } } }],
    ['is cut off', { text: '{"servers": [', cutOff: true }],
    ['is no listing', { json: {} }],
    ['links to itself', page([server('b')], 'a')],
    ['links to nowhere', { json: { servers: [], servers_links: [{ rel: 'next', href: 'http://x/' }] } }],
    ['has a server that cannot be read', page([{ id: 'broken' }], null)],
  ])('is not complete when a page %s, and keeps what was seen', async (_, second) => {
    const { cloud } = await start({ [listing]: byMarker({ first: page([server('a')], 'a'), a: second }) });
    const list = await cloud.listOurs(still);
    expect(list.complete).toBe(false);
    expect(list.why).toContain('could not list the servers (page 2)');
    expect(list.servers.map((each) => each.id)).toContain('a');
  });
});

describe('listing what has changed', () => {
  const dated = (date: string, reply: Reply): Reply => ({ ...reply, headers: { date } });
  const sinceOf = (asked: { query: URLSearchParams }[]): (string | null)[] =>
    asked.map(({ query }) => query.get('changes-since'));

  /** Nova takes the metadata of a server away with it. */
  const deleted = (id: string): unknown => ({ ...(server(id) as object), status: 'DELETED', metadata: {} });

  it('asks from the cloud\u2019s own time of the listing before, a little earlier, and is never complete', async () => {
    const { cloud, played } = await start({
      [listing]: (asked, nth) =>
        asked.query.has('changes-since')
          ? dated('Tue, 24 Nov 2026 10:00:30 GMT', page([deleted('b'), deleted('not-ours')], null))
          : dated(`Tue, 24 Nov 2026 10:00:0${nth} GMT`, page([server('a'), server('b')], null)),
    });
    expect((await cloud.listChanged(still)).complete).toBe(true);
    const changed = await cloud.listChanged(still);
    expect(changed).toMatchObject({ complete: false, servers: [{ id: 'b', status: 'DELETED' }] });
    expect(changed.servers).toHaveLength(1);
    expect((await cloud.listChanged(still)).servers).toEqual(changed.servers);
    expect((await cloud.listOurs(still)).complete).toBe(true);
    expect(sinceOf(played.to(listing))).toEqual([null, '2026-11-24T09:59:56Z', '2026-11-24T10:00:25Z', null]);
  });

  it('starts from the same point again when a page was missing', async () => {
    const { cloud, played } = await start({
      [listing]: (asked) =>
        asked.query.has('marker')
          ? { status: 500 }
          : asked.query.has('changes-since')
            ? dated('Tue, 24 Nov 2026 10:01:00 GMT', page([server('a')], 'a'))
            : dated('Tue, 24 Nov 2026 10:00:00 GMT', page([server('a')], null)),
    });
    await cloud.listOurs(still);
    expect((await cloud.listChanged(still)).complete).toBe(false);
    await cloud.listChanged(still);
    const asked = sinceOf(played.to(listing).filter(({ query }) => !query.has('marker')));
    expect(asked).toEqual([null, '2026-11-24T09:59:55Z', '2026-11-24T09:59:55Z']);
  });

  it('lists everything where the cloud refuses the question', async () => {
    const { cloud, played } = await start({
      [listing]: (asked) => (asked.query.has('changes-since') ? { status: 400 } : page([server('a')], null)),
    });
    for (let n = 0; n < 3; n += 1) expect((await cloud.listChanged(still)).complete).toBe(true);
    expect(sinceOf(played.to(listing)).filter((since) => since !== null)).toHaveLength(1);
  });
});

describe('one server', () => {
  it('that is not there is null; its fault and addresses are told', async () => {
    const { cloud } = await start({
      'GET /compute/v2.1/servers/s1': () => ({
        json: {
          server: {
            ...(server('s1') as object),
            status: 'ERROR',
            'OS-EXT-STS:task_state': 'spawning',
            fault: { code: 500, message: 'No valid host was found.' },
          },
        },
      }),
    });
    expect(await cloud.server(id('gone'), still)).toBeNull();
    expect(await cloud.server(id('s1'), still)).toMatchObject({
      status: 'ERROR',
      taskState: 'spawning',
      fault: 'No valid host was found.',
    });
  });

  it('is deleted: absent counts, a conflict is tried again and then reported', async () => {
    const clock = tellingClock();
    const { cloud, played } = await start(
      {
        'DELETE /compute/v2.1/servers/busy': (_, nth) => ({ status: nth < 3 ? 409 : 204 }),
        'DELETE /compute/v2.1/servers/stuck': () => ({
          status: 409,
          json: { conflictingRequest: { code: 409, message: 'task_state deleting' } },
        }),
      },
      { clock },
    );
    await cloud.deleteServer(id('gone'), still);
    await cloud.deleteServer(id('busy'), still);
    expect(played.to('DELETE /compute/v2.1/servers/busy')).toHaveLength(3);
    await expect(cloud.deleteServer(id('stuck'), still)).rejects.toMatchObject({
      kind: 'conflict',
      message: expect.stringContaining('task_state deleting'),
    });
  });

  it('is rebuilt from the image’s id, the order given once even if no answer comes', async () => {
    const { cloud, played } = await start({
      'GET /image/v2/images': () => ({ json: { images: [{ id: 'i1', name: 'worker', status: 'active' }] } }),
      'POST /compute/v2.1/servers/s1/action': (_, nth) => (nth === 1 ? { status: 202 } : { status: 502 }),
    });
    await cloud.rebuildServer(id('s1'), 'worker', still);
    await expect(cloud.rebuildServer(id('s1'), 'worker', still)).rejects.toMatchObject({
      kind: 'unavailable',
    });
    const orders = played
      .to('POST /compute/v2.1/servers/s1/action')
      .map((asked) => JSON.parse(asked.body) as unknown);
    expect(orders).toEqual([{ rebuild: { imageRef: 'i1' } }, { rebuild: { imageRef: 'i1' } }]);
  });

  it('shows its console and its actions beyond create, oldest first', async () => {
    const { cloud, played } = await start({
      'POST /compute/v2.1/servers/s1/action': () => ({ json: { output: 'booting' } }),
      'GET /compute/v2.1/servers/s1/os-instance-actions': () => ({
        json: {
          instanceActions: [
            { action: 'rebuild', start_time: '2026-11-23T10:02:00.000000' },
            { action: 'reboot', start_time: '2026-11-23T10:01:00.000000' },
            { action: 'create', start_time: '2026-11-23T10:00:00.000000' },
          ],
        },
      }),
    });
    expect(await cloud.consoleLog(id('s1'), 50, still)).toBe('booting');
    expect(played.to('POST /compute/v2.1/servers/s1/action')[0]?.body).toBe(
      '{"os-getConsoleOutput":{"length":50}}',
    );
    expect(await cloud.actions(id('s1'), still)).toEqual([
      { action: 'reboot', at: '2026-11-23T10:01:00.000000Z' },
      { action: 'rebuild', at: '2026-11-23T10:02:00.000000Z' },
    ]);
    await expect(cloud.consoleLog(id('gone'), 5, still)).rejects.toMatchObject({ kind: 'not-found' });
  });
});

describe('quota', () => {
  const absolute = {
    maxTotalInstances: 10,
    totalInstancesUsed: 3,
    maxTotalCores: -1,
    totalCoresUsed: 6,
    maxTotalRAMSize: 4096,
    totalRAMUsed: 1024,
  };
  const expected = {
    instances: { used: 3, limit: 10 },
    cores: { used: 6, limit: null },
    ramMiB: { used: 1024, limit: 4096 },
    ports: null,
    floatingIps: null,
    volumes: null,
    volumeGiB: null,
  };

  it('has ports and volumes where Neutron and Cinder tell', async () => {
    const { cloud } = await start({
      'GET /compute/v2.1/limits': () => ({ json: { limits: { absolute } } }),
      'GET /networking/v2.0/quotas/p1/details.json': () => ({
        json: { quota: { port: { used: 4, limit: 500, reserved: 0 }, floatingip: { used: 1, limit: -1 } } },
      }),
      'GET /volume/v3/p1/limits': () => ({
        json: {
          limits: {
            absolute: {
              maxTotalVolumes: 10,
              totalVolumesUsed: 2,
              maxTotalVolumeGigabytes: -1,
              totalGigabytesUsed: 40,
            },
          },
        },
      }),
    });
    expect(await cloud.quota(still)).toEqual({
      ...expected,
      ports: { used: 4, limit: 500 },
      floatingIps: { used: 1, limit: null },
      volumes: { used: 2, limit: 10 },
      volumeGiB: { used: 40, limit: null },
    });
  });

  it('comes from the limits, -1 being none', async () => {
    const { cloud } = await start({ 'GET /compute/v2.1/limits': () => ({ json: { limits: { absolute } } }) });
    expect(await cloud.quota(still)).toEqual(expected);
  });

  it('comes from the quota set where the limits are not for us', async () => {
    const { cloud } = await start({
      'GET /compute/v2.1/limits': () => ({ status: 403 }),
      'GET /compute/v2.1/os-quota-sets/p1/detail': () => ({
        json: {
          quota_set: {
            instances: { in_use: 3, limit: 10, reserved: 0 },
            cores: { in_use: 6, limit: -1, reserved: 0 },
            ram: { in_use: 1024, limit: 4096, reserved: 0 },
          },
        },
      }),
    });
    expect(await cloud.quota(still)).toEqual(expected);
  });

  it('used up is told apart from a lack of rights', async () => {
    const { cloud } = await start({
      'GET /compute/v2.1/servers/s1': () => ({
        status: 403,
        json: { forbidden: { message: 'Quota exceeded for cores' } },
      }),
      'GET /compute/v2.1/servers/s2': () => ({
        status: 403,
        json: { forbidden: { message: 'Policy does not allow' } },
      }),
    });
    await expect(cloud.server(id('s1'), still)).rejects.toMatchObject({ kind: 'quota' });
    await expect(cloud.server(id('s2'), still)).rejects.toMatchObject({ kind: 'forbidden' });
  });
});

describe('looking up by name or id', () => {
  const flavor = (fid: string, name: string) => ({ id: fid, name, vcpus: 2, ram: 2048 });

  it('finds a flavor by id before one by name, on any page, and says which names there are', async () => {
    const { cloud } = await start({
      'GET /compute/v2.1/flavors/small': () => ({ json: { flavor: flavor('small', 'Little') } }),
      'GET /compute/v2.1/flavors/detail': byMarker({
        first: {
          json: {
            flavors: [flavor('1', 'small')],
            flavors_links: [{ rel: 'next', href: 'http://x/flavors?marker=1' }],
          },
        },
        1: { json: { flavors: [flavor('2', 'large'), flavor('3', 'twin'), flavor('4', 'twin')] } },
      }),
    });
    expect(await cloud.flavor('small', still)).toMatchObject({
      found: true,
      value: { id: 'small', ramMiB: 2048 },
    });
    expect(await cloud.flavor('large', still)).toMatchObject({ found: true, value: { id: '2', vcpus: 2 } });
    expect(await cloud.flavor('twin', still)).toMatchObject({
      found: false,
      why: '2 flavors have the name "twin": give one of their ids: 3, 4',
    });
    expect(await cloud.flavor('huge', still)).toMatchObject({
      found: false,
      why: expect.stringContaining('there are: large, small, twin'),
    });
    expect(await cloud.flavor('', still)).toMatchObject({ found: false });
  });

  it('finds images and networks', async () => {
    const uuid = '0f0f0f0f-1111-4222-8333-444444444444';
    const { cloud, played } = await start({
      [`GET /image/v2/images/${uuid}`]: () => ({ json: { id: uuid, name: 'worker', status: 'queued' } }),
      'GET /image/v2/images': (asked) => ({
        json: {
          images: (asked.query.get('name') ?? '').includes('twin')
            ? ['i1', 'i2'].map((each) => ({ id: each, name: 'twin', status: 'active' }))
            : [],
        },
      }),
      'GET /networking/v2.0/networks': (asked) => {
        const name = asked.query.get('name') ?? '';
        const ids = { 'a b&c': ['n1'], twin: ['n2', 'n3'] }[name] ?? [];
        return { json: { networks: ids.map((each) => ({ id: each, name })) } };
      },
    });
    expect(await cloud.image(uuid, still)).toEqual({
      found: true,
      value: { id: uuid, name: 'worker', status: 'queued' },
    });
    expect(await cloud.image('nothing', still)).toMatchObject({ found: false });
    expect(await cloud.image('twin', still)).toMatchObject({
      found: false,
      why: '2 images have the name "twin": give one of their ids: i1, i2',
    });
    expect(await cloud.network('twin', still)).toMatchObject({
      found: false,
      why: '2 networks have the name "twin": give one of their ids: n2, n3',
    });
    expect(await cloud.network('a b&c', still)).toEqual({ found: true, value: { id: 'n1', name: 'a b&c' } });
    expect(played.to('GET /image/v2/images/nothing')).toHaveLength(0);
  });

  it('throws when the cloud cannot say', async () => {
    const { cloud } = await start({ 'GET /networking/v2.0/networks': () => ({ status: 500 }) });
    await expect(cloud.network('net0', still)).rejects.toMatchObject({ kind: 'unavailable' });
  });
});
