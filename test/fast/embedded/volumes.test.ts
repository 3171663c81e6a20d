import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { ApiBench } from './bench.js';

const volumesAnswer = z.array(
  z.looseObject({ id: z.string(), status: z.string(), size: z.number(), attachments: z.array(z.unknown()) }),
);

describe('a server that boots from a volume', () => {
  let bench: ApiBench;
  let project: string;
  beforeEach(async () => {
    bench = await ApiBench.start();
    ({ projectId: project } = await bench.control.signIn('demo'));
  });
  afterEach(() => bench.stop());

  const cinder = (method: string, path: string, body?: unknown) =>
    bench.call(method, `/volume/v3/${project}${path}`, body === undefined ? {} : { body });
  const volumes = async () => volumesAnswer.parse((await cinder('GET', '/volumes/detail')).body['volumes']);
  const fromVolume = async (more: Record<string, unknown> = {}) => ({
    imageRef: undefined,
    block_device_mapping_v2: [
      {
        source_type: 'image',
        uuid: await bench.idOf('/image/v2/images?name=debian-vm', 'images'),
        destination_type: 'volume',
        volume_size: 20,
        boot_index: 0,
        delete_on_termination: true,
        ...more,
      },
    ],
  });

  it('has it while it lives, and takes it along', async () => {
    const id = await bench.server('a', await fromVolume());
    await bench.clock.advance(2_000);
    const [volume] = await volumes();
    expect(volume).toMatchObject({ status: 'in-use', size: 20, bootable: 'true' });
    expect(volume?.attachments).toEqual([expect.objectContaining({ server_id: id, device: '/dev/vda' })]);
    expect(await bench.show(id)).toMatchObject({
      status: 'ACTIVE',
      image: '',
      'os-extended-volumes:volumes_attached': [{ id: volume?.id }],
    });
    expect((await cinder('DELETE', `/volumes/${volume?.id ?? ''}`)).status).toBe(400);
    await bench.nova('DELETE', `/servers/${id}`);
    await bench.clock.advance(1_000);
    expect(await volumes()).toEqual([]);
  });

  it('leaves it where that was ordered, and another server can boot from it', async () => {
    const first = await bench.server('a', await fromVolume({ delete_on_termination: false }));
    await bench.clock.advance(2_000);
    await bench.nova('DELETE', `/servers/${first}`);
    await bench.clock.advance(1_000);
    const [volume] = await volumes();
    expect(volume).toMatchObject({ status: 'available', attachments: [] });
    const second = await bench.server('b', {
      imageRef: undefined,
      block_device_mapping_v2: [
        { source_type: 'volume', uuid: volume?.id, destination_type: 'volume', boot_index: 0 },
      ],
    });
    await bench.clock.advance(2_000);
    expect(await bench.show(second)).toMatchObject({ status: 'ACTIVE' });
  });

  it('ends in ERROR with the reason when Cinder cannot make it or the quota is used up', async () => {
    await bench.control.fault({ kind: 'volume-error' }, { times: 1 });
    const broken = await bench.server('a', await fromVolume());
    await bench.clock.advance(2_000);
    expect(await bench.show(broken)).toMatchObject({
      status: 'ERROR',
      fault: { message: expect.stringMatching(/Volume .* did not finish being created .* status is error/) },
    });
    await bench.nova('DELETE', `/servers/${broken}`);
    await bench.clock.advance(1_000);
    expect(await volumes()).toEqual([]);

    await bench.control.setQuotas({ gigabytes: 30 });
    await bench.server('b', await fromVolume());
    const over = await bench.server('c', await fromVolume());
    await bench.clock.advance(2_000);
    expect(await bench.show(over)).toMatchObject({
      status: 'ERROR',
      fault: { message: expect.stringContaining('exceeds allowed gigabytes quota') },
    });
    expect((await cinder('GET', `/os-quota-sets/${project}?usage=true`)).body).toMatchObject({
      quota_set: { volumes: { in_use: 1 }, gigabytes: { limit: 30, in_use: 20 } },
    });
    expect((await cinder('GET', '/limits')).body).toMatchObject({
      limits: { absolute: { totalVolumesUsed: 1, totalGigabytesUsed: 20, maxTotalVolumeGigabytes: 30 } },
    });
  });

  it('keeps it through a rebuild, which takes no other image', async () => {
    const id = await bench.server('a', await fromVolume());
    await bench.clock.advance(2_000);
    const other = await bench.idOf('/image/v2/images?name=debian-vm-2', 'images');
    const refused = await bench.nova('POST', `/servers/${id}/action`, {
      body: { rebuild: { imageRef: other } },
    });
    expect(refused.text).toContain('different image for a volume-backed server');
    const same = await bench.idOf('/image/v2/images?name=debian-vm', 'images');
    await bench.nova('POST', `/servers/${id}/action`, { body: { rebuild: { imageRef: same } } });
    await bench.clock.advance(2_000);
    expect(await bench.show(id)).toMatchObject({ status: 'ACTIVE', image: '' });
    expect(await volumes()).toHaveLength(1);
  });

  it('is told of a project that is not the caller’s', async () => {
    expect((await bench.call('GET', '/volume/v3/another/volumes')).status).toBe(400);
  });

  it('can be of a volume made before', async () => {
    const made = await cinder('POST', '/volumes', {
      volume: { size: 5, name: 'data', metadata: { a: 'b' } },
    });
    expect(made.status).toBe(202);
    const id = z.object({ volume: z.looseObject({ id: z.string() }) }).parse(made.body).volume.id;
    expect((await cinder('GET', `/volumes/${id}`)).body).toMatchObject({
      volume: { status: 'available', bootable: 'false', metadata: { a: 'b' } },
    });
    expect((await cinder('PUT', `/volumes/${id}`, { volume: { name: 'new' } })).body).toMatchObject({
      volume: { name: 'new' },
    });
    expect((await cinder('DELETE', `/volumes/${id}`)).status).toBe(202);
    expect((await cinder('GET', `/volumes/${id}`)).status).toBe(404);
  });
});

