import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { resolveCredentials } from '../../src/cloud/credentials.js';
import { createCloud, machineFiles } from '../../src/cloud/openstack.js';
import type { OpenStackCloud } from '../../src/cloud/openstack.js';
import { floatingIpDescription, identityKeys } from '../../src/cloud/port.js';
import type { ServerView } from '../../src/cloud/port.js';
import type { InstallationId, ServerId } from '../../src/pool/model.js';

/** A started OpenStack, embedded or real, as the contract needs it. */
export interface CloudUnderTest {
  /** OS_* variables of an ordinary member of a project. */
  readonly env: Readonly<Record<string, string>>;
  /** Names; each must exist once. */
  readonly flavor: string;
  readonly image: string;
  readonly network: string;
  /** Where floating IPs come from. */
  readonly external: string;
  /** How long a server may take to become ACTIVE or to be gone. */
  readonly patienceMs: number;
  /** Quotas, beside Nova's, that this cloud is known to tell an ordinary member. */
  readonly tells?: readonly ('ports' | 'volumes')[];
  /** Sets the project's quota of ports; -1 for none. */
  readonly limitPorts: (limit: number) => Promise<void>;
}

const keystoneToken = async (env: CloudUnderTest['env']): Promise<string> => {
  const resolution = resolveCredentials(env, machineFiles());
  if (!resolution.ok) throw new Error(resolution.errors.join('; '));
  const { identity, scope, authUrl } = resolution.auth;
  const answer = await fetch(`${authUrl.replace(/\/(v3\/?)?$/, '')}/v3/auth/tokens`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ auth: { identity, ...(scope === null ? {} : { scope }) } }),
  });
  return answer.headers.get('x-subject-token') ?? '';
};

const pageShape = z.object({
  servers: z.array(z.object({ id: z.string() })),
  servers_links: z.array(z.object({ rel: z.string(), href: z.string() })).default([]),
});
const portsShape = z.object({
  ports: z.array(z.object({ fixed_ips: z.array(z.object({ ip_address: z.string() })) })),
});

/** Nova's own word about itself; an empty version from one that has no microversions. */
const versionShape = z.object({ version: z.object({ version: z.string() }) });
const minorOf = (version: string): number => Number(version.split('.')[1] ?? 0);

const allocatedShape = z.object({ floatingip: z.object({ id: z.string() }) });

/** Ids of all servers, read one by one through the markers of the pages. */
async function pages(list: string, raw: (url: string) => Promise<unknown>): Promise<string[]> {
  const ids: string[] = [];
  let marker = '';
  for (;;) {
    const page = pageShape.parse(await raw(`${list}?limit=1${marker}`));
    ids.push(...page.servers.map(({ id }) => id));
    const next = page.servers_links.find(({ rel }) => rel === 'next');
    if (next === undefined) return ids;
    if (ids.length > 1000) throw new Error('the pages do not end');
    marker = `&marker=${new URL(next.href).searchParams.get('marker') ?? ''}`;
  }
}

/**
 * What the reader promises of any OpenStack. `start` and `stop` own the cloud; the contract deletes the
 * servers that it makes.
 */
