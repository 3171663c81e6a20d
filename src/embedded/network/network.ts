import { randomBytes, randomUUID } from 'node:crypto';
import type { Clock } from '../clock.js';
import { ApiError, badRequest, conflict, notFound } from '../http/errors.js';
import { stableUuid } from '../image/images.js';
import type { Quotas } from '../options.js';
import { AddressPool, cidrText, numberToIp, parseCidr, quarters, type Cidr } from './addresses.js';

interface Base {
  readonly id: string;
  name: string;
  description: string;
  readonly projectId: string;
  readonly createdAt: number;
  updatedAt: number;
  tags: string[];
}
export interface Network extends Base {
  readonly external: boolean;
  shared: boolean;
  adminStateUp: boolean;
}
export interface Subnet extends Base {
  readonly networkId: string;
  readonly cidr: Cidr;
  readonly gateway: string | null;
  readonly pool: AddressPool;
  enableDhcp: boolean;
  dns: string[];
}
export interface FixedIp {
  readonly subnetId: string;
  readonly address: string;
}
export interface Port extends Base {
  readonly networkId: string;
  readonly mac: string;
  fixedIps: FixedIp[];
  securityGroups: string[];
  deviceId: string;
  deviceOwner: string;
  adminStateUp: boolean;
  /** Made by Nova for a server, and deleted with it. */
  readonly ownedByServer: boolean;
}
export interface SecurityGroupRule {
  readonly id: string;
  readonly groupId: string;
  readonly projectId: string;
  readonly direction: string;
  readonly ethertype: string;
  readonly protocol: string | null;
  readonly portMin: number | null;
  readonly portMax: number | null;
  readonly remotePrefix: string | null;
  readonly remoteGroup: string | null;
  readonly description: string;
}
export interface SecurityGroup extends Base {
  readonly rules: SecurityGroupRule[];
}
export interface FloatingIp extends Base {
  readonly networkId: string;
  readonly address: string;
  portId: string | null;
  fixedAddress: string | null;
}

export interface PortRequest {
  readonly networkId: string;
  readonly projectId: string;
  readonly name?: string | undefined;
  readonly description?: string | undefined;
  readonly fixedIps?: readonly { subnetId?: string | undefined; address?: string | undefined }[] | undefined;
  readonly securityGroups?: readonly string[] | undefined;
  readonly deviceId?: string | undefined;
  readonly deviceOwner?: string | undefined;
  readonly ownedByServer?: boolean | undefined;
}

type Counted = 'network' | 'subnet' | 'port' | 'floatingip' | 'security_group' | 'security_group_rule';

/** Neutron's state: what exists, and the rules of making and deleting it. */
export class NetworkState {
  readonly networks = new Map<string, Network>();
  readonly subnets = new Map<string, Subnet>();
  readonly ports = new Map<string, Port>();
  readonly groups = new Map<string, SecurityGroup>();
  readonly floatingIps = new Map<string, FloatingIp>();
  /** Called with the server's id when the addresses that reach it change. */
  onAddressesChanged: (serverId: string) => void = () => undefined;

  constructor(
    readonly clock: Clock,
    readonly quotasOf: (projectId: string) => Quotas,
    subnet: string,
    owner: string,
  ) {
    const whole = parseCidr(subnet);
    if (!whole) throw new Error(`${subnet} is not a network`);
    const [net0, site0, floating] = quarters(whole);
    for (const [name, cidr, external] of [
      ['net0', net0, false],
      ['site0', site0, false],
      ['public', floating, true],
    ] as const) {
      const network: Network = {
        ...this.base(name, owner, stableUuid('network', name)),
        external,
        shared: true,
        adminStateUp: true,
      };
      this.networks.set(network.id, network);
      this.addSubnet(network, cidr, `${name}-subnet`, owner, stableUuid('subnet', name));
    }
  }

  base(name: string, projectId: string, id: string = randomUUID()): Base {
    const now = this.clock.now();
    return { id, name, description: '', projectId, createdAt: now, updatedAt: now, tags: [] };
  }

