import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Arrivals, providerFinds, readerFinds } from '../support/found-by.js';
import { OpenStackLab } from '../support/openstack-lab.js';
import { ProviderError } from '../support/provider-process.js';
import { waysIn, type CloudFacts, type WayIn } from '../support/ways-in.js';

const limitMs = 300_000;

/** Plain HTTP to one region, as the lab has it. */
const here = waysIn
  .filter(({ name, place }) => (place ?? 'plain') === 'plain' && !name.includes('each region'))
  .map((way) => ({ ...way, env: (cloud: CloudFacts) => inOneRegion(way.env(cloud)) }));

function inOneRegion<T>(settings: T): T {
  return JSON.parse(JSON.stringify(settings).replaceAll('RegionTwo', 'RegionOne')) as T;
}

/** The matrix that the embedded cloud is tried with, against a Keystone that is not ours. */
describe('the ways into a real OpenStack', () => {
  const root = mkdtempSync(join(tmpdir(), 'vmpool-ways-in-'));
  const arrivals = new Arrivals(root);
  let facts: CloudFacts;

  beforeAll(async () => {
    facts = await new OpenStackLab().facts();
  }, limitMs);
  afterEach(() => arrivals.close());
  afterAll(() => {
    rmSync(root, { recursive: true, force: true });
  });

  const surroundings = (way: WayIn) =>
    arrivals.surroundings({ ...way, files: (cloud) => inOneRegion(way.files?.(cloud) ?? {}) }, facts);

  it.each(here.filter(({ leads }) => 'door' in leads))(
    'lead reader and provider to the same things: $name',
    async (way) => {
      const place = surroundings(way);
      const byReader = await readerFinds(arrivals.reader(place));
      expect(await providerFinds(await arrivals.provider(place))).toEqual(byReader);
      expect(byReader).toEqual(await readerFinds(arrivals.reader(surroundings(plainest))));
    },
    limitMs,
  );

  it.each(here.filter(({ leads }) => 'refused' in leads))(
    'both refuse: $name',
    async (way) => {
      const place = surroundings(way);
      const refused = 'refused' in way.leads ? way.leads.refused : /$^/;
      await expect((async () => readerFinds(arrivals.reader(place)))()).rejects.toThrow(refused);
      await expect((async () => providerFinds(await arrivals.provider(place)))()).rejects.toThrow(
        ProviderError,
      );
    },
    limitMs,
  );
});

const plainest: WayIn = here[0] ?? { name: 'none', env: () => ({}), leads: { refused: /$^/ } };
