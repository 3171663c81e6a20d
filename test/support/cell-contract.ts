import { randomUUID } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import type { CellMember, CellWish, Engine, EngineEvent } from '../../src/engine/port.js';
import type { CellName, MemberName, MemberSpec } from '../../src/pool/model.js';
import { generationOf } from '../../stacks/shape.js';
import { openEnginesOn, requireFreshBuild, type Engines } from './engine.js';
import { PlainApi, type ApiService } from './plain-api.js';
import { eventually } from './site.js';

/** A started OpenStack, embedded or real, as these tests need it. */
export interface CloudForCells {
  /** OS_* variables of an ordinary member of a project that nobody else uses meanwhile. */
  readonly env: Readonly<Record<string, string>>;
  /** Names; each must exist once. */
  readonly flavor: string;
  readonly image: string;
  readonly networks: readonly [string, string];
  /** Of the cloud's zones: with two, the members are in different ones. */
  readonly zones: readonly string[];
  /** External network, with a router to the first network. */
  readonly floatingIpPool: string;
  /** There is Cinder. */
  readonly volumes: boolean;
  /** Every server gets a config drive, asked for or not. */
  readonly forcesConfigDrive: boolean;
  /** MAC addresses of the machine's network cards, in its order; where servers have machines. */
  readonly cards?: (serverId: string) => readonly string[];
  /** How long a server may take to become ACTIVE or to be gone. */
  readonly patienceMs: number;
}

const address = z.object({
  addr: z.string(),
  'OS-EXT-IPS:type': z.enum(['fixed', 'floating']),
  'OS-EXT-IPS-MAC:mac_addr': z.string(),
});
const serverShape = z.object({
  name: z.string(),
  status: z.string(),
  flavor: z.object({ original_name: z.string() }),
  image: z.union([z.literal(''), z.object({ id: z.string() })]),
  addresses: z.record(z.string(), z.array(address)),
  'OS-EXT-AZ:availability_zone': z.string(),
  config_drive: z.string(),
  security_groups: z.array(z.object({ name: z.string() })),
  server_groups: z.array(z.string()),
  metadata: z.record(z.string(), z.string()),
  tags: z.array(z.string()),
  'os-extended-volumes:volumes_attached': z.array(
    z.object({ id: z.string(), delete_on_termination: z.boolean() }),
  ),
});
type ServerSeen = z.output<typeof serverShape>;
const portsShape = z.object({
  ports: z.array(
    z.object({
      id: z.string(),
      network_id: z.string(),
      mac_address: z.string(),
      security_groups: z.array(z.string()),
      fixed_ips: z.array(z.object({ ip_address: z.string() })),
    }),
  ),
});
const floatingIpsShape = z.object({
  floatingips: z.array(
    z.object({
      id: z.string(),
      description: z.string(),
      floating_network_id: z.string(),
      floating_ip_address: z.string(),
      fixed_ip_address: z.string().nullable(),
      port_id: z.string().nullable(),
    }),
  ),
});
const groupsShape = z.object({
  server_groups: z.array(
    z.object({ id: z.string(), name: z.string(), policy: z.string(), members: z.array(z.string()) }),
  ),
});
const volumeShape = z.object({
  volume: z.object({ size: z.number(), volume_image_metadata: z.object({ image_id: z.string() }) }),
});

/** What a cell is made of, and so what it must not leave behind. */
const kinds = {
  servers: 'compute',
  'os-server-groups': 'compute',
  floatingips: 'network',
  ports: 'network',
  volumes: 'volumev3',
} as const satisfies Record<string, ApiService>;
type Kind = keyof typeof kinds;
const listed = z.array(z.looseObject({ id: z.string(), name: z.string().optional() }));
const securityGroupShape = z.object({ security_group: z.object({ id: z.string() }) });

const policy = 'soft-anti-affinity';
const bootVolumeGiB = 2;
const never = new AbortController().signal;

