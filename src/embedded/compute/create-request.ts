import { ApiError, badRequest, conflict } from '../http/errors.js';
import type { NetworkState } from '../network/network.js';
import type { Flavor } from '../options.js';
import type { Volume } from '../volume/volumes.js';
import type { Caller, Compute } from './compute.js';
import type { ServerGroup } from './model.js';

export interface NetworkChoice {
  readonly networkId?: string | undefined;
  readonly portId?: string | undefined;
  readonly fixedIp?: string | undefined;
}

/** The volume that a server boots from: a new one made of an image, or one that is there. */
export type BootVolume =
  | {
      readonly from: 'image';
      readonly imageId: string;
      readonly sizeGiB: number;
      readonly deleteOnTermination: boolean;
    }
  | { readonly from: 'volume'; readonly volumeId: string; readonly deleteOnTermination: boolean };

export interface CreateRequest {
  readonly name: string;
  /** Null for a server that boots from a volume. */
  readonly imageId: string | null;
  readonly bootVolume: BootVolume | null;
  readonly flavorId: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly tags: readonly string[];
  readonly description: string | null;
  readonly keyName: string | undefined;
  readonly configDrive: boolean;
  readonly userData: string | undefined;
  readonly availabilityZone: string | undefined;
  readonly securityGroups: readonly string[];
  readonly networks: readonly NetworkChoice[] | 'auto' | 'none';
  readonly serverGroupId: string | undefined;
}

/** What an order for a server comes to when nothing speaks against it. */
export interface CheckedCreate {
  readonly flavor: Flavor;
  readonly group: ServerGroup | undefined;
  readonly choices: readonly NetworkChoice[];
  /** By id; the project's default group when the order names none. */
  readonly securityGroups: string[];
}

/** Throws `ApiError` for what Nova refuses at once; everything else that goes wrong shows on the server. */
export function checkCreate(compute: Compute, request: CreateRequest, caller: Caller): CheckedCreate {
  const { network, images } = compute.parts;
  const flavor = compute.flavor(request.flavorId);
  if (!flavor) throw badRequest(`Flavor ${request.flavorId} could not be found.`);
  const { bootVolume } = request;
  const imageId = bootVolume?.from === 'image' ? bootVolume.imageId : request.imageId;
  if (imageId !== null) {
    const image = images.find(imageId);
    if (!image) throw badRequest(`Can not find requested image`);
    if (image.status !== 'active')
      throw badRequest(`Image ${image.id} is unacceptable: Image is not active. Image is unacceptable`);
  }
  if (bootVolume?.from === 'volume') bootableVolume(compute, bootVolume.volumeId, caller.projectId);
  const key =
    request.keyName === undefined ? undefined : compute.keyPairs.get(`${caller.userId}/${request.keyName}`);
  if (request.keyName !== undefined && !key) throw badRequest('Invalid key_name provided.');
  if (request.availabilityZone !== undefined && !compute.parts.zones.includes(request.availabilityZone))
    throw badRequest('The requested availability zone is not available');
  const securityGroups = request.securityGroups.map((wanted) => {
    const group = network.findGroup(wanted, caller.projectId);
    if (!group) throw badRequest(`Unable to find security_group with name or id '${wanted}'`);
    return group.id;
  });
  const group = request.serverGroupId === undefined ? undefined : compute.groups.get(request.serverGroupId);
  if (request.serverGroupId !== undefined && !group)
    throw badRequest(`Instance group ${request.serverGroupId} could not be found.`);
  const members = compute.parts.quotasOf(caller.projectId).server_group_members;
  if (group && members >= 0 && group.members.length >= members)
    throw new ApiError(403, 'Quota exceeded, too many servers in group');
  const choices = chooseNetworks(network, request.networks, caller.projectId);
  checkQuota(compute, caller.projectId, flavor, request.name);
  const newPorts = choices.filter((choice) => choice.portId === undefined).length;
  const ports = compute.parts.quotasOf(caller.projectId).port;
  if (ports >= 0 && network.used('port', caller.projectId) + newPorts > ports)
    throw new ApiError(403, 'Maximum number of ports exceeded');
  return {
    flavor,
    group,
    choices,
    securityGroups: securityGroups.length > 0 ? securityGroups : [network.defaultGroup(caller.projectId).id],
  };
}

function bootableVolume(compute: Compute, id: string, projectId: string): Volume {
  const volume = compute.parts.volumes.all.get(id);
  if (!volume || volume.projectId !== projectId)
    throw badRequest(`Block Device Mapping is Invalid: failed to get volume ${id}.`);
  if (volume.status !== 'available' || volume.imageId === null)
    throw badRequest(`Block Device Mapping is Invalid: volume ${id} is not available or not bootable.`);
  return volume;
}

function checkQuota(compute: Compute, projectId: string, flavor: Flavor, name: string): void {
  const limits = compute.parts.quotasOf(projectId);
  const used = compute.usage(projectId);
  const wanted = { instances: 1, cores: flavor.vcpus, ram: flavor.ram };
  if (compute.parts.faults.strikeServer('quota', name))
    throw new ApiError(
      403,
      `Quota exceeded for instances: Requested 1, but already used ${used.instances} of ${used.instances} instances`,
    );
  const over = (['instances', 'cores', 'ram'] as const).filter(
    (each) => limits[each] >= 0 && used[each] + wanted[each] > limits[each],
  );
  if (over.length === 0) return;
  const list = (values: Record<'instances' | 'cores' | 'ram', number>): string =>
    over.map((each) => values[each]).join(', ');
  throw new ApiError(
    403,
    `Quota exceeded for ${over.join(', ')}: Requested ${list(wanted)}, but already used ${list(used)} of ${list(limits)} ${over.join(', ')}`,
  );
}

function chooseNetworks(
  network: NetworkState,
  wanted: CreateRequest['networks'],
  projectId: string,
): readonly NetworkChoice[] {
  if (wanted === 'none') return [];
  if (wanted === 'auto' || wanted.length === 0) {
    const own = [...network.networks.values()].filter(
      (each) => !each.external && (each.shared || each.projectId === projectId),
    );
    if (wanted === 'auto') return own[0] ? [{ networkId: own[0].id }] : [];
    if (own.length > 1)
      throw conflict('Multiple possible networks found, use a Network ID to be more specific.');
    return own.map((each) => ({ networkId: each.id }));
  }
  for (const choice of wanted) {
    if (choice.portId !== undefined) {
      const port = network.ports.get(choice.portId);
      if (!port) throw badRequest(`Port id ${choice.portId} could not be found.`);
      if (port.deviceId) throw conflict(`Port ${choice.portId} is still in use.`);
    } else if (!network.networks.has(choice.networkId ?? '')) {
      throw badRequest(`Network ${choice.networkId ?? ''} could not be found.`);
    }
  }
  return wanted;
}
