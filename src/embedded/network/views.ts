import { isoSeconds } from '../clock.js';
import { numberToIp } from './addresses.js';
import type {
  FloatingIp,
  Network,
  NetworkState,
  Port,
  SecurityGroup,
  SecurityGroupRule,
  Subnet,
} from './network.js';

interface Common {
  readonly id: string;
  readonly name: string;
  readonly description: string;
  readonly projectId: string;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly tags: readonly string[];
}

function common(thing: Common): Record<string, unknown> {
  return {
    id: thing.id,
    name: thing.name,
    description: thing.description,
    project_id: thing.projectId,
    tenant_id: thing.projectId,
    created_at: isoSeconds(thing.createdAt),
    updated_at: isoSeconds(thing.updatedAt),
    revision_number: 1,
    tags: thing.tags,
  };
}

export function networkView(state: NetworkState, network: Network): Record<string, unknown> {
  return {
    ...common(network),
    status: 'ACTIVE',
    admin_state_up: network.adminStateUp,
    shared: network.shared,
    'router:external': network.external,
    is_default: false,
    mtu: 1450,
    port_security_enabled: true,
    subnets: state.subnetsOf(network.id).map((subnet) => subnet.id),
    availability_zones: ['nova'],
    availability_zone_hints: [],
    ipv4_address_scope: null,
    ipv6_address_scope: null,
    qos_policy_id: null,
    dns_domain: '',
  };
}

export function subnetView(state: NetworkState, subnet: Subnet): Record<string, unknown> {
  return {
    ...common(subnet),
    network_id: subnet.networkId,
    cidr: state.cidrOf(subnet),
    ip_version: 4,
    gateway_ip: subnet.gateway,
    enable_dhcp: subnet.enableDhcp,
    dns_nameservers: subnet.dns,
    host_routes: [],
    allocation_pools: [{ start: numberToIp(subnet.pool.first), end: numberToIp(subnet.pool.last) }],
    ipv6_address_mode: null,
    ipv6_ra_mode: null,
    subnetpool_id: null,
    service_types: [],
    dns_publish_fixed_ip: false,
  };
}

export function portView(port: Port): Record<string, unknown> {
  return {
    ...common(port),
    network_id: port.networkId,
    mac_address: port.mac,
    fixed_ips: port.fixedIps.map((ip) => ({ subnet_id: ip.subnetId, ip_address: ip.address })),
    security_groups: port.securityGroups,
    device_id: port.deviceId,
    device_owner: port.deviceOwner,
    status: port.deviceId ? 'ACTIVE' : 'DOWN',
    admin_state_up: port.adminStateUp,
    allowed_address_pairs: [],
    extra_dhcp_opts: [],
    port_security_enabled: true,
    qos_policy_id: null,
    dns_name: '',
    dns_assignment: [],
    'binding:vnic_type': 'normal',
  };
}

export function ruleView(rule: SecurityGroupRule): Record<string, unknown> {
  return {
    id: rule.id,
    security_group_id: rule.groupId,
    project_id: rule.projectId,
    tenant_id: rule.projectId,
    direction: rule.direction,
    ethertype: rule.ethertype,
    protocol: rule.protocol,
    port_range_min: rule.portMin,
    port_range_max: rule.portMax,
    remote_ip_prefix: rule.remotePrefix,
    remote_group_id: rule.remoteGroup,
    description: rule.description,
    revision_number: 0,
  };
}

export function groupView(group: SecurityGroup): Record<string, unknown> {
  return { ...common(group), stateful: true, security_group_rules: group.rules.map(ruleView) };
}

export function floatingIpView(state: NetworkState, floating: FloatingIp): Record<string, unknown> {
  const port = floating.portId === null ? undefined : state.ports.get(floating.portId);
  const { name: _name, ...rest } = common(floating);
  return {
    ...rest,
    floating_network_id: floating.networkId,
    floating_ip_address: floating.address,
    fixed_ip_address: floating.fixedAddress,
    port_id: floating.portId,
    router_id: null,
    status: port ? 'ACTIVE' : 'DOWN',
    dns_name: '',
    dns_domain: '',
    qos_policy_id: null,
    port_details: port
      ? {
          name: port.name,
          network_id: port.networkId,
          mac_address: port.mac,
          admin_state_up: true,
          status: 'ACTIVE',
          device_id: port.deviceId,
          device_owner: port.deviceOwner,
        }
      : null,
  };
}
