import { floatingIpDescription, identityKeys } from '../src/cloud/port.js';
import type { MemberName, MemberSpec } from '../src/pool/model.js';
import type { CellConfig, ListedMember } from './cell-config.js';

/** Arguments of one `openstack.compute.Instance`, in the provider's words. */
export interface InstancePlan {
  readonly resource: MemberName;
  readonly generation: string;
  readonly args: {
    readonly name: string;
    readonly flavor: NameOrId;
    /** Null when the server boots from a volume that is made of the image. */
    readonly image: NameOrId;
    readonly networks: readonly NameOrId[];
    readonly securityGroups: readonly string[];
    readonly availabilityZone: string | null;
    readonly userData: string;
    readonly metadata: Readonly<Record<string, string>>;
    readonly tags: readonly string[];
    readonly configDrive: boolean;
    readonly bootVolumeGiB: number | null;
  };
  /** Resource name of the server group, if the member is in one. */
  readonly serverGroup: string | null;
  readonly floatingIp: FloatingIpPlan | null;
}

export interface FloatingIpPlan {
  readonly resource: string;
  readonly association: string;
  /** Says whose it is to an operator who finds one that no stack knows. */
  readonly description: string;
  readonly pool: string;
  /** Position of the SSH network among the server's interfaces. */
  readonly interfaceIndex: number;
}

export type NameOrId =
  { readonly kind: 'id'; readonly id: string } | { readonly kind: 'name'; readonly name: string };

export interface ServerGroupPlan {
  readonly resource: string;
  readonly name: string;
  readonly policy: NonNullable<MemberSpec['serverGroupPolicy']>;
}

/** Every resource of a cell. */
export interface CellPlan {
  readonly instances: readonly InstancePlan[];
  readonly serverGroups: readonly ServerGroupPlan[];
  /** For create and delete, as Pulumi writes durations. */
  readonly timeout: string;
}

const floatingIpSuffix = '.floating-ip';
const associationSuffix = '.floating-ip-association';
const serverGroupPrefix = 'server-group.';

/** The member to which a resource of that name belongs: the member's own name is its instance's. */
export const memberOfResource = (resource: string): MemberName | null => {
  if (resource.startsWith(serverGroupPrefix)) {
    return null;
  }
  for (const suffix of [associationSuffix, floatingIpSuffix]) {
    if (resource.endsWith(suffix)) {
      return resource.slice(0, -suffix.length) as MemberName;
    }
  }
  return resource as MemberName;
};

/** Which resources a cell consists of. A pure function of its config. */
export const planCell = (config: CellConfig): CellPlan => {
  const policies = new Set(config.members.flatMap(({ spec }) => spec.serverGroupPolicy ?? []));
  return {
    instances: config.members.map((member) => planInstance(config, member)),
    serverGroups: [...policies].sort().map((policy) => ({
      resource: serverGroupPrefix + policy,
      name: `${config.pool}-${config.cell}-${policy}`,
      policy,
    })),
    timeout: `${config.timeoutSeconds}s`,
  };
};

const planInstance = (config: CellConfig, { name, generation, spec }: ListedMember): InstancePlan => ({
  resource: name,
  generation,
  args: {
    name,
    flavor: pinnedOr(spec.pinned?.flavor, spec.flavor),
    image: pinnedOr(spec.pinned?.image, spec.image),
    networks: spec.networks.map((network, at) => pinnedOr(spec.pinned?.networks[at]?.id, network)),
    securityGroups: spec.securityGroups,
    availabilityZone: zoneOf(name, spec.availabilityZones),
    userData: spec.userData,
    metadata: {
      ...spec.metadata,
      [identityKeys.installation]: config.installation,
      [identityKeys.pool]: config.pool,
      [identityKeys.member]: name,
      [identityKeys.cell]: config.cell,
      [identityKeys.generation]: generation,
    },
    tags: spec.pinned?.tags === false ? [] : ['vmpool', config.installation],
    configDrive: spec.configDrive,
    bootVolumeGiB: spec.bootVolumeGiB,
  },
  serverGroup: spec.serverGroupPolicy === null ? null : serverGroupPrefix + spec.serverGroupPolicy,
  floatingIp:
    spec.floatingIpPool === null
      ? null
      : {
          resource: name + floatingIpSuffix,
          association: name + associationSuffix,
          pool: spec.floatingIpPool,
          description: floatingIpDescription(config.installation, name),
          interfaceIndex: Math.max(0, spec.networks.indexOf(spec.sshNetwork)),
        },
});

/** OpenStack's ids of images, networks and most flavors; whatever else is a name. */
const uuid = /^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$/i;

const nameOrId = (value: string): NameOrId =>
  uuid.test(value) ? { kind: 'id', id: value } : { kind: 'name', name: value };

/** The id that the service found at adoption; a flavor's id may be any text, so its form tells nothing. */
const pinnedOr = (id: string | undefined, value: string): NameOrId =>
  id === undefined ? nameOrId(value) : { kind: 'id', id };

/**
 * Members take the zones in turn by the sequence number in their name (`<pool>-<sequence>-<random>`), so that
 * a member's zone never depends on which others there are.
 */
const zoneOf = (name: MemberName, zones: readonly string[]): string | null => {
  const sequence = Number(/-(\d+)-[^-]*$/.exec(name)?.[1] ?? '0');
  return zones[sequence % Math.max(1, zones.length)] ?? null;
};
