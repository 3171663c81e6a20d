import { z } from 'zod';
import type { Interface } from './credentials.js';

export type Service = 'compute' | 'network' | 'image' | 'volume';

export const catalogShape = z.array(
  z.object({
    type: z.string(),
    name: z.string().optional(),
    endpoints: z
      .array(
        z.object({
          interface: z.string(),
          url: z.string(),
          region: z.string().nullish(),
          region_id: z.string().nullish(),
        }),
      )
      .default([]),
  }),
);

export type Catalog = z.infer<typeof catalogShape>;

/** Official types first, then names that old catalogs use in their place. */
const types: Record<Service, readonly string[]> = {
  compute: ['compute', 'nova'],
  network: ['network', 'networking', 'neutron'],
  image: ['image', 'glance'],
  volume: ['volumev3', 'block-storage', 'block-store'],
};

export type EndpointChoice =
  { readonly found: true; readonly url: string } | { readonly found: false; readonly why: string };

/**
 * The catalog's endpoint of a service, as the provider chooses it: type, interface and region (by name or
 * id; '' for any), the first that fits. Without a trailing slash.
 */
export function chooseEndpoint(
  catalog: Catalog,
  service: Service,
  region: string,
  wanted: Interface,
): EndpointChoice {
  const entries = types[service]
    .map((type) => catalog.filter((entry) => entry.type === type))
    .find((list) => list.length > 0);
  if (entries === undefined) {
    const known = [...new Set(catalog.map((entry) => entry.type))].sort().join(', ') || 'nothing';
    return {
      found: false,
      why: `the catalog has no ${service} service (it has: ${known}); is the token for the right project?`,
    };
  }
  const endpoints = entries.flatMap((entry) => entry.endpoints);
  const match = endpoints.find(
    (endpoint) =>
      endpoint.interface === wanted &&
      (region === '' || endpoint.region === region || endpoint.region_id === region),
  );
  if (match === undefined) {
    const known = [
      ...new Set(
        endpoints.map((each) => `${each.interface} in ${each.region_id ?? each.region ?? 'no region'}`),
      ),
    ].join(', ');
    return {
      found: false,
      why: `the catalog has no ${wanted} ${service} endpoint in the region "${region}" (it has: ${known || 'none'}): set OS_REGION_NAME and OS_ENDPOINT_TYPE`,
    };
  }
  try {
    const url = new URL(match.url);
    if (url.protocol === 'http:' || url.protocol === 'https:') {
      return { found: true, url: match.url.replace(/[?#].*$/, '').replace(/\/+$/, '') };
    }
  } catch {
    // Told below.
  }
  return { found: false, why: `the catalog's ${service} endpoint is not an http URL: ${match.url}` };
}

const versionSegment = /\/v\d+(\.\d+)?(?=\/|$)/;

/**
 * Base of a service's API. A catalog's URL may end with a version (Nova's, often with the project behind
 * it), or leave it out (Glance's and Neutron's), with any path before.
 */
export function apiBase(service: Service, endpoint: string): string {
  const url = new URL(endpoint);
  if (versionSegment.test(url.pathname)) return endpoint;
  const version = { compute: 'v2.1', network: 'v2.0', image: 'v2', volume: 'v3' }[service];
  return `${endpoint}/${version}`;
}

/** Where a service describes its version: its base up to the version, with a slash. */
export function versionDocument(base: string): string {
  const url = new URL(base);
  const match = versionSegment.exec(url.pathname);
  const end = match === null ? url.pathname.length : match.index + match[0].length;
  return `${url.origin}${url.pathname.slice(0, end)}/`;
}

/** The newest microversion not above `wanted` that a service with `min` and `max` speaks; null for none. */
export function chooseMicroversion(wanted: string, min: string, max: string): string | null {
  const compare = (left: string, right: string): number => {
    const [a = 0, b = 0] = left.split('.').map(Number);
    const [c = 0, d = 0] = right.split('.').map(Number);
    return a - c || b - d;
  };
  if (!/^\d+\.\d+$/.test(max)) return null;
  if (/^\d+\.\d+$/.test(min) && compare(wanted, min) < 0) return null;
  return compare(max, wanted) < 0 ? max : wanted;
}