  addSubnet(network: Network, cidr: Cidr, name: string, projectId: string, id?: string): Subnet {
    const subnet: Subnet = {
      ...this.base(name, projectId, id),
      networkId: network.id,
      cidr,
      gateway: numberToIp(cidr.first + 1),
      pool: new AddressPool(cidr.first + 10, cidr.first + cidr.size - 2),
      enableDhcp: true,
      dns: [],
    };
    this.subnets.set(subnet.id, subnet);
    return subnet;
  }

  used(resource: Counted, projectId: string): number {
    if (resource === 'security_group_rule')
      return [...this.groups.values()]
        .filter((group) => group.projectId === projectId)
        .reduce((sum, group) => sum + group.rules.length, 0);
    const things: Record<Exclude<Counted, 'security_group_rule'>, Map<string, Base>> = {
      network: this.networks,
      subnet: this.subnets,
      port: this.ports,
      floatingip: this.floatingIps,
      security_group: this.groups,
    };
    return [...things[resource].values()].filter((thing) => thing.projectId === projectId).length;
  }

  checkQuota(resource: Counted, projectId: string): void {
    const limit = this.quotasOf(projectId)[resource];
    if (limit >= 0 && this.used(resource, projectId) >= limit)
      throw new ApiError(409, `Quota exceeded for resources: ['${resource}'].`, 'OverQuota');
  }

  subnetsOf(networkId: string): Subnet[] {
    return [...this.subnets.values()].filter((subnet) => subnet.networkId === networkId);
  }

  network(id: string): Network {
    const network = this.networks.get(id);
    if (!network) throw notFound(`Network ${id} could not be found.`, 'NetworkNotFound');
    return network;
  }

  port(id: string): Port {
    const port = this.ports.get(id);
    if (!port) throw notFound(`Port ${id} could not be found.`, 'PortNotFound');
    return port;
  }

  /** The project's default group, made when first looked for, as Neutron does. */
  defaultGroup(projectId: string): SecurityGroup {
    const found = [...this.groups.values()].find(
      (group) => group.projectId === projectId && group.name === 'default',
    );
    return found ?? this.createGroup('default', 'Default security group', projectId, true);
  }

  createGroup(name: string, description: string, projectId: string, isDefault = false): SecurityGroup {
    if (!isDefault) this.checkQuota('security_group', projectId);
    const group: SecurityGroup = { ...this.base(name, projectId), description, rules: [] };
    for (const ethertype of ['IPv4', 'IPv6']) {
      const rule = {
        groupId: group.id,
        projectId,
        ethertype,
        protocol: null,
        portMin: null,
        portMax: null,
        remotePrefix: null,
        description: '',
      };
      group.rules.push({ ...rule, id: randomUUID(), direction: 'egress', remoteGroup: null });
      if (isDefault)
        group.rules.push({ ...rule, id: randomUUID(), direction: 'ingress', remoteGroup: group.id });
    }
    this.groups.set(group.id, group);
    return group;
  }

  /** A group of the project by id or name; Nova accepts both. */
  findGroup(nameOrId: string, projectId: string): SecurityGroup | undefined {
    if (nameOrId === 'default') return this.defaultGroup(projectId);
    return [...this.groups.values()].find(
      (group) => group.projectId === projectId && (group.id === nameOrId || group.name === nameOrId),
    );
  }

  createPort(request: PortRequest): Port {
    this.checkQuota('port', request.projectId);
    const network = this.network(request.networkId);
    const fixedIps = this.#allocate(network, request.fixedIps);
    const port: Port = {
      ...this.base(request.name ?? '', request.projectId),
      description: request.description ?? '',
      networkId: network.id,
      mac: `fa:16:3e:${[...randomBytes(3)].map((byte) => byte.toString(16).padStart(2, '0')).join(':')}`,
      fixedIps,
      securityGroups: [...(request.securityGroups ?? [this.defaultGroup(request.projectId).id])],
      deviceId: request.deviceId ?? '',
      deviceOwner: request.deviceOwner ?? '',
      adminStateUp: true,
      ownedByServer: request.ownedByServer ?? false,
    };
    this.ports.set(port.id, port);
    return port;
  }

