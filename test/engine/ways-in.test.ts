import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { OpenStackCloud } from '../../src/cloud/openstack.js';
import { startEmbeddedCloud, type EmbeddedCloud, type EmbeddedOptions } from '../../src/embedded/cloud.js';
import { CloudControl } from '../../src/embedded/control.js';
import { privateAuthority } from '../support/certificates.js';
import { Arrivals, providerFinds, readerFinds, type Found, type Surroundings } from '../support/found-by.js';
import { ProviderError, type ProviderProcess } from '../support/provider-process.js';
import { waysIn, type CloudFacts, type Place, type WayIn } from '../support/ways-in.js';

jest.setTimeout(300_000);

describe('the OpenStack provider and the service’s own reader', () => {
  const root = mkdtempSync(join(tmpdir(), 'vmpool-ways-in-'));
  const authority = privateAuthority(root);
  const started = new Map<Place, { cloud: EmbeddedCloud; control: CloudControl; facts: CloudFacts }>();
  const arrivals = new Arrivals(root);

  const begin = async (place: Place, options: Partial<EmbeddedOptions>): Promise<void> => {
    const cloud = await startEmbeddedCloud({
      state: join(root, place),
      sandbox: 'none',
      regions: ['RegionOne', 'RegionTwo'],
      doors: true,
      basePath: '/behind/one/host',
      ...(place === 'private-ca' ? { tls: { cert: authority.cert, key: authority.key } } : {}),
      ...options,
    });
    const control = new CloudControl(cloud.controlUrl, cloud.controlToken, authority.ca);
    const { caFile, ca } = authority;
    const secrets = await control.createApplicationCredential({ name: 'pool' });
    const signIn = await control.signIn('demo');
    const facts: CloudFacts = {
      authUrl: cloud.authUrl,
      password: cloud.env['OS_PASSWORD'] ?? '',
      ...signIn,
      credential: { name: 'pool', ...secrets },
      caFile,
      ca,
    };
    started.set(place, { cloud, control, facts });
  };
  const at = (place: Place): { cloud: EmbeddedCloud; control: CloudControl; facts: CloudFacts } => {
    const found = started.get(place);
    if (found === undefined) throw new Error(`${place} was not started`);
    return found;
  };

  beforeAll(async () => {
    await begin('plain', {});
    await begin('private-ca', {});
    await begin('old-nova', { microversions: { max: '2.25' } });
    await begin('new-nova', { microversions: { max: '2.96' } });
  });
  afterEach(() => arrivals.close());
  afterAll(async () => {
    for (const { cloud } of started.values()) await cloud.stop();
    rmSync(root, { recursive: true, force: true });
  });

  const surroundings = (way: WayIn): Surroundings =>
    arrivals.surroundings(way, at(way.place ?? 'plain').facts);
  const reader = (here: Surroundings): OpenStackCloud => arrivals.reader(here);
  const provider = (here: Surroundings): Promise<ProviderProcess> => arrivals.provider(here);

  /** Who called which service through which door, each once. */
  const callers = async (control: CloudControl): Promise<string[]> => {
    const calls = (await control.calls()).filter(({ service, user }) => service !== 'identity' && user !== null);
    await control.clearCalls();
    return [
      ...new Set(
        calls.map(({ service, door, user, project, auth }) => [service, door, user, project, auth].join(' ')),
      ),
    ].sort();
  };

  it.each(waysIn.filter(({ leads }) => 'door' in leads))('arrive at the same place: $name', async (way) => {
    const { control } = at(way.place ?? 'plain');
    const here = surroundings(way);
    await control.clearCalls();
    const byReader = await readerFinds(reader(here));
    const readerCame = await callers(control);
    const byProvider = await providerFinds(await provider(here));
    const providerCame = await callers(control);
    expect(byProvider).toEqual(byReader);
    expect(providerCame).toEqual(readerCame);
    const { door, by } = 'door' in way.leads ? way.leads : { door: '', by: '' };
    expect(readerCame).toEqual(
      ['compute', 'image', 'network'].map((service) => `${service} ${door} demo demo ${by}`),
    );
  });

  it.each(waysIn.filter(({ leads }) => 'refused' in leads))('both refuse: $name', async (way) => {
    const here = surroundings(way);
    const refused = 'refused' in way.leads ? way.leads.refused : /$^/;
    const tryReader = async (): Promise<Found> => readerFinds(reader(here));
    await expect(tryReader()).rejects.toThrow(refused);
    const tryProvider = async (): Promise<Found> => providerFinds(await provider(here));
    await expect(tryProvider()).rejects.toThrow(ProviderError);
  });

  it('both sign in again when their token is over in the middle of a long run', async () => {
    const { control } = at('plain');
    const here = surroundings(waysIn[0] as WayIn);
    await control.setTokenLifetime(2);
    try {
      const [byReader, byProvider] = [reader(here), await provider(here)];
      const before = await readerFinds(byReader);
      expect(await providerFinds(byProvider)).toEqual(before);
      const { token } = await control.signIn('demo');
      // A token that was given after theirs is over: so are theirs.
      while (await control.isValid(token)) await sleep(100);
      expect(await readerFinds(byReader)).toEqual(before);
      expect(await providerFinds(byProvider)).toEqual(before);
      await control.revokeTokens();
      expect(await readerFinds(byReader)).toEqual(before);
      expect(await providerFinds(byProvider)).toEqual(before);
    } finally {
      await control.setTokenLifetime(3600);
    }
  });

  it('neither goes on with a token that cannot be renewed', async () => {
    const { control, facts } = at('plain');
    const { token } = await control.signIn('demo');
    const way = waysIn.find(({ name }) => name === 'token used as it is');
    const here = surroundings(way as WayIn);
    const env = { ...here.env, OS_TOKEN: token };
    const [byReader, byProvider] = [reader({ ...here, env }), await provider({ ...here, env })];
    await readerFinds(byReader);
    await providerFinds(byProvider);
    expect(facts.token).not.toBe(token);
    await control.revokeTokens();
    await expect(readerFinds(byReader)).rejects.toThrow(/401/);
    await expect(providerFinds(byProvider)).rejects.toThrow();
  });
});
