import { createHash } from 'node:crypto';
import { isoSeconds } from '../clock.js';
import type { Compute } from './compute.js';
import { powerState, vmState, type Server } from './model.js';

function microseconds(ms: number | null): string | null {
  return ms === null ? null : `${new Date(ms).toISOString().slice(0, 23)}000`;
}

function links(origin: string, kind: string, id: string): object[] {
  return [
    { rel: 'self', href: `${origin}/compute/v2.1/${kind}/${id}` },
    { rel: 'bookmark', href: `${origin}/compute/${kind}/${id}` },
  ];
}

export function briefView(server: Server, origin: string): object {
  return { id: server.id, name: server.name, links: links(origin, 'servers', server.id) };
}

export function addressesView(compute: Compute, server: Server): Record<string, object[]> {
  const { network } = compute.parts;
  const addresses: Record<string, object[]> = {};
  for (const port of network.portsOf(server.id)) {
    const name = network.networks.get(port.networkId)?.name ?? port.networkId;
    const entry = (addr: string, type: string): object => ({
      version: 4,
      addr,
      'OS-EXT-IPS:type': type,
      'OS-EXT-IPS-MAC:mac_addr': port.mac,
    });
    const list = (addresses[name] ??= []);
    for (const ip of port.fixedIps) list.push(entry(ip.address, 'fixed'));
    for (const floating of network.floatingIps.values())
      if (floating.portId === port.id) list.push(entry(floating.address, 'floating'));
  }
  return addresses;
}

/** A server as `GET /servers/{id}` and the detailed list show it in a given microversion. */
export function serverView(compute: Compute, server: Server, version: number, origin: string): object {
  const { flavor } = server;
  const groups = new Set(compute.parts.network.portsOf(server.id).flatMap((port) => port.securityGroups));
  if (groups.size === 0) for (const group of server.securityGroups) groups.add(group);
  const running = server.status !== 'BUILD' && server.status !== 'ERROR';
  const rich = version >= 203;
  return {
    ...briefView(server, origin),
    status: server.status,
    tenant_id: server.projectId,
    user_id: server.userId,
    metadata: server.metadata,
    hostId:
      running || server.machine ? createHash('sha224').update(`${server.projectId}host`).digest('hex') : '',
    image:
      server.imageId === null
        ? ''
        : {
            id: server.imageId,
            links: [{ rel: 'bookmark', href: `${origin}/compute/images/${server.imageId}` }],
          },
    flavor:
      version >= 247
        ? {
            vcpus: flavor.vcpus,
            ram: flavor.ram,
            disk: flavor.disk,
            ephemeral: 0,
            swap: 0,
            original_name: flavor.name,
            extra_specs: flavor.extraSpecs,
          }
        : { id: flavor.id, links: [{ rel: 'bookmark', href: `${origin}/compute/flavors/${flavor.id}` }] },
    created: isoSeconds(server.createdAt),
    updated: isoSeconds(server.updatedAt),
    addresses: addressesView(compute, server),
    accessIPv4: '',
    accessIPv6: '',
    ...((server.status === 'ACTIVE' || server.status === 'BUILD' || server.status === 'PAUSED') && {
      progress: server.status === 'BUILD' ? 0 : 100,
    }),
    'OS-DCF:diskConfig': 'MANUAL',
    'OS-EXT-AZ:availability_zone': running ? server.availabilityZone : '',
    config_drive: server.configDrive ? 'True' : '',
    key_name: server.keyName,
    'OS-SRV-USG:launched_at': microseconds(server.launchedAt),
    'OS-SRV-USG:terminated_at': microseconds(server.terminatedAt),
    'OS-EXT-STS:task_state': server.taskState,
    'OS-EXT-STS:vm_state': vmState(server),
    'OS-EXT-STS:power_state': powerState(server),
    'os-extended-volumes:volumes_attached': compute.parts.volumes.attachedTo(server.id).map((volume) => ({
      id: volume.id,
      ...(rich && { delete_on_termination: volume.attachment?.deleteOnTermination ?? false }),
    })),
    ...(groups.size > 0 && {
      security_groups: [...groups].map((id) => ({ name: compute.parts.network.groups.get(id)?.name ?? id })),
    }),
    ...(server.fault &&
      (server.status === 'ERROR' || server.status === 'DELETED') && {
        fault: {
          code: server.fault.code,
          created: isoSeconds(server.fault.created),
          message: server.fault.message,
        },
      }),
    ...(rich && version >= 216 && { host_status: 'UP' }),
    ...(version >= 209 && { locked: server.locked }),
    ...(version >= 219 && { description: server.description }),
    ...(version >= 226 && { tags: server.tags }),
    ...(version >= 263 && { trusted_image_certificates: null }),
    ...(version >= 271 && {
      server_groups: server.serverGroupId === undefined ? [] : [server.serverGroupId],
    }),
    ...(version >= 273 && { locked_reason: server.lockedReason }),
  };
}