describe('a cloud with doors, zones and limits to order', () => {
  it('shows each region and interface in its catalog and tells in the journal which was taken', async () => {
    const bench = await ApiBench.start({
      regions: ['one', 'two'],
      doors: true,
      basePath: '/cloud',
      availabilityZones: ['a', 'b'],
      microversions: { max: '2.30' },
      quotas: { server_group_members: 1 },
    });
    try {
      const origin = bench.cloud.authUrl.replace(/\/identity\/v3$/, '');
      expect(origin).toMatch(/\/cloud$/);
      const token = (await bench.control.signIn('demo')).token;
      const get = async (path: string, headers: Record<string, string> = {}) =>
        fetch(`${origin}${path}`, { headers: { 'X-Auth-Token': token, ...headers } });
      const catalog = JSON.stringify(await (await get('/identity/v3/auth/catalog')).json());
      expect(catalog).toContain(`${origin}/at/two/internal/compute/v2.1`);
      expect((await get('/at/two/internal/compute/v2.1/servers')).status).toBe(200);
      expect(await bench.control.calls({ path: '/v2.1/servers' })).toEqual([
        expect.objectContaining({ door: 'two/internal', user: 'demo', project: 'demo', auth: 'password' }),
      ]);
      expect(await (await get('/compute/v2.1/')).json()).toMatchObject({ version: { version: '2.30' } });
      const newer = await get('/compute/v2.1/servers', { 'OpenStack-API-Version': 'compute 2.31' });
      expect(newer.status).toBe(406);
      const zones: unknown = await (await get('/compute/v2.1/os-availability-zone')).json();
      expect(zones).toMatchObject({ availabilityZoneInfo: [{ zoneName: 'a' }, { zoneName: 'b' }] });
    } finally {
      await bench.stop();
    }
  });

  it('refuses a server too many in a group, and a zone that is not there', async () => {
    const bench = await ApiBench.start({
      availabilityZones: ['a', 'b'],
      quotas: { server_group_members: 1 },
    });
    try {
      const made = await bench.nova('POST', '/os-server-groups', {
        body: { server_group: { name: 'g', policies: ['anti-affinity'] } },
      });
      const group = z.object({ server_group: z.looseObject({ id: z.string() }) }).parse(made.body)
        .server_group.id;
      const create = async (name: string, zone: string) =>
        bench.nova('POST', '/servers', {
          body: {
            server: {
              name,
              imageRef: await bench.idOf('/image/v2/images?name=debian-vm', 'images'),
              flavorRef: '1',
              availability_zone: zone,
              networks: [{ uuid: await bench.idOf('/network/v2.0/networks?name=net0', 'networks') }],
            },
            'os:scheduler_hints': { group },
          },
        });
      expect((await create('x', 'c')).text).toContain('availability zone is not available');
      expect((await create('x', 'b')).status).toBe(202);
      const over = await create('y', 'b');
      expect([over.status, over.text]).toEqual([403, expect.stringContaining('too many servers in group')]);
    } finally {
      await bench.stop();
    }
  });
});
