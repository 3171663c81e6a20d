import type { Request } from 'express';
import { z } from 'zod';
import { bodyOf } from '../http/context.js';
import { badRequest } from '../http/errors.js';
import type { BootVolume, CreateRequest } from './create-request.js';
import { metadataSchema, tagsSchema } from './label-routes.js';

const text = z.string();

const createSchema = z.looseObject({
  server: z.looseObject({
    name: text.trim().min(1).max(255),
    imageRef: text.optional(),
    flavorRef: z.coerce.string(),
    metadata: metadataSchema.optional(),
    tags: tagsSchema.optional(),
    description: text.max(255).nullish(),
    key_name: text.nullish(),
    config_drive: z.union([z.boolean(), text]).nullish(),
    user_data: text.max(65535).nullish(),
    availability_zone: text.nullish(),
    security_groups: z.array(z.looseObject({ name: text.optional() })).optional(),
    networks: z
      .union([
        z.enum(['auto', 'none']),
        z.array(z.looseObject({ uuid: text.optional(), port: text.nullish(), fixed_ip: text.optional() })),
      ])
      .optional(),
    min_count: z.coerce.number().int().min(1).optional(),
    max_count: z.coerce.number().int().min(1).optional(),
    block_device_mapping_v2: z
      .array(
        z.looseObject({
          source_type: text,
          destination_type: text.optional(),
          uuid: text.optional(),
          boot_index: z.coerce.number().nullish(),
          volume_size: z.coerce.number().int().nullish(),
          delete_on_termination: z.boolean().nullish(),
        }),
      )
      .optional(),
  }),
  'os:scheduler_hints': z.looseObject({ group: text.optional() }).optional(),
  'OS-SCH-HNT:scheduler_hints': z.looseObject({ group: text.optional() }).optional(),
});

type Device = NonNullable<z.output<typeof createSchema>['server']['block_device_mapping_v2']>[number];

/** Null for a server whose first disk is no volume. */
function bootVolumeOf(device: Device): BootVolume | null {
  const deleteOnTermination = device.delete_on_termination ?? false;
  const { uuid, source_type: source, destination_type: destination } = device;
  if (source === 'volume' && uuid !== undefined)
    return { from: 'volume', volumeId: uuid, deleteOnTermination };
  if (source !== 'image' || destination !== 'volume') return null;
  if (device.volume_size == null)
    throw badRequest(
      "Block Device Mapping is Invalid: Images with destination_type 'volume' need to have a non-zero size specified",
    );
  return { from: 'image', imageId: uuid ?? '', sizeGiB: device.volume_size, deleteOnTermination };
}

/** What the body of `POST /servers` asks for in a microversion. */
export function wantedServer(request: Request, version: number): CreateRequest {
  const body = bodyOf(request, createSchema);
  const { server } = body;
  const { networks, tags } = server;
  if (tags !== undefined && version < 252)
    throw badRequest("Additional properties are not allowed ('tags' was unexpected)");
  if (server.description != null && version < 219)
    throw badRequest("Additional properties are not allowed ('description' was unexpected)");
  if (version >= 237 && networks === undefined)
    throw badRequest("Invalid input for field/attribute server. 'networks' is a required property");
  if (typeof networks === 'string' && version < 237)
    throw badRequest(
      `Invalid input for field/attribute networks. Value: ${networks}. '${networks}' is not of type 'array'`,
    );
  if ((server.max_count ?? 1) > 1 || (server.min_count ?? 1) > 1)
    throw badRequest('This cloud creates one server for each request: min_count and max_count must be 1.');
  const root = server.block_device_mapping_v2?.find((device) => device.boot_index === 0);
  const bootVolume = root === undefined ? null : bootVolumeOf(root);
  const imageId = server.imageRef || (root?.source_type === 'image' ? root.uuid : undefined);
  if (!imageId && bootVolume === null) throw badRequest('Invalid imageRef provided.');
  if (server.user_data != null && !/^[A-Za-z0-9+/=\s]*$/.test(server.user_data))
    throw badRequest('Invalid input for field/attribute user_data.');
  return {
    name: server.name,
    imageId: bootVolume === null ? (imageId ?? null) : null,
    bootVolume,
    flavorId: server.flavorRef.split('/').at(-1) ?? '',
    metadata: server.metadata ?? {},
    tags: tags ?? [],
    description: version >= 219 ? (server.description ?? null) : null,
    keyName: server.key_name ?? undefined,
    configDrive: server.config_drive === true || /^(true|1|yes)$/i.test(String(server.config_drive ?? '')),
    userData: server.user_data ?? undefined,
    availabilityZone: server.availability_zone || undefined,
    securityGroups: (server.security_groups ?? []).map((group) => group.name ?? ''),
    networks:
      networks === undefined || typeof networks === 'string'
        ? (networks ?? [])
        : networks.map((each) => ({
            networkId: each.uuid,
            portId: each.port ?? undefined,
            fixedIp: each.fixed_ip,
          })),
    serverGroupId: body['os:scheduler_hints']?.group ?? body['OS-SCH-HNT:scheduler_hints']?.group,
  };
}
