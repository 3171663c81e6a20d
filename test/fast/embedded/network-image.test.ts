import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { ApiBench, type Answer } from './bench.js';

const thing = z.looseObject({ id: z.string() });

describe('Neutron and Glance', () => {
  let bench: ApiBench;
  beforeEach(async () => {
    bench = await ApiBench.start();
  });
  afterEach(() => bench.stop());

  const made = (answer: Answer, key: string): z.infer<typeof thing> => {
    expect(answer.status).toBe(201);
    return thing.parse(answer.body[key]);
  };

  it('makes networks, subnets and ports, and refuses to delete what is in use', async () => {
    const network = made(await bench.neutron('POST', '/networks', { network: { name: 'own' } }), 'network');
    const subnet = made(
      await bench.neutron('POST', '/subnets', {
        subnet: { network_id: network.id, cidr: '127.30.1.0/24', ip_version: 4 },
      }),
      'subnet',
    );
    expect(subnet).toMatchObject({ cidr: '127.30.1.0/24', gateway_ip: '127.30.1.1' });
    const port = made(
      await bench.neutron('POST', '/ports', {
        port: { network_id: network.id, fixed_ips: [{ ip_address: '127.30.1.77' }] },
      }),
      'port',
    );
    expect(port).toMatchObject({
      fixed_ips: [{ subnet_id: subnet.id, ip_address: '127.30.1.77' }],
      status: 'DOWN',
    });
    const taken = await bench.neutron('POST', '/ports', {
      port: { network_id: network.id, fixed_ips: [{ ip_address: '127.30.1.77' }] },
    });
    expect(taken.body).toMatchObject({ NeutronError: { type: 'IpAddressAlreadyAllocated' } });
    expect((await bench.neutron('DELETE', `/networks/${network.id}`)).body).toMatchObject({
      NeutronError: { type: 'NetworkInUse' },
    });
    expect((await bench.neutron('DELETE', `/ports/${port.id}`)).status).toBe(204);
    expect((await bench.neutron('DELETE', `/networks/${network.id}`)).status).toBe(204);
    expect((await bench.neutron('GET', `/networks/${network.id}`)).body).toEqual({
      NeutronError: {
        type: 'NetworkNotFound',
        message: `Network ${network.id} could not be found.`,
        detail: '',
      },
    });
  });

  it('filters by any shown field, and pages', async () => {
    expect(await bench.idOf('/network/v2.0/networks?router:external=true', 'networks')).toBe(
      await bench.idOf('/network/v2.0/networks?name=public', 'networks'),
    );
    const first = await bench.neutron('GET', '/networks?limit=2');
    expect(z.array(thing).parse(first.body['networks'])).toHaveLength(2);
    const next = z.array(z.object({ href: z.string() })).parse(first.body['networks_links'])[0]?.href ?? '';
    expect(
      z.array(thing).parse((await bench.neutron('GET', `/networks${new URL(next).search}`)).body['networks']),
    ).toHaveLength(1);
  });

  it('keeps security groups with their rules', async () => {
    const group = made(
      await bench.neutron('POST', '/security-groups', { security_group: { name: 'ssh' } }),
      'security_group',
    );
    const rule = {
      security_group_id: group.id,
      direction: 'ingress',
      ethertype: 'IPv4',
      protocol: 'tcp',
      port_range_min: 22,
      port_range_max: 22,
    };
    made(
      await bench.neutron('POST', '/security-group-rules', { security_group_rule: rule }),
      'security_group_rule',
    );
    expect(
      (await bench.neutron('POST', '/security-group-rules', { security_group_rule: rule })).body,
    ).toMatchObject({ NeutronError: { type: 'SecurityGroupRuleExists' } });
    const server = await bench.server('vm', { security_groups: [{ name: 'ssh' }] });
    await bench.clock.advance(1000);
    expect(await bench.show(server)).toMatchObject({ security_groups: [{ name: 'ssh' }] });
    expect((await bench.neutron('DELETE', `/security-groups/${group.id}`)).body).toMatchObject({
      NeutronError: { type: 'SecurityGroupInUse' },
    });
    await bench.nova('POST', `/servers/${server}/action`, {
      body: { addSecurityGroup: { name: 'default' } },
    });
    await bench.nova('POST', `/servers/${server}/action`, { body: { removeSecurityGroup: { name: 'ssh' } } });
    expect((await bench.neutron('DELETE', `/security-groups/${group.id}`)).status).toBe(204);
  });

  it('binds floating addresses to ports, and shows them on the server', async () => {
    const server = await bench.server('vm');
    await bench.clock.advance(1000);
    const port = await bench.idOf(`/network/v2.0/ports?device_id=${server}`, 'ports');
    const network = await bench.idOf('/network/v2.0/networks?name=public', 'networks');
    const floating = made(
      await bench.neutron('POST', '/floatingips', {
        floatingip: { floating_network_id: network, port_id: port },
      }),
      'floatingip',
    );
    expect(await bench.show(server)).toMatchObject({
      addresses: {
        net0: [
          { 'OS-EXT-IPS:type': 'fixed' },
          { 'OS-EXT-IPS:type': 'floating', addr: floating['floating_ip_address'] },
        ],
      },
    });
    await bench.neutron('PUT', `/floatingips/${floating.id}`, { floatingip: { port_id: null } });
    expect((await bench.neutron('GET', `/floatingips/${floating.id}`)).body).toMatchObject({
      floatingip: { status: 'DOWN', port_id: null },
    });
    expect((await bench.neutron('DELETE', `/floatingips/${floating.id}`)).status).toBe(204);
    expect((await bench.neutron('GET', '/quotas/demo/details')).body).toMatchObject({
      quota: { floatingip: { limit: 50, used: 0 } },
    });
  });

  it('holds network quotas in its own words', async () => {
    await bench.control.setQuotas({ floatingip: 0 });
    const network = await bench.idOf('/network/v2.0/networks?name=public', 'networks');
    const refused = await bench.neutron('POST', '/floatingips', {
      floatingip: { floating_network_id: network },
    });
    expect(refused.status).toBe(409);
    expect(refused.body).toEqual({
      NeutronError: {
        type: 'OverQuota',
        message: "Quota exceeded for resources: ['floatingip'].",
        detail: '',
      },
    });
  });

  it('lists images by name, id, tag and order, and hides deleted ones', async () => {
    const names = async (query: string): Promise<string[]> => {
      const { body } = await bench.call('GET', `/image/v2/images${query}`);
      return z
        .array(z.looseObject({ name: z.string() }))
        .parse(body['images'])
        .map((image) => image.name);
    };
    expect(await names('?sort=name:asc')).toEqual(['debian-vm', 'debian-vm-2']);
    expect(await names('?name=debian-vm-2&visibility=public&tag=vm')).toEqual(['debian-vm-2']);
    expect(await names('?tag=other')).toEqual([]);
    const page = await bench.call('GET', '/image/v2/images?limit=1&sort=name:asc');
    expect(page.body['next']).toMatch(/^\/v2\/images\?limit=1&sort=name%3Aasc&marker=/);
    await bench.control.setImage('debian-vm', 'deleted');
    expect(await names('')).toEqual(['debian-vm-2']);
    const missing = await bench.call('GET', '/image/v2/images/unknown');
    expect(missing.status).toBe(404);
    expect(missing.text).toContain('No image found with ID unknown');
  });
});