export function cloudContract(
  name: string,
  start: () => Promise<CloudUnderTest>,
  stop: () => Promise<void>,
): void {
  describe(`the OpenStack reader against ${name}`, () => {
    const installation = randomUUID() as InstallationId;
    const prefix = `contract-${installation.slice(0, 8)}`;
    const still = new AbortController().signal;
    const made: ServerId[] = [];
    let target: CloudUnderTest;
    let cloud: OpenStackCloud;

    /** A call of the API itself, past the reader. */
    async function raw(url: string): Promise<unknown> {
      const headers = { 'x-auth-token': await keystoneToken(target.env) };
      const answer = await fetch(url, { headers });
      if (!answer.ok) throw new Error(`${url} answered ${answer.status}: ${await answer.text()}`);
      return answer.json();
    }

    async function create(serverName: string, owner: string): Promise<ServerId> {
      const [flavor, image, network] = await Promise.all([
        cloud.flavor(target.flavor, still),
        cloud.image(target.image, still),
        cloud.network(target.network, still),
      ]);
      if (!flavor.found || !image.found || !network.found)
        throw new Error('the cloud lacks what the contract needs');
      const { endpoints } = await cloud.identity(still);
      const answer = await fetch(`${endpoints.compute}/servers`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-auth-token': await keystoneToken(target.env) },
        body: JSON.stringify({
          server: {
            name: serverName,
            flavorRef: flavor.value.id,
            imageRef: image.value.id,
            networks: [{ uuid: network.value.id }],
            metadata: { [identityKeys.installation]: owner, [identityKeys.member]: serverName },
          },
        }),
      });
      if (answer.status !== 202) throw new Error(`create answered ${answer.status}: ${await answer.text()}`);
      const body = (await answer.json()) as { server: { id: string } };
      made.push(body.server.id as ServerId);
      return body.server.id as ServerId;
    }

    async function until(
      id: ServerId,
      holds: (server: ServerView | null) => boolean,
    ): Promise<ServerView | null> {
      const end = Date.now() + target.patienceMs;
      for (;;) {
        const server = await cloud.server(id, still);
        if (holds(server)) return server;
        if (Date.now() > end) throw new Error(`${id} is still ${server?.status ?? 'absent'}`);
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
    }

    beforeAll(async () => {
      target = await start();
      cloud = createCloud({ env: target.env, installation });
    }, 120_000);
    afterAll(async () => {
      for (const id of made) await cloud.deleteServer(id, still);
      for (const id of made) await until(id, (server) => server === null);
      cloud.close();
      await stop();
    }, 300_000);

    it('signs in and knows project and endpoints', async () => {
      const identity = await cloud.identity(still);
      expect(identity.project?.id).toBeTruthy();
      expect(identity.endpoints.compute).toMatch(/^https?:/);
    });

    it('refuses a wrong password without showing it', async () => {
      const wrong = createCloud({ env: { ...target.env, OS_PASSWORD: 'not-the-pass-word' }, installation });
      try {
        const error: unknown = await wrong.quota(still).catch((reason: unknown) => reason);
        expect(error).toMatchObject({ kind: 'unauthorised' });
        expect(String(error)).not.toContain('not-the-pass-word');
      } finally {
        wrong.close();
      }
    });

    it('finds flavor, image and network by name and by the id found, and says what is absent', async () => {
      for (const [kind, existing] of [
        ['flavor', target.flavor],
        ['image', target.image],
        ['network', target.network],
      ] as const) {
        const byName = await cloud[kind](existing, still);
        if (!byName.found) throw new Error(byName.why);
        expect(byName.value.name).toBe(existing);
        expect(await cloud[kind](byName.value.id, still)).toEqual(byName);
        const absent = await cloud[kind](`${prefix}-absent`, still);
        expect(absent.found ? '' : absent.why).toContain(`${prefix}-absent`);
      }
      expect(await cloud.image(target.image, still)).toMatchObject({ value: { status: 'active' } });
    });

    it('reads a quota', async () => {
      const quota = await cloud.quota(still);
      expect(quota.instances.used).toBeGreaterThanOrEqual(0);
      expect(quota.ramMiB.limit === null || quota.ramMiB.limit > 0).toBe(true);
      for (const told of target.tells ?? []) expect(quota[told]?.used).toBeGreaterThanOrEqual(0);
    });

    it('reads a quota of ports that was set, and none', async () => {
      await target.limitPorts(7);
      expect((await cloud.quota(still)).ports?.limit).toBe(7);
      await target.limitPorts(-1);
      expect((await cloud.quota(still)).ports?.limit).toBeNull();
    });

    it('speaks a microversion that the reader understands', async () => {
      const { microversion, endpoints } = await cloud.identity(still);
      const { version } = versionShape.parse(await raw(`${endpoints.compute}/`)).version;
      const newest = minorOf(version);
      if (newest === 0) expect(microversion).toBeNull();
      else {
        expect(microversion).toMatch(/^2\.\d+$/);
        expect(minorOf(microversion ?? '')).toBeLessThanOrEqual(newest);
      }
      expect(await cloud.tagsAtCreate(still)).toBe(newest >= 52);
    });

    it('says null for a server that is not there, deletes it all the same, and cannot read its console', async () => {
      const absent = randomUUID() as ServerId;
      expect(await cloud.server(absent, still)).toBeNull();
      await cloud.deleteServer(absent, still);
      await expect(cloud.consoleLog(absent, 10, still)).rejects.toMatchObject({ kind: 'not-found' });
    });

    it('follows servers from create to delete, telling ours from others', async () => {
      const before = await cloud.quota(still);
      const ours = await create(`${prefix}-a`, installation);
      const theirs = await create(`${prefix}-b`, randomUUID());
      const active = await until(ours, (server) => server?.status === 'ACTIVE');
      expect(active).toMatchObject({ id: ours, name: `${prefix}-a`, fault: null });
      expect(active?.metadata[identityKeys.installation]).toBe(installation);
      expect(active?.addresses[target.network]?.[0]).toMatchObject({ version: 4, type: 'fixed' });
      expect(Number.isNaN(Date.parse(active?.createdAt ?? ''))).toBe(false);

      const listing = await cloud.listOurs(still);
      expect(listing.complete).toBe(true);
      expect(listing.servers).toEqual([active]);

      expect(await cloud.actions(ours, still)).toEqual([]);
      expect(typeof (await cloud.consoleLog(ours, 20, still))).toBe('string');

      await until(theirs, (server) => server?.status === 'ACTIVE');
      const { instances, ports: portQuota } = await cloud.quota(still);
      expect(instances.used).toBe(before.instances.used + 2);
      if (target.tells?.includes('ports') === true)
        expect(portQuota?.used).toBe((before.ports?.used ?? 0) + 2);
      const { endpoints } = await cloud.identity(still);
      const paged = await pages(`${endpoints.compute}/servers`, raw);
      expect(paged.filter((id) => id === ours || id === theirs).sort()).toEqual([ours, theirs].sort());

      const ports = portsShape.parse(await raw(`${endpoints.network}/ports?device_id=${ours}`));
      expect(ports.ports.map((port) => port.fixed_ips[0]?.ip_address)).toEqual([
        active?.addresses[target.network]?.[0]?.address,
      ]);

      expect((await cloud.listOurs(still)).complete).toBe(true);
      await cloud.deleteServer(ours, still);
      await cloud.deleteServer(ours, still);
      await until(ours, (server) => server === null);
      const changes = await cloud.listChanged(still);
      expect(changes.complete).toBe(false);
      expect(changes.servers.find(({ id }) => id === ours)?.status).toBe('DELETED');
      expect(await cloud.server(theirs, still)).not.toBeNull();
    }, 600_000);

    it('tells our floating IPs from others, and releases one', async () => {
      const external = await cloud.network(target.external, still);
      if (!external.found) throw new Error(external.why);
      const { endpoints } = await cloud.identity(still);
      const allocate = async (description: string): Promise<string> => {
        const answer = await fetch(`${endpoints.network}/floatingips`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', 'x-auth-token': await keystoneToken(target.env) },
          body: JSON.stringify({ floatingip: { floating_network_id: external.value.id, description } }),
        });
        if (answer.status !== 201)
          throw new Error(`allocate answered ${answer.status}: ${await answer.text()}`);
        const { floatingip } = allocatedShape.parse(await answer.json());
        return floatingip.id;
      };
      const member = `${prefix}-d`;
      const ours = await allocate(floatingIpDescription(installation, member));
      const theirs = await allocate(floatingIpDescription(randomUUID(), member));
      try {
        const [listed, ...others] = await cloud.floatingIps(still);
        expect(listed).toMatchObject({ id: ours, member, isAssociated: false });
        expect(others).toEqual([]);
        expect(await cloud.floatingIp(ours, still)).toEqual(listed);
        expect(await cloud.floatingIp(theirs, still)).toBeNull();
        await cloud.releaseFloatingIp(ours, still);
        await cloud.releaseFloatingIp(ours, still);
        expect(await cloud.floatingIp(ours, still)).toBeNull();
        expect(await cloud.floatingIps(still)).toEqual([]);
      } finally {
        for (const id of [ours, theirs]) await cloud.releaseFloatingIp(id, still);
      }
    });

    it('rebuilds a server from an image and sees it in the action log', async () => {
      const id = await create(`${prefix}-c`, installation);
      await until(id, (server) => server?.status === 'ACTIVE');
      await cloud.rebuildServer(id, target.image, still);
      const rebuilt = await until(id, (server) => server?.status === 'ACTIVE' && server.taskState === null);
      expect(rebuilt?.metadata[identityKeys.installation]).toBe(installation);
      expect((await cloud.actions(id, still)).map((entry) => entry.action)).toEqual(['rebuild']);
    }, 600_000);
  });
}
