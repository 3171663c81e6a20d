import * as openstack from '@pulumi/openstack';
import * as pulumi from '@pulumi/pulumi';
import type { CellPlan, InstancePlan, NameOrId } from './cell-plan.js';

/** Addresses by network name, fixed ones first, as a stack output carries them. */
type Addresses = Record<string, string[]>;

/**
 * Registers a cell's resources and returns its outputs. Everything is protected and ignores changes of every
 * input: a member's spec is pinned, and in the provider a changed image is a rebuild in place and a changed
 * flavor a resize in place, either of which would end a running job. Credentials come from the environment
 * through the default provider and are never inputs, which would land in the state.
 */
export const registerCell = (plan: CellPlan): { members: Record<string, unknown> } => {
  const pinned: pulumi.CustomResourceOptions = {
    protect: true,
    ignoreChanges: ['*'],
    customTimeouts: { create: plan.timeout, delete: plan.timeout },
  };
  const groups = new Map(
    plan.serverGroups.map(({ resource, name, policy }) => [
      resource,
      new openstack.compute.ServerGroup(resource, { name, policies: [policy] }, pinned),
    ]),
  );
  const members: Record<string, unknown> = {};
  for (const instance of plan.instances) {
    const group = instance.serverGroup === null ? undefined : groups.get(instance.serverGroup);
    members[instance.resource] = registerInstance(instance, group, pinned);
  }
  return { members };
};

const registerInstance = (
  plan: InstancePlan,
  group: openstack.compute.ServerGroup | undefined,
  pinned: pulumi.CustomResourceOptions,
): unknown => {
  const { args } = plan;
  const server = new openstack.compute.Instance(
    plan.resource,
    {
      name: args.name,
      ...(args.flavor.kind === 'id' ? { flavorId: args.flavor.id } : { flavorName: args.flavor.name }),
      ...bootFrom(args.image, args.bootVolumeGiB),
      networks: args.networks.map((network) =>
        network.kind === 'id' ? { uuid: network.id } : { name: network.name },
      ),
      securityGroups: [...args.securityGroups],
      ...(args.availabilityZone === null ? {} : { availabilityZone: args.availabilityZone }),
      userData: args.userData,
      metadata: { ...args.metadata },
      ...(args.tags.length === 0 ? {} : { tags: [...args.tags] }),
      configDrive: args.configDrive,
      stopBeforeDestroy: false,
      ...(group === undefined ? {} : { schedulerHints: [{ group: group.id }] }),
    },
    pinned,
  );
  const fixed = server.networks.apply(fixedAddresses);
  return {
    id: server.id,
    name: server.name,
    addresses: plan.floatingIp === null ? fixed : withFloatingIp(plan.floatingIp, server, fixed, pinned),
    generation: plan.generation,
  };
};

/** From the image, or from a new volume made of it which Nova deletes with the server. */
const bootFrom = (image: NameOrId, bootVolumeGiB: number | null): Partial<openstack.compute.InstanceArgs> => {
  if (bootVolumeGiB === null) {
    return image.kind === 'id' ? { imageId: image.id } : { imageName: image.name };
  }
  const uuid =
    image.kind === 'id'
      ? image.id
      : openstack.images.getImageOutput({ name: image.name, mostRecent: true }).apply((found) => found.id);
  return {
    blockDevices: [
      {
        uuid,
        sourceType: 'image',
        destinationType: 'volume',
        volumeSize: bootVolumeGiB,
        bootIndex: 0,
        deleteOnTermination: true,
      },
    ],
  };
};

const withFloatingIp = (
  plan: NonNullable<InstancePlan['floatingIp']>,
  server: openstack.compute.Instance,
  fixed: pulumi.Output<Addresses>,
  pinned: pulumi.CustomResourceOptions,
): pulumi.Output<Addresses> => {
  const floating = new openstack.networking.FloatingIp(
    plan.resource,
    { pool: plan.pool, description: plan.description },
    pinned,
  );
  const inside = server.networks.apply((networks) => networks[plan.interfaceIndex]);
  const association = new openstack.networking.FloatingIpAssociate(
    plan.association,
    {
      floatingIp: floating.address,
      portId: pulumi.all([server.id, inside]).apply(([id, network]) => portOf(id, network?.fixedIpV4 ?? '')),
    },
    { ...pinned, dependsOn: [server, floating] },
  );
  return pulumi.all([fixed, inside, association.floatingIp]).apply(([addresses, network, outside]) => {
    const name = network?.name ?? '';
    return { ...addresses, [name]: [...(addresses[name] ?? []), outside] };
  });
};

/** In the provider's words: Neutron listed the ports, and this one is not among them. */
const noSuchPort = 'No openstack_networking_port_v2 found';

/**
 * The port behind an interface. A server that is gone has none: what was associated once ignores changes, and
 * one vanished server must not stop the program of a whole cell. Where Neutron did not answer, a word that it refuses as a
 * port's id: with an empty one the provider would associate the address with nothing and take that for done.
 */
const portOf = async (deviceId: string, fixedIp: string): Promise<string> => {
  try {
    return (await openstack.networking.getPort({ deviceId, fixedIp })).id;
  } catch (error) {
    if (String(error).includes(noSuchPort)) return '';
    const why = `the port of ${fixedIp} could not be looked up`;
    void pulumi.log.warn(`${why}: ${String(error)}`);
    return why;
  }
};

/** Of a server that could not be made Pulumi shows what was ordered: networks without a name or addresses. */
type Interface = Partial<Record<'name' | 'fixedIpV4' | 'fixedIpV6', string>>;

const fixedAddresses = (networks: readonly Interface[]): Addresses => {
  const addresses: Addresses = {};
  for (const { name, fixedIpV4 = '', fixedIpV6 = '' } of networks) {
    if (name === undefined) continue;
    const plain = [fixedIpV4, fixedIpV6.replace(/^\[|\]$/g, '')].filter((address) => address !== '');
    addresses[name] = [...(addresses[name] ?? []), ...plain];
  }
  return addresses;
};
