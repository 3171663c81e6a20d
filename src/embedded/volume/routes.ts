import { Router, type Request } from 'express';
import { z } from 'zod';
import { bodyOf, projectOf, query, tokenOf } from '../http/context.js';
import { ApiError, badRequest } from '../http/errors.js';
import { nextLink, pageOf } from '../http/paging.js';
import type { Images } from '../image/images.js';
import type { Volume, Volumes } from './volumes.js';

export interface VolumeRouting {
  readonly volumes: Volumes;
  readonly images: Images;
  readonly origin: () => string;
  readonly zones: readonly string[];
}

const text = z.string();
const metadata = z.record(text, text).optional();
const createSchema = z.looseObject({
  volume: z.looseObject({
    size: z.coerce.number().int(),
    name: text.nullish(),
    description: text.nullish(),
    imageRef: text.nullish(),
    availability_zone: text.nullish(),
    metadata,
  }),
});
const updateSchema = z.looseObject({
  volume: z.looseObject({ name: text.nullish(), description: text.nullish(), metadata }),
});

const micros = (ms: number): string => new Date(ms).toISOString().replace('Z', '000');

export function volumeVersion(origin: string): object {
  return {
    id: 'v3.0',
    status: 'CURRENT',
    version: '3.70',
    min_version: '3.0',
    updated: '2023-08-31T00:00:00Z',
    links: [{ rel: 'self', href: `${origin}/volume/v3/` }],
  };
}

function briefView(volume: Volume, origin: string): object {
  const { id, name, projectId } = volume;
  return { id, name, links: [{ rel: 'self', href: `${origin}/volume/v3/${projectId}/volumes/${id}` }] };
}

function volumeView(volume: Volume, images: Images, origin: string): object {
  const { attachment, imageId } = volume;
  return {
    ...briefView(volume, origin),
    status: volume.status,
    size: volume.sizeGiB,
    description: volume.description,
    metadata: volume.metadata,
    availability_zone: volume.zone,
    bootable: String(imageId !== null),
    encrypted: false,
    multiattach: false,
    replication_status: null,
    consistencygroup_id: null,
    snapshot_id: null,
    source_volid: null,
    volume_type: 'standard',
    user_id: volume.userId,
    'os-vol-tenant-attr:tenant_id': volume.projectId,
    created_at: micros(volume.createdAt),
    updated_at: micros(volume.updatedAt),
    attachments:
      attachment === null
        ? []
        : [
            {
              id: volume.id,
              volume_id: volume.id,
              attachment_id: attachment.id,
              server_id: attachment.serverId,
              device: attachment.device,
              host_name: null,
              attached_at: micros(attachment.attachedAt),
            },
          ],
    ...(imageId !== null && {
      volume_image_metadata: { image_id: imageId, image_name: images.find(imageId)?.name ?? '' },
    }),
  };
}

/** Cinder v3 below /volume/v3/PROJECT. */
export function volumeRoutes({ volumes, images, origin, zones }: VolumeRouting): Router {
  const router = Router({ mergeParams: true });
  router.use((request, _response, next) => {
    const { project } = request.params as { project?: string };
    if (project !== projectOf(request)) throw badRequest('Malformed request url');
    next();
  });
  const own = (request: Request<{ id: string }>): Volume =>
    volumes.volume(request.params.id, projectOf(request));

  router.get(['/volumes', '/volumes/detail'], (request, response) => {
    const [name, status] = [query(request, 'name'), query(request, 'status')];
    const found = volumes
      .of(projectOf(request))
      .filter((each) => (name === undefined || each.name === name) && (status ?? each.status) === each.status)
      .sort((left, right) => right.createdAt - left.createdAt || (left.id < right.id ? -1 : 1));
    const page = pageOf(found, query(request, 'limit'), query(request, 'marker'));
    response.json({
      volumes: page.items.map((each) =>
        request.path.endsWith('/detail') ? volumeView(each, images, origin()) : briefView(each, origin()),
      ),
      ...(page.next !== undefined && {
        volumes_links: [{ rel: 'next', href: nextLink(origin(), request.originalUrl, page.next) }],
      }),
    });
  });
  router.post('/volumes', (request, response) => {
    const wanted = bodyOf(request, createSchema).volume;
    const zone = wanted.availability_zone ?? zones[0] ?? '';
    if (!zones.includes(zone)) throw badRequest(`Availability zone '${zone}' is invalid.`);
    const imageId = wanted.imageRef ?? null;
    if (imageId !== null && images.find(imageId) === undefined)
      throw badRequest(
        'Invalid input received: Invalid image identifier or unable to access requested image.',
      );
    const volume = volumes.create({
      name: wanted.name ?? '',
      description: wanted.description,
      projectId: projectOf(request),
      userId: tokenOf(request).user.id,
      sizeGiB: wanted.size,
      zone,
      imageId,
      metadata: wanted.metadata,
    });
    response.status(202).json({ volume: volumeView(volume, images, origin()) });
    // An empty volume is there at once; what an image is copied to is as well, as far as anybody can see.
    volumes.change(volume, 'available');
  });
  router.get('/volumes/:id', (request, response) => {
    response.json({ volume: volumeView(own(request), images, origin()) });
  });
  router.put('/volumes/:id', (request, response) => {
    const volume = own(request);
    const wanted = bodyOf(request, updateSchema).volume;
    volume.name = wanted.name ?? volume.name;
    if (wanted.description !== undefined) volume.description = wanted.description;
    volume.metadata = wanted.metadata ?? volume.metadata;
    volumes.change(volume, volume.status);
    response.json({ volume: volumeView(volume, images, origin()) });
  });
  router.delete('/volumes/:id', (request, response) => {
    volumes.delete(own(request));
    response.status(202).end();
  });

  router.get('/types', (_request, response) => {
    response.json({ volume_types: [{ id: 'standard', name: 'standard', is_public: true, extra_specs: {} }] });
  });
  router.get('/os-availability-zone', (_request, response) => {
    response.json({
      availabilityZoneInfo: zones.map((zoneName) => ({ zoneName, zoneState: { available: true } })),
    });
  });
  router.get('/limits', (request, response) => {
    const project = projectOf(request);
    const quotas = volumes.quotasOf(project);
    const used = volumes.used(project);
    response.json({
      limits: {
        rate: [],
        absolute: {
          maxTotalVolumes: quotas.volumes,
          totalVolumesUsed: used.volumes,
          maxTotalVolumeGigabytes: quotas.gigabytes,
          totalGigabytesUsed: used.gigabytes,
          maxTotalSnapshots: 0,
          totalSnapshotsUsed: 0,
        },
      },
    });
  });
  router.get('/os-quota-sets/:id', (request, response) => {
    const project = request.params.id;
    if (project !== projectOf(request))
      throw new ApiError(403, 'Policy does not allow this to be performed.');
    const { volumes: count, gigabytes } = volumes.quotasOf(project);
    const used = volumes.used(project);
    const withUse = /^true$/i.test(query(request, 'usage') ?? '');
    const shown = (limit: number, inUse: number): unknown =>
      withUse ? { limit, in_use: inUse, reserved: 0, allocated: 0 } : limit;
    response.json({
      quota_set: {
        id: project,
        volumes: shown(count, used.volumes),
        gigabytes: shown(gigabytes, used.gigabytes),
        snapshots: shown(0, 0),
      },
    });
  });

  return router;
}
