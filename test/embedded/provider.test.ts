import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import * as openstack from '@pulumi/openstack';
import {
  LocalWorkspace,
  type PreviewResult,
  PulumiCommand,
  type Stack,
} from '@pulumi/pulumi/automation/index.js';
import { join } from 'node:path';
import { locateEngine } from '../../scripts/engine/locate.mjs';
import { Bench } from './bench.js';

const minutes = 60_000;

/** What a pool's user may put beside its instances, all of it at once. */
function program(publicKey: string) {
  return (): Promise<Record<string, unknown>> => {
    const network = openstack.networking.getNetworkOutput({ name: 'net0' });
    const image = openstack.images.getImageOutput({ name: 'debian-vm', mostRecent: true });
    const flavor = openstack.compute.getFlavorOutput({ name: 'small' });
    const key = new openstack.compute.Keypair('key', { publicKey });
    const own = new openstack.networking.Network('own');
    const subnet = new openstack.networking.Subnet('own', {
      networkId: own.id,
      cidr: '127.20.5.0/24',
      ipVersion: 4,
    });
    const group = new openstack.networking.SecGroup('ssh', { description: 'SSH only' });
    const rule = new openstack.networking.SecGroupRule('ssh', {
      securityGroupId: group.id,
      direction: 'ingress',
      ethertype: 'IPv4',
      protocol: 'tcp',
      portRangeMin: 22,
      portRangeMax: 22,
      remoteIpPrefix: '0.0.0.0/0',
    });
    const together = new openstack.compute.ServerGroup('spread', { policies: ['soft-anti-affinity'] });
    const port = new openstack.networking.Port('port', {
      networkId: network.id,
      securityGroupIds: [group.id],
    });
    const floating = new openstack.networking.FloatingIp('address', { pool: 'public', portId: port.id });
    const common = { imageId: image.id, flavorId: flavor.id, keyPair: key.name, metadata: { pool: 'demo' } };
    const plain = new openstack.compute.Instance('plain', {
      ...common,
      name: 'plain',
      tags: ['vmpool'],
      configDrive: true,
      userData: '#!/bin/sh\ntouch /run/told\n',
      securityGroups: [group.name],
      networks: [{ uuid: network.id }],
      schedulerHints: [{ group: together.id }],
    });
    const ported = new openstack.compute.Instance('ported', {
      ...common,
      name: 'ported',
      networks: [{ port: port.id }],
    });
    return Promise.resolve({
      plain: plain.accessIpV4,
      ported: ported.accessIpV4,
      floating: floating.address,
      subnet: subnet.cidr,
      rule: rule.id,
    });
  };
}

describe('the real OpenStack provider', () => {
  let bench: Bench;
  let stack: Stack;

  beforeAll(async () => {
    bench = await Bench.start();
    const engine = locateEngine();
    const pulumiCommand = await PulumiCommand.get({ root: join(engine.binDir, '..') });
    stack = await LocalWorkspace.createOrSelectStack(
      { stackName: 'lab', projectName: 'lab', program: program(bench.key.publicLine) },
      {
        pulumiCommand,
        pulumiHome: engine.pulumiHome,
        projectSettings: { name: 'lab', runtime: 'nodejs', backend: { url: `file://${bench.folder}` } },
        envVars: {
          ...bench.cloud.env,
          PATH: `${engine.binDir}:${process.env['PATH'] ?? ''}`,
          PULUMI_CONFIG_PASSPHRASE: 'test',
          PULUMI_SKIP_UPDATE_CHECK: 'true',
        },
      },
    );
  }, 2 * minutes);
  afterAll(() => bench.stop(), minutes);

  it(
    'creates, reads back without a difference, and deletes',
    async () => {
      const up = await stack.up();
      const address = String(up.outputs['plain']?.value);
      await bench.untilSsh(address);
      expect(
        (await bench.ssh(address, 'hostname; ls /run/told /run/vm-config-drive/openstack/latest/user_data'))
          .stdout,
      ).toBe('plain\n/run/told\n/run/vm-config-drive/openstack/latest/user_data\n');
      await bench.untilSsh(String(up.outputs['floating']?.value));
      expect((await bench.ssh(String(up.outputs['floating']?.value), 'hostname')).stdout).toBe('ported\n');

      const refreshed = await stack.refresh();
      expect(refreshed.summary.resourceChanges).toEqual({ same: expect.any(Number) });
      const preview: PreviewResult = await stack.preview();
      expect(preview.changeSummary).toEqual({ same: expect.any(Number) });
      expect((await bench.control.servers()).map((server) => server.actions)).toEqual([
        ['create'],
        ['create'],
      ]);

      await stack.destroy();
      expect(await bench.control.servers()).toEqual([]);
      for (const [path, list] of [
        ['/network/v2.0/ports', 'ports'],
        ['/network/v2.0/floatingips', 'floatingips'],
        ['/compute/v2.1/os-server-groups', 'server_groups'],
      ] as const)
        expect((await bench.api.call('GET', path)).body).toEqual({ [list]: [] });
    },
    4 * minutes,
  );
});
