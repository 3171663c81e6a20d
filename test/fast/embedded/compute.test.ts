import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { ApiBench } from './bench.js';

describe('Nova', () => {
  let bench: ApiBench;
  beforeEach(async () => {
    bench = await ApiBench.start();
  });
  afterEach(() => bench.stop());

  it('negotiates microversions by either header, and refuses those it does not have', async () => {
    const plain = await bench.nova('GET', '/servers');
    expect(plain.headers.get('openstack-api-version')).toBe('compute 2.1');
    const old = await bench.nova('GET', '/servers', { headers: { 'X-OpenStack-Nova-API-Version': '2.26' } });
    expect(old.headers.get('x-openstack-nova-api-version')).toBe('2.26');
    const unknown = await bench.nova('GET', '/servers', { version: '2.999' });
    expect(unknown.status).toBe(406);
    expect(unknown.text).toContain('Minimum is 2.1 and maximum is 2.90');
    expect((await bench.nova('GET', '/servers', { version: 'two' })).status).toBe(400);
    expect((await bench.call('GET', '/compute/v2.1', { token: '' })).body).toMatchObject({
      version: { version: '2.90', min_version: '2.1' },
    });
  });

  it('builds a server in the steps that Nova shows, and deletes it in its own time', async () => {
    const id = await bench.server('vm', { metadata: { pool: 'p' } });
    const states: unknown[] = [];
    for (let step = 0; step < 6; step++) {
      const server = await bench.show(id);
      states.push(`${String(server['status'])}/${String(server['OS-EXT-STS:task_state'])}`);
      await bench.clock.advance(200);
    }
    expect([...new Set(states)]).toEqual([
      'BUILD/scheduling',
      'BUILD/networking',
      'BUILD/spawning',
      'ACTIVE/null',
    ]);
    expect(await bench.show(id)).toMatchObject({
      name: 'vm',
      metadata: { pool: 'p' },
      'OS-EXT-STS:vm_state': 'active',
      'OS-EXT-STS:power_state': 1,
      'OS-SRV-USG:launched_at': expect.stringMatching(/^2026-01-01T00:00:0\d\.\d{6}$/),
      addresses: { net0: [{ version: 4, addr: '127.77.0.10', 'OS-EXT-IPS:type': 'fixed' }] },
      security_groups: [{ name: 'default' }],
    });
    expect((await bench.nova('DELETE', `/servers/${id}`)).status).toBe(204);
    expect(await bench.show(id)).toMatchObject({ status: 'ACTIVE', 'OS-EXT-STS:task_state': 'deleting' });
    await bench.clock.advance(200);
    const gone = await bench.nova('GET', `/servers/${id}`);
    expect(gone.status).toBe(404);
    expect(gone.body).toEqual({ itemNotFound: { code: 404, message: `Instance ${id} could not be found.` } });
    expect(gone.headers.get('x-openstack-request-id')).toMatch(/^req-/);
    expect((await bench.neutron('GET', '/ports')).body).toEqual({ ports: [] });
    const log = await bench.nova('GET', `/servers/${id}/os-instance-actions`, { version: '2.21' });
    expect(
      z
        .array(z.looseObject({ action: z.string() }))
        .parse(log.body['instanceActions'])
        .map((each) => each.action),
    ).toEqual(['delete', 'create']);
    expect((await bench.nova('GET', `/servers/${id}/os-instance-actions`)).status).toBe(404);
  });

  it('shows fields only from the microversion that has them', async () => {
    const id = await bench.server('tagged', { tags: ['a', 'b'], description: 'why' }, '2.52');
    await bench.clock.advance(1000);
    const oldest = await bench.show(id);
    for (const field of ['tags', 'description', 'locked', 'server_groups', 'locked_reason'])
      expect(oldest).not.toHaveProperty([field]);
    expect(oldest['flavor']).toMatchObject({ id: '1' });
    expect(await bench.show(id, '2.73')).toMatchObject({
      tags: ['a', 'b'],
      description: 'why',
      locked: false,
      locked_reason: null,
      server_groups: [],
      flavor: { original_name: 'small', vcpus: 1, ram: 2048 },
    });
    expect((await bench.order('early', { tags: ['a'] })).status).toBe(400);
    expect((await bench.order('net', { networks: undefined }, '2.37')).status).toBe(400);
    expect((await bench.order('none', { networks: 'none' }, '2.37')).status).toBe(202);
    expect((await bench.order('none', { networks: 'none' })).status).toBe(400);
  });

  it('lists in pages, and filters by name, status, tags and time', async () => {
    for (const name of ['a-1', 'a-2', 'b-1']) {
      await bench.server(name, { tags: [name.slice(0, 1), 'all'] }, '2.52');
      await bench.clock.advance(1000);
    }
    await bench.server('b-2');
    expect(await bench.names('/servers/detail')).toEqual(['b-2', 'b-1', 'a-2', 'a-1']);
    expect(await bench.names('/servers?name=^a')).toEqual(['a-2', 'a-1']);
    expect(await bench.names('/servers?status=BUILD')).toEqual(['b-2']);
    expect(await bench.names('/servers?status=active&tags=a,all', '2.26')).toEqual(['a-2', 'a-1']);
    expect(await bench.names('/servers?tags-any=a,b', '2.26')).toEqual(['b-1', 'a-2', 'a-1']);
    expect(await bench.names('/servers?not-tags=all', '2.26')).toEqual(['b-2']);
    const since = new Date(bench.clock.now() + 1).toISOString();
    await bench.clock.advance(1000);
    expect(await bench.names(`/servers?changes-since=${since}`)).toEqual(['b-2']);

    const first = await bench.nova('GET', '/servers?limit=3');
    const links = z
      .array(z.object({ rel: z.literal('next'), href: z.string() }))
      .parse(first.body['servers_links']);
    const next = new URL(links[0]?.href ?? '');
    expect(await bench.names(`/servers${next.search}`)).toEqual(['a-1']);
    expect((await bench.nova('GET', '/servers?marker=unknown')).status).toBe(400);
    expect((await bench.nova('GET', '/servers?limit=many')).status).toBe(400);
  });

  it('shows every project to an administrator', async () => {
    const id = await bench.server('mine');
    const admin = await bench.login('admin');
    expect((await bench.nova('GET', `/servers/${id}`, { token: admin })).status).toBe(200);
    expect((await bench.nova('GET', '/servers/detail?all_tenants=1', { token: admin })).text).toContain(id);
  });

  it('changes metadata, tags, name and locks', async () => {
    const id = await bench.server('vm', { metadata: { a: '1' } });
    await bench.clock.advance(1000);
    await bench.nova('POST', `/servers/${id}/metadata`, { body: { metadata: { b: '2' } } });
    await bench.nova('PUT', `/servers/${id}/metadata/c`, { body: { meta: { c: '3' } } });
    await bench.nova('DELETE', `/servers/${id}/metadata/a`);
    expect((await bench.nova('GET', `/servers/${id}/metadata`)).body).toEqual({
      metadata: { b: '2', c: '3' },
    });
    await bench.nova('PUT', `/servers/${id}/metadata`, { body: { metadata: {} } });
    expect((await bench.nova('GET', `/servers/${id}/metadata/b`)).status).toBe(404);
    expect((await bench.nova('PUT', `/servers/${id}/tags`, { body: { tags: ['x'] } })).status).toBe(404);
    await bench.nova('PUT', `/servers/${id}/tags`, { body: { tags: ['x'] }, version: '2.26' });
    expect((await bench.nova('PUT', `/servers/${id}/tags/y`, { version: '2.26' })).status).toBe(201);
    expect((await bench.nova('GET', `/servers/${id}/tags`, { version: '2.26' })).body).toEqual({
      tags: ['x', 'y'],
    });
    expect(
      (await bench.nova('PUT', `/servers/${id}`, { body: { server: { name: 'renamed' } } })).body,
    ).toMatchObject({ server: { name: 'renamed' } });
    await bench.nova('POST', `/servers/${id}/action`, { body: { lock: null } });
    expect((await bench.nova('DELETE', `/servers/${id}`)).status).toBe(409);
    await bench.nova('POST', `/servers/${id}/action`, { body: { unlock: null } });
    expect((await bench.nova('DELETE', `/servers/${id}`)).status).toBe(204);
  });

  it('logs every action, and refuses those that the state does not allow', async () => {
    const id = await bench.server('vm');
    const act = (body: object): Promise<number> =>
      bench.nova('POST', `/servers/${id}/action`, { body }).then((answer) => answer.status);
    expect(await act({ 'os-stop': null })).toBe(409);
    await bench.clock.advance(1000);
    expect((await bench.control.servers())[0]?.actions).toEqual(['create']);
    expect(await act({ 'os-start': null })).toBe(409);
    expect(await act({ 'os-stop': null })).toBe(202);
    await bench.clock.advance(0);
    expect(await bench.show(id)).toMatchObject({ status: 'SHUTOFF', 'OS-EXT-STS:power_state': 4 });
    expect(await act({ 'os-start': null })).toBe(202);
    await bench.clock.advance(0);
    expect(await act({ resize: { flavorRef: '1' } })).toBe(400);
    expect(await act({ resize: { flavorRef: '2' } })).toBe(202);
    expect((await bench.show(id))['status']).toBe('RESIZE');
    await bench.clock.advance(1000);
    expect(await bench.show(id)).toMatchObject({ status: 'VERIFY_RESIZE', flavor: { id: '2' } });
    expect(await act({ confirmResize: null })).toBe(204);
    expect(await act({ dance: null })).toBe(400);
    expect(await act({ pause: null, lock: null })).toBe(400);
    const log = z
      .array(z.looseObject({ action: z.string(), request_id: z.string() }))
      .parse((await bench.nova('GET', `/servers/${id}/os-instance-actions`)).body['instanceActions']);
    expect(log.map((each) => each.action)).toEqual(['confirmResize', 'resize', 'start', 'stop', 'create']);
    const one = await bench.nova('GET', `/servers/${id}/os-instance-actions/${log.at(-1)?.request_id ?? ''}`);
    expect(one.body).toMatchObject({
      instanceAction: { events: [{ event: 'compute__do_build_and_run_instance', result: 'Success' }] },
    });
  });

  it('holds quotas and says so in its own words', async () => {
    await bench.control.setQuotas({ instances: 2 });
    await bench.server('a');
    await bench.server('b');
    const refused = await bench.order('c');
    expect(refused.status).toBe(403);
    expect(refused.body).toEqual({
      forbidden: {
        code: 403,
        message: 'Quota exceeded for instances: Requested 1, but already used 2 of 2 instances',
      },
    });
    await bench.control.setQuotas({ instances: -1, cores: 3, port: 2 });
    expect((await bench.order('big', { flavorRef: '3' })).text).toContain(
      'Quota exceeded for cores: Requested 4, but already used 2 of 3 cores',
    );
    await bench.clock.advance(1000);
    expect((await bench.order('ported')).text).toContain('Maximum number of ports exceeded');
    const { body } = await bench.nova('GET', '/limits');
    expect(body).toMatchObject({
      limits: {
        absolute: { maxTotalInstances: -1, totalInstancesUsed: 2, maxTotalCores: 3, totalCoresUsed: 2 },
      },
    });
    expect((await bench.nova('GET', '/os-quota-sets/demo/detail')).body).toMatchObject({
      quota_set: { cores: { limit: 3, reserved: 0 } },
    });
  });

  it('refuses what it does not know at once', async () => {
    const cases: [Record<string, unknown>, RegExp][] = [
      [{ flavorRef: '99' }, /Flavor 99 could not be found/],
      [{ imageRef: 'none' }, /Can not find requested image/],
      [{ key_name: 'missing' }, /Invalid key_name provided/],
      [{ networks: [{ uuid: 'nowhere' }] }, /Network nowhere could not be found/],
      [{ security_groups: [{ name: 'nope' }] }, /Unable to find security_group/],
      [{ availability_zone: 'mars' }, /availability zone is not available/],
      [{ name: '' }, /Invalid input for field\/attribute server.name/],
      [{ metadata: { a: 1 } }, /Invalid input for field/],
    ];
    for (const [more, message] of cases) {
      const answer = await bench.order('x', more);
      expect(answer.status).toBe(400);
      expect(answer.text).toMatch(message);
      expect(answer.body).toHaveProperty('badRequest');
    }
    expect((await bench.order('x', { networks: [] })).status).toBe(409);
    await bench.control.setImage('debian-vm-2', 'deactivated');
    const image = await bench.idOf('/image/v2/images?name=debian-vm-2', 'images');
    expect((await bench.order('x', { imageRef: image })).text).toMatch(/Image is not active/);
  });

  it('keeps key pairs and server groups', async () => {
    const publicKey = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMWdA2bv74FWVCmAz+uNnTBQRR+dqlafeo1WCOzOGXNj me';
    const keypair = { name: 'k', public_key: publicKey };
    expect((await bench.nova('POST', '/os-keypairs', { body: { keypair } })).status).toBe(200);
    const again = await bench.nova('POST', '/os-keypairs', { body: { keypair } });
    expect(again.body).toEqual({
      conflictingRequest: { code: 409, message: "Key pair 'k' already exists." },
    });
    expect((await bench.nova('GET', '/os-keypairs/k', { version: '2.2' })).body).toMatchObject({
      keypair: { type: 'ssh', public_key: publicKey },
    });
    const made = await bench.nova('POST', '/os-keypairs', {
      body: { keypair: { name: 'g' } },
      version: '2.2',
    });
    expect(made.status).toBe(201);
    expect(made.text).toContain('BEGIN OPENSSH PRIVATE KEY');
    expect((await bench.nova('DELETE', '/os-keypairs/k')).status).toBe(202);

    const old = await bench.nova('POST', '/os-server-groups', {
      body: { server_group: { name: 'g', policies: ['anti-affinity'] } },
    });
    expect(old.body).toMatchObject({ server_group: { policies: ['anti-affinity'], members: [] } });
    const now = await bench.nova('POST', '/os-server-groups', {
      body: { server_group: { name: 'n', policy: 'soft-affinity' } },
      version: '2.64',
    });
    expect(now.body).toMatchObject({ server_group: { policy: 'soft-affinity', rules: {} } });
    expect(
      (
        await bench.nova('POST', '/os-server-groups', {
          body: { server_group: { name: 'x', policies: ['soft-affinity'] } },
        })
      ).status,
    ).toBe(400);
  });
});
