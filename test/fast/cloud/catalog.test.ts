import { describe, expect, it } from '@jest/globals';
import { apiBase, chooseEndpoint, chooseMicroversion, versionDocument } from '../../../src/cloud/catalog.js';
import { retryAfterMs } from '../../../src/cloud/retry.js';

describe('endpoints', () => {
  it.each([
    ['compute', 'http://nova:8774/v2.1', 'http://nova:8774/v2.1', 'http://nova:8774/v2.1/'],
    ['compute', 'https://c/compute/v2/p1', 'https://c/compute/v2/p1', 'https://c/compute/v2/'],
    ['compute', 'https://c/compute', 'https://c/compute/v2.1', 'https://c/compute/v2.1/'],
    ['image', 'http://glance:9292', 'http://glance:9292/v2', 'http://glance:9292/v2/'],
    ['network', 'http://c/net/v2.0', 'http://c/net/v2.0', 'http://c/net/v2.0/'],
    ['network', 'http://c/vnet', 'http://c/vnet/v2.0', 'http://c/vnet/v2.0/'],
  ] as const)('%s at %s', (service, endpoint, base, document) => {
    expect(apiBase(service, endpoint)).toBe(base);
    expect(versionDocument(base)).toBe(document);
  });

  it('are found by id or name of the region, and under old service types', () => {
    const endpoint = (url: string, region: string, region_id: string) => ({
      interface: 'public',
      url,
      region,
      region_id,
    });
    const catalog = [
      {
        type: 'glance',
        endpoints: [endpoint('http://a/', 'East', 'e'), endpoint('http://b//', 'West', 'w')],
      },
    ];
    expect(chooseEndpoint(catalog, 'image', 'West', 'public')).toEqual({ found: true, url: 'http://b' });
    expect(chooseEndpoint(catalog, 'image', 'e', 'public')).toEqual({ found: true, url: 'http://a' });
    expect(chooseEndpoint(catalog, 'image', '', 'public')).toEqual({ found: true, url: 'http://a' });
    expect(chooseEndpoint(catalog, 'image', '', 'admin')).toMatchObject({ found: false });
    expect(chooseEndpoint(catalog, 'compute', '', 'public')).toMatchObject({
      why: expect.stringContaining('has no compute service (it has: glance)'),
    });
  });
});

it.each([
  ['2.93', '2.1', '2.26'],
  ['2.9', '2.1', '2.9'],
  ['', '', null],
  ['2.93', '2.53', null],
])('a Nova that speaks up to %s from %s is asked for %s', (max, min, chosen) => {
  expect(chooseMicroversion('2.26', min, max)).toBe(chosen);
});

it.each([
  ['7', 7_000],
  ['0', 0],
  ['Mon, 23 Nov 2026 00:00:05 GMT', 5_000],
  ['Mon, 23 Nov 2020 00:00:05 GMT', 0],
  ['soon', null],
  ['-3', null],
  [undefined, null],
])('Retry-After %s is %s ms', (header, ms) => {
  expect(retryAfterMs(header, Date.parse('2026-11-23T00:00:00Z'))).toBe(ms);
});