  #allocate(network: Network, wanted: PortRequest['fixedIps']): FixedIp[] {
    const subnets = this.subnetsOf(network.id);
    const requests: readonly { subnetId?: string | undefined; address?: string | undefined }[] =
      wanted ?? (subnets.length > 0 ? [{}] : []);
    return requests.map((request) => {
      const inside = (subnet: Subnet): boolean => {
        if (request.subnetId !== undefined) return subnet.id === request.subnetId;
        const at = request.address === undefined ? undefined : parseCidr(`${request.address}/32`)?.first;
        return at === undefined || (at >= subnet.cidr.first && at < subnet.cidr.first + subnet.cidr.size);
      };
      const subnet = subnets.find(inside);
      if (!subnet)
        throw badRequest(
          `IP address ${request.address ?? ''} is not a valid IP for any of the subnets on the specified network.`,
          'InvalidIpForNetwork',
        );
      const address = subnet.pool.take(request.address);
      if (address === undefined && request.address !== undefined)
        throw conflict(
          `IP address ${request.address} already allocated in subnet ${subnet.id}`,
          'IpAddressAlreadyAllocated',
        );
      if (address === undefined)
        throw conflict(
          `No more IP addresses available on network ${network.id}.`,
          'IpAddressGenerationFailure',
        );
      return { subnetId: subnet.id, address };
    });
  }

  deletePort(port: Port): void {
    for (const ip of port.fixedIps) this.subnets.get(ip.subnetId)?.pool.release(ip.address);
    this.ports.delete(port.id);
    for (const floating of this.floatingIps.values())
      if (floating.portId === port.id) {
        floating.portId = null;
        floating.fixedAddress = null;
      }
    if (port.deviceId) this.onAddressesChanged(port.deviceId);
  }

  createFloatingIp(networkId: string, projectId: string, description: string): FloatingIp {
    this.checkQuota('floatingip', projectId);
    const network = this.network(networkId);
    if (!network.external)
      throw badRequest(`Network ${networkId} is not a valid external network`, 'BadRequest');
    const address = this.subnetsOf(networkId)[0]?.pool.take();
    if (address === undefined)
      throw conflict(`No more IP addresses available on network ${networkId}.`, 'IpAddressGenerationFailure');
    const floating: FloatingIp = {
      ...this.base('', projectId),
      description,
      networkId,
      address,
      portId: null,
      fixedAddress: null,
    };
    this.floatingIps.set(floating.id, floating);
    return floating;
  }

  associate(floating: FloatingIp, portId: string | null, fixedAddress?: string): void {
    const before = floating.portId === null ? undefined : this.ports.get(floating.portId);
    const port = portId === null ? undefined : this.port(portId);
    floating.portId = port?.id ?? null;
    floating.fixedAddress = port ? (fixedAddress ?? port.fixedIps[0]?.address ?? null) : null;
    floating.updatedAt = this.clock.now();
    for (const each of [before, port]) if (each?.deviceId) this.onAddressesChanged(each.deviceId);
  }

  releaseFloatingIp(floating: FloatingIp): void {
    this.associate(floating, null);
    this.floatingIps.delete(floating.id);
    this.subnetsOf(floating.networkId)[0]?.pool.release(floating.address);
  }

  portsOf(serverId: string): Port[] {
    return [...this.ports.values()].filter((port) => port.deviceId === serverId);
  }

  /** Every address that must reach the server: its ports' and the floating ones bound to them. */
  addressesOf(serverId: string): string[] {
    const ports = this.portsOf(serverId);
    const floating = [...this.floatingIps.values()].filter((each) =>
      ports.some((port) => port.id === each.portId),
    );
    return [
      ...ports.flatMap((port) => port.fixedIps.map((ip) => ip.address)),
      ...floating.map((each) => each.address),
    ];
  }

  cidrOf(subnet: Subnet): string {
    return cidrText(subnet.cidr);
  }
}