/**
 * What a cell asks of OpenStack through Pulumi and its provider, and finds there: two cells of one member each, brought up
 * by the engine, which differ wherever a cloud's default or a fixed order could pass for what was asked. Everything
 * is read from the cloud's APIs. `open` and `stop` own the cloud; the contract deletes what it makes.
 */
export function cellContract(
  name: string,
  open: () => Promise<CloudForCells>,
  stop: () => Promise<void>,
  /** Most that opening the cloud and waiting for a server take together. */
  limitMs: number,
): void {
  describe(`cells that the engine brings up on ${name}`, () => {
    let cloud: CloudForCells;
    let api: PlainApi;
    let engines: Engines;
    let engine: Engine;
    let before: ReadonlySet<string>;
    /** Ids by name. */
    let images: ReadonlyMap<string, string>;
    let networks: ReadonlyMap<string, string>;
    let securityGroups: ReadonlyMap<string, string>;
    let ownGroup: string;
    let cells: readonly { readonly cell: CellName; readonly member: CellMember; readonly zone: string }[];
    const created = new Map<MemberName, Extract<EngineEvent, { readonly type: 'created' }>>();
    const failed: EngineEvent[] = [];
    /** Done last first, each whatever became of the others. */
    const atTheEnd: (() => Promise<unknown>)[] = [];

    const of = <T>(map: ReadonlyMap<string, T>, key: string): T => {
      const found = map.get(key);
      if (found === undefined) throw new Error(`there is no ${key}`);
      return found;
    };
    const listOf = async (service: ApiService, list: string): Promise<z.output<typeof listed>> => {
      const answer = z.record(z.string(), z.unknown()).parse(await api.call(service, 'GET', `/${list}`));
      return listed.parse(answer[list.replace(/^os-/, '').replaceAll('-', '_')]);
    };
    const idsByName = async (service: ApiService, list: string): Promise<ReadonlyMap<string, string>> =>
      new Map((await listOf(service, list)).map(({ id, name: known }) => [known ?? '', id]));

    /** All that the project has, each as `KIND/ID`. */
    const everything = async (): Promise<ReadonlySet<string>> => {
      const there = Object.entries(kinds).filter(([kind]) => kind !== 'volumes' || cloud.volumes);
      const lists = await Promise.all(
        there.map(async ([kind, service]) => (await listOf(service, kind)).map(({ id }) => `${kind}/${id}`)),
      );
      return new Set(lists.flat());
    };
    /** What has come since the beginning, of these kinds. */
    const extra = async (...wanted: readonly Kind[]): Promise<readonly string[]> =>
      [...(await everything())].filter(
        (each) => !before.has(each) && wanted.some((kind) => each.startsWith(`${kind}/`)),
      );

    const none = (...wanted: readonly Kind[]): Promise<unknown> =>
      eventually(
        `${wanted.join(', ')}: none is left`,
        cloud.patienceMs,
        async () => (await extra(...wanted)).length === 0,
      );

    const idOf = (member: CellMember): string => of(created, member.name).serverId;
    const serverOf = async (member: CellMember): Promise<ServerSeen> => {
      const shape = z.object({ server: serverShape });
      return shape.parse(await api.call('compute', 'GET', `/servers/${idOf(member)}`)).server;
    };
    const portsOf = async (member: CellMember): Promise<z.output<typeof portsShape>['ports']> =>
      portsShape.parse(await api.call('network', 'GET', `/ports?device_id=${idOf(member)}`)).ports;
    const floatingIpOf = async (
      member: CellMember,
    ): Promise<z.output<typeof floatingIpsShape>['floatingips'][number]> => {
      const description = `vmpool ${engines.options.installation} ${member.name}`;
      const { floatingips } = floatingIpsShape.parse(await api.call('network', 'GET', '/floatingips'));
      const ours = floatingips.filter((each) => each.description === description);
      if (ours[0] === undefined || ours.length > 1)
        throw new Error(`${String(ours.length)} floating IPs: ${description}`);
      return ours[0];
    };

    const converge = (
      cell: CellName,
      members: CellWish['members'],
      retire: readonly MemberName[] = [],
    ): ReturnType<Engine['converge']> =>
      engine.converge(
        { cell, members, retire },
        (event) => {
          if (event.type === 'created') created.set(event.member, event);
          else if (event.type === 'createFailed') failed.push(event);
        },
        never,
      );

    const asksFor = (member: string, changes: Partial<MemberSpec>): CellMember => {
      const spec: MemberSpec = {
        flavor: cloud.flavor,
        image: cloud.image,
        networks: cloud.networks,
        sshNetwork: cloud.networks[0],
        siteNetwork: cloud.networks[0],
        securityGroups: [ownGroup],
        availabilityZones: cloud.zones,
        userData: '#!/bin/sh\ntrue\n',
        metadata: { site: `of ${member}` },
        configDrive: false,
        bootVolumeGiB: null,
        floatingIpPool: cloud.floatingIpPool,
        serverGroupPolicy: policy,
        ...changes,
      };
      return { name: member as MemberName, generation: generationOf(spec), spec, made: false };
    };

    beforeAll(async () => {
      requireFreshBuild();
      cloud = await open();
      atTheEnd.push(stop);
      api = await PlainApi.signIn(cloud.env);
      before = await everything();
      ownGroup = `cells-${randomUUID().slice(0, 8)}`;
      const wanted = { security_group: { name: ownGroup } };
      const made = securityGroupShape.parse(await api.call('network', 'POST', '/security-groups', wanted));
      atTheEnd.push(
        () => api.call('network', 'DELETE', `/security-groups/${made.security_group.id}`),
        // Whatever a failed test left: a real cloud is there for the next file, too.
        async () => {
          for (const kind of ['servers', 'floatingips', 'os-server-groups'] as const)
            for (const thing of await extra(kind)) await api.call(kinds[kind], 'DELETE', `/${thing}`);
          await none('servers', 'ports');
        },
      );
      engines = openEnginesOn(
        mkdtempSync(join(tmpdir(), 'vmpool-cells-')),
        cloud.env,
        () => Promise.resolve(),
        { createTimeoutMs: cloud.patienceMs },
      );
      atTheEnd.push(() => engines.close());
      images = await idsByName('image', 'images');
      networks = await idsByName('network', 'networks');
      securityGroups = await idsByName('network', 'security-groups');
      const flavors = await idsByName('compute', 'flavors');

      const [first, second] = cloud.networks;
      const zone = (sequence: number): string => cloud.zones[sequence % cloud.zones.length] ?? '';
      cells = [
        {
          cell: 'c001' as CellName,
          zone: zone(1),
          // By ids, as the service asks once it has adopted a shape.
          member: asksFor('p-1-aa', {
            securityGroups: ['default', ownGroup],
            configDrive: true,
            pinned: {
              flavor: of(flavors, cloud.flavor),
              image: of(images, cloud.image),
              networks: cloud.networks.map((each) => ({ id: of(networks, each), name: each })),
              tags: true,
            },
          }),
        },
        {
          cell: 'c002' as CellName,
          zone: zone(2),
          // Its SSH network, where the floating IP goes, is the second one.
          member: asksFor('p-2-bb', {
            networks: [second, first],
            bootVolumeGiB: cloud.volumes ? bootVolumeGiB : null,
          }),
        },
      ];
      engine = await engines.open();
    }, limitMs);

    afterAll(async () => {
      const errors: unknown[] = [];
      for (const close of atTheEnd.reverse()) await close().catch((error: unknown) => errors.push(error));
      expect(errors).toEqual([]);
    }, limitMs);

    const they = (what: string, holds: () => Promise<void>): void => {
      it(what, holds, limitMs);
    };

    they('come up side by side', async () => {
      const results = await Promise.all(cells.map(({ cell, member }) => converge(cell, [member])));
      expect(results).toEqual(
        cells.map(({ member }) => ({
          ok: true,
          state: {
            instances: [{ member: member.name, serverId: expect.any(String) }],
            lostCreates: [],
            unlisted: [],
          },
        })),
      );
      for (const { member } of cells)
        expect(await serverOf(member)).toMatchObject({ name: member.name, status: 'ACTIVE' });
    });

    they('have the flavor and the image of their members', async () => {
      for (const { member } of cells) {
        const server = await serverOf(member);
        expect(server.flavor.original_name).toBe(cloud.flavor);
        const image = { id: of(images, cloud.image) };
        const attached = server['os-extended-volumes:volumes_attached'];
        if (member.spec.bootVolumeGiB === null) {
          expect(server.image).toMatchObject(image);
          expect(attached).toEqual([]);
          continue;
        }
        expect(server.image).toBe('');
        expect(attached).toEqual([{ id: expect.any(String), delete_on_termination: true }]);
        const answer = await api.call('volumev3', 'GET', `/volumes/${attached[0]?.id ?? ''}`);
        expect(volumeShape.parse(answer).volume).toEqual({
          size: bootVolumeGiB,
          volume_image_metadata: { image_id: image.id },
        });
      }
    });

    they('have their networks in the order asked for', async () => {
      for (const { member } of cells) {
        // Nova tells addresses in the order of the create; os-interface and Neutron's ports come in any.
        const server = await serverOf(member);
        expect(Object.keys(server.addresses)).toEqual(member.spec.networks);
        const ports = await portsOf(member);
        const inOrder = member.spec.networks.map((network) => {
          const [port, ...others] = ports.filter(({ network_id }) => network_id === of(networks, network));
          expect(others).toEqual([]);
          return port;
        });
        expect(ports).toHaveLength(inOrder.length);
        const fixed = Object.values(server.addresses).map((list) =>
          list.filter((each) => each['OS-EXT-IPS:type'] === 'fixed'),
        );
        expect(fixed.map((list) => list.map(({ addr }) => addr))).toEqual(
          inOrder.map((port) => port?.fixed_ips.map(({ ip_address }) => ip_address)),
        );
        const macs = inOrder.map((port) => port?.mac_address);
        expect(fixed.map(([each]) => each?.['OS-EXT-IPS-MAC:mac_addr'])).toEqual(macs);
        if (cloud.cards !== undefined) expect(cloud.cards(idOf(member))).toEqual(macs);
      }
    });

    they('have the security groups asked for and no other, on every port', async () => {
      for (const { member } of cells) {
        const { securityGroups: wanted } = member.spec;
        const { security_groups: shown } = await serverOf(member);
        // Nova tells them for each port anew.
        expect(new Set(shown.map((group) => group.name))).toEqual(new Set(wanted));
        for (const port of await portsOf(member))
          expect([...port.security_groups].sort()).toEqual(
            wanted.map((each) => of(securityGroups, each)).sort(),
          );
      }
    });

    they('are in the zones of their members', async () => {
      for (const { member, zone } of cells)
        expect((await serverOf(member))['OS-EXT-AZ:availability_zone']).toBe(zone);
    });

    they('have a config drive where one was asked for', async () => {
      for (const { member } of cells) {
        const drive = member.spec.configDrive || cloud.forcesConfigDrive;
        expect((await serverOf(member)).config_drive).toBe(drive ? 'True' : '');
      }
    });

    they('have the metadata and the tags that tell whose they are', async () => {
      const { installation, pool } = engines.options;
      for (const { cell, member } of cells) {
        const { metadata, tags } = await serverOf(member);
        expect(metadata).toEqual({
          site: `of ${member.name}`,
          vmpool_installation: installation,
          vmpool_pool: pool,
          vmpool_cell: cell,
          vmpool_member: member.name,
          vmpool_generation: member.generation,
        });
        expect([...tags].sort()).toEqual([installation, 'vmpool'].sort());
      }
    });

    they('have a server group each, whose member is their own', async () => {
      const shown = groupsShape.parse(await api.call('compute', 'GET', '/os-server-groups')).server_groups;
      const groups = shown.filter(({ id }) => !before.has(`os-server-groups/${id}`));
      expect(groups).toHaveLength(cells.length);
      for (const { cell, member } of cells) {
        const groupName = `${engines.options.pool}-${cell}-${policy}`;
        const group = groups.find((each) => each.name === groupName);
        expect(group).toMatchObject({ policy, members: [idOf(member)] });
        expect((await serverOf(member)).server_groups).toEqual([group?.id]);
      }
    });

    they('have a floating IP each, on the port of the SSH network, and tell it', async () => {
      for (const { member } of cells) {
        const { sshNetwork } = member.spec;
        const ports = await portsOf(member);
        const port = ports.find(({ network_id }) => network_id === of(networks, sshNetwork));
        const floating = await floatingIpOf(member);
        expect(floating).toMatchObject({
          floating_network_id: of(networks, cloud.floatingIpPool),
          port_id: port?.id,
          fixed_ip_address: port?.fixed_ips[0]?.ip_address,
        });
        const outside = floating.floating_ip_address;
        // Nova learns it from Neutron, some time after.
        await eventually(`${outside} is an address of ${member.name}`, cloud.patienceMs, async () =>
          (await serverOf(member)).addresses[sshNetwork]?.some(
            (each) => each.addr === outside && each['OS-EXT-IPS:type'] === 'floating',
          ),
        );
        const told = member.spec.networks.map((network) => {
          const on = ports.filter(({ network_id }) => network_id === of(networks, network));
          const inside = on.flatMap(({ fixed_ips }) => fixed_ips.map(({ ip_address }) => ip_address));
          return [network, network === sshNetwork ? [...inside, outside] : inside];
        });
        expect(of(created, member.name).addresses).toEqual(Object.fromEntries(told));
      }
    });

    they('hear that the cloud refuses a zone that it does not have', async () => {
      const [first] = cells;
      if (first === undefined) throw new Error('there is no cell');
      const { pinned } = first.member.spec;
      const refused = asksFor('p-3-cc', { availabilityZones: ['nowhere'], pinned });
      const result = await converge(first.cell, [{ ...first.member, made: true }, refused]);
      expect(result).toMatchObject({
        ok: false,
        kind: 'resources',
        // One server that is not made does not end the cell's program.
        message: expect.not.stringContaining('Unhandled exception'),
        state: { instances: [{ member: first.member.name }], lostCreates: [], unlisted: [] },
      });
      expect(failed).toEqual([
        expect.objectContaining({
          member: refused.name,
          message: expect.stringContaining('The requested availability zone is not available'),
        }),
      ]);
      expect(await extra('servers')).toHaveLength(cells.length);
    });

    they('go without a trace, and without each other', async () => {
      const retired = ['p-1-aa', 'p-3-cc'] as readonly string[] as readonly MemberName[];
      const [first, second] = cells;
      if (first === undefined || second === undefined) throw new Error('there are not two cells');
      const empty = { ok: true, state: { instances: [], lostCreates: [], unlisted: [] } };
      expect(await converge(first.cell, [], retired)).toEqual(empty);
      expect(await api.status('compute', `/servers/${idOf(first.member)}`)).toBe(404);
      const { server_groups: group } = await serverOf(second.member);
      const floating = await floatingIpOf(second.member);
      const left = [
        `servers/${idOf(second.member)}`,
        `os-server-groups/${group[0] ?? ''}`,
        `floatingips/${floating.id}`,
      ];
      expect([...(await extra('servers', 'os-server-groups', 'floatingips'))].sort()).toEqual(left.sort());
      expect(await portsOf(second.member)).toHaveLength(2);
      expect(floating.port_id).not.toBeNull();

      expect(await converge(second.cell, [], [second.member.name])).toEqual(empty);
      expect(await extra('servers', 'os-server-groups', 'floatingips')).toEqual([]);
      // The cloud deletes those itself, with their servers.
      await none('ports', 'volumes');
    });
  });
}
