import type { Request } from 'express';
import { query, queryAll } from '../http/context.js';
import { nextLink, pageOf } from '../http/paging.js';
import type { NetworkState } from './network.js';

/** Words that steer a list and are no filters. */
const STEERING = new Set([
  'limit',
  'marker',
  'page_reverse',
  'sort_key',
  'sort_dir',
  'fields',
  'tags',
  'tags-any',
  'not-tags',
  'not-tags-any',
  'fixed_ips',
]);

/** Neutron filters by equality with any field that is shown; several values are alternatives. */
function matches(view: Record<string, unknown>, request: Request): boolean {
  for (const key of Object.keys(request.query)) {
    if (STEERING.has(key) || !(key in view)) continue;
    const wanted = queryAll(request, key);
    if (wanted.length > 0 && !wanted.some((value) => value.toLowerCase() === String(view[key]).toLowerCase()))
      return false;
  }
  const tags = query(request, 'tags');
  const own: unknown = view['tags'];
  return tags === undefined || (Array.isArray(own) && tags.split(',').every((tag) => own.includes(tag)));
}

/** Makes the body of a list's answer: filtered, and one page of it. */
export function listing(origin: () => string) {
  return (request: Request, name: string, views: readonly Record<string, unknown>[]): object => {
    const found = views
      .filter((view) => matches(view, request))
      .map((view) => ({ id: String(view['id']), view }));
    const page = pageOf(found, query(request, 'limit'), query(request, 'marker'));
    return {
      [name]: page.items.map((item) => item.view),
      ...(page.next !== undefined && {
        [`${name}_links`]: [{ rel: 'next', href: nextLink(origin(), request.originalUrl, page.next) }],
      }),
    };
  };
}

/** Makes a function that changes a thing's name and description, where given. */
export function renaming(state: NetworkState) {
  return (
    thing: { name: string; description: string; updatedAt: number },
    wanted: { name?: string | undefined; description?: string | null | undefined },
  ): void => {
    if (wanted.name !== undefined) thing.name = wanted.name;
    if (wanted.description != null) thing.description = wanted.description;
    thing.updatedAt = state.clock.now();
  };
}
