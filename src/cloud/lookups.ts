import { z } from 'zod';
import { CloudError } from './port.js';
import type { Lookup } from './port.js';
import type { Service } from './catalog.js';
import type { Session } from './session.js';

/**
 * Flavors, images and networks by id or name. An id wins over a name; a name that several have is refused
 * with their ids, as the provider would refuse it in the middle of a create.
 */

interface Named {
  readonly id: string;
  readonly name: string;
}

interface Kind<T extends Named> {
  readonly word: 'flavor' | 'image' | 'network';
  readonly service: Service;
  one(id: string): string;
  readonly oneShape: z.ZodType<T>;
  /** First page of those that may have the name. */
  list(name: string): string;
  readonly pageShape: z.ZodType<{ readonly items: readonly T[]; readonly next: string | null }>;
  /** Whether a text can be an id at all; others are not asked for by id. */
  mayBeId(text: string): boolean;
}

const links = z.array(z.object({ rel: z.string(), href: z.string() })).default([]);
const nextOf = (list: z.infer<typeof links>): string | null =>
  list.find((link) => link.rel === 'next')?.href ?? null;
const uuid = /^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$/i;
const maxPages = 200;

const flavorShape = z
  .object({ id: z.string(), name: z.string(), vcpus: z.number(), ram: z.number() })
  .transform(({ id, name, vcpus, ram }) => ({ id, name, vcpus, ramMiB: ram }));
const imageShape = z
  .object({ id: z.string(), name: z.string().nullish(), status: z.string() })
  .transform(({ id, name, status }) => ({ id, name: name ?? '', status }));
const networkShape = z
  .object({ id: z.string(), name: z.string().nullish() })
  .transform(({ id, name }) => ({ id, name: name ?? '' }));

export type Flavor = z.infer<typeof flavorShape>;
export type Image = z.infer<typeof imageShape>;
export type Network = z.infer<typeof networkShape>;

export const flavors: Kind<Flavor> = {
  word: 'flavor',
  service: 'compute',
  one: (id) => `/flavors/${encodeURIComponent(id)}`,
  oneShape: z.object({ flavor: flavorShape }).transform((body) => body.flavor),
  // Nova has no filter by name.
  list: () => '/flavors/detail?limit=500',
  pageShape: z
    .object({ flavors: z.array(flavorShape), flavors_links: links })
    .transform((body) => ({ items: body.flavors, next: nextOf(body.flavors_links) })),
  // A flavor's id is any text that its maker chose; `.` and `..` would change the path.
  mayBeId: (text) => !/^\.{0,2}$/.test(text),
};

export const images: Kind<Image> = {
  word: 'image',
  service: 'image',
  one: (id) => `/images/${encodeURIComponent(id)}`,
  oneShape: imageShape,
  list: (name) => `/images?limit=100&name=${encodeURIComponent(name)}`,
  pageShape: z
    .object({ images: z.array(imageShape), next: z.string().nullish() })
    .transform((body) => ({ items: body.images, next: body.next ?? null })),
  mayBeId: (text) => uuid.test(text),
};

export const networks: Kind<Network> = {
  word: 'network',
  service: 'network',
  one: (id) => `/networks/${encodeURIComponent(id)}`,
  oneShape: z.object({ network: networkShape }).transform((body) => body.network),
  list: (name) => `/networks?limit=500&name=${encodeURIComponent(name)}`,
  pageShape: z
    .object({ networks: z.array(networkShape), networks_links: links })
    .transform((body) => ({ items: body.networks, next: nextOf(body.networks_links) })),
  mayBeId: (text) => uuid.test(text),
};

async function byId<T extends Named>(
  session: Session,
  kind: Kind<T>,
  id: string,
  signal: AbortSignal,
): Promise<T | null> {
  try {
    return await session.read(
      { what: `read the ${kind.word} "${id}"`, service: kind.service, method: 'GET', path: kind.one(id) },
      kind.oneShape,
      signal,
    );
  } catch (error) {
    // A name asked for as an id: 404, or 400 where the id's form is checked.
    if (error instanceof CloudError && (error.kind === 'not-found' || error.kind === 'bad-answer'))
      return null;
    throw error;
  }
}

async function byName<T extends Named>(
  session: Session,
  kind: Kind<T>,
  name: string,
  signal: AbortSignal,
): Promise<{ matches: T[]; seen: string[] }> {
  const matches = new Map<string, T>();
  const seen = new Set<string>();
  const markers = new Set<string>();
  const first = kind.list(name);
  let path = first;
  const what = `look for the ${kind.word} "${name}"`;
  for (let page = 1; page <= maxPages; page += 1) {
    const body = await session.read(
      { what, service: kind.service, method: 'GET', path },
      kind.pageShape,
      signal,
    );
    for (const item of body.items) {
      seen.add(item.name);
      if (item.name === name) matches.set(item.id, item);
    }
    const marker =
      body.next === null ? null : new URLSearchParams(body.next.replace(/^[^?]*\??/, '')).get('marker');
    if (marker === null) return { matches: [...matches.values()], seen: [...seen] };
    if (markers.has(marker)) break;
    markers.add(marker);
    path = `${first}&marker=${encodeURIComponent(marker)}`;
  }
  throw new CloudError('bad-answer', `could not ${what}: the pages of the list do not end`);
}

export async function lookUp<T extends Named>(
  session: Session,
  kind: Kind<T>,
  nameOrId: string,
  signal: AbortSignal,
): Promise<Lookup<T>> {
  if (nameOrId === '')
    return { found: false, why: `no ${kind.word} is named: set it in the pool's configuration` };
  if (kind.mayBeId(nameOrId)) {
    const value = await byId(session, kind, nameOrId, signal);
    if (value !== null) return { found: true, value };
  }
  const { matches, seen } = await byName(session, kind, nameOrId, signal);
  const [only] = matches;
  if (only !== undefined && matches.length === 1) return { found: true, value: only };
  if (matches.length > 1) {
    const ids = matches.map((match) => match.id).sort();
    return {
      found: false,
      why: `${matches.length} ${kind.word}s have the name "${nameOrId}": give one of their ids: ${ids.join(', ')}`,
    };
  }
  const others = seen.filter((name) => name !== '').sort();
  const known =
    others.length === 0
      ? ''
      : `; there are: ${others.slice(0, 20).join(', ')}${others.length > 20 ? ', ...' : ''}`;
  return {
    found: false,
    why: `no ${kind.word} with the name or id "${nameOrId}" can be seen in this project and region${known}`,
  };
}
