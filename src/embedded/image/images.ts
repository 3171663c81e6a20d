import { createHash } from 'node:crypto';
import { Router } from 'express';
import { isoSeconds } from '../clock.js';
import { query, queryAll } from '../http/context.js';
import { badRequest, notFound } from '../http/errors.js';
import { pageOf } from '../http/paging.js';

export interface Image {
  readonly id: string;
  readonly name: string;
  status: 'active' | 'deactivated' | 'deleted';
  readonly createdAt: number;
  readonly tags: readonly string[];
}

/** An id that is the same in every cloud, so that a pool's pinned spec survives a restart of the demo. */
export function stableUuid(kind: string, name: string): string {
  const hash = createHash('sha256').update(`${kind}:${name}`).digest('hex');
  return `${hash.slice(0, 8)}-${hash.slice(8, 12)}-4${hash.slice(13, 16)}-8${hash.slice(17, 20)}-${hash.slice(20, 32)}`;
}

/** Glance's images: fixed at start; their status can be changed through the control API. */
export class Images {
  readonly all: Image[];

  constructor(names: readonly string[], now: number) {
    this.all = names.map((name, index) => ({
      id: stableUuid('image', name),
      name,
      status: 'active',
      createdAt: now - (names.length - index) * 86_400_000,
      tags: ['vm'],
    }));
  }

  find(id: string): Image | undefined {
    return this.all.find((image) => image.id === id && image.status !== 'deleted');
  }
}

function imageView(image: Image): object {
  return {
    id: image.id,
    name: image.name,
    status: image.status,
    visibility: 'public',
    protected: false,
    os_hidden: false,
    owner: stableUuid('project', 'images').replaceAll('-', ''),
    checksum: createHash('md5').update(image.id).digest('hex'),
    os_hash_algo: 'sha512',
    os_hash_value: createHash('sha512').update(image.id).digest('hex'),
    container_format: 'bare',
    disk_format: 'raw',
    min_disk: 0,
    min_ram: 0,
    size: 3221225472,
    virtual_size: 3221225472,
    tags: image.tags,
    created_at: isoSeconds(image.createdAt),
    updated_at: isoSeconds(image.createdAt),
    self: `/v2/images/${image.id}`,
    file: `/v2/images/${image.id}/file`,
    schema: '/v2/schemas/image',
  };
}

/** Glance v2 below /image/v2. */
export function imageRoutes(images: Images): Router {
  const router = Router();

  router.get('/images', (request, response) => {
    const same = (name: string, value: string): boolean => {
      const wanted = query(request, name);
      return wanted === undefined || wanted.replace(/^in:/, '').split(',').includes(value);
    };
    const tags = queryAll(request, 'tag');
    const found = images.all.filter(
      (image) =>
        image.status !== 'deleted' &&
        same('name', image.name) &&
        same('id', image.id) &&
        same('status', image.status) &&
        ['public', 'all', undefined].includes(query(request, 'visibility')) &&
        query(request, 'owner') === undefined &&
        ['bare', undefined].includes(query(request, 'container_format')) &&
        ['raw', undefined].includes(query(request, 'disk_format')) &&
        tags.every((tag) => image.tags.includes(tag)),
    );
    const [sortKey, sortDir] = (query(request, 'sort') ?? '').split(',')[0]?.split(':') ?? [];
    const key = sortKey || query(request, 'sort_key') || 'created_at';
    const direction = (sortDir ?? query(request, 'sort_dir') ?? 'desc') === 'asc' ? 1 : -1;
    if (!['created_at', 'updated_at', 'name', 'id', 'status', 'size'].includes(key))
      throw badRequest(`Invalid sort key: ${key}`);
    found.sort((left, right) => {
      const order =
        key === 'name'
          ? left.name.localeCompare(right.name)
          : key === 'id'
            ? left.id.localeCompare(right.id)
            : left.createdAt - right.createdAt;
      return order * direction;
    });
    const page = pageOf(found, query(request, 'limit'), query(request, 'marker'));
    const parameters = new URLSearchParams(request.originalUrl.split('?')[1] ?? '');
    const first = new URLSearchParams(parameters);
    first.delete('marker');
    const link = (params: URLSearchParams): string =>
      `/v2/images${params.size > 0 ? `?${params.toString()}` : ''}`;
    if (page.next !== undefined) parameters.set('marker', page.next);
    response.json({
      images: page.items.map(imageView),
      first: link(first),
      ...(page.next !== undefined && { next: link(parameters) }),
      schema: '/v2/schemas/images',
    });
  });

  router.get('/images/:id', (request, response) => {
    const image = images.find(request.params.id);
    if (!image) throw notFound(`No image found with ID ${request.params.id}`);
    response.json(imageView(image));
  });

  router.get('/images/:id/members', (_request, response) => {
    response.json({ members: [], schema: '/v2/schemas/members' });
  });

  router.get('/schemas/:name', (request, response) => {
    response.json({ name: request.params.name, properties: {}, additionalProperties: { type: 'string' } });
  });

  return router;
}
