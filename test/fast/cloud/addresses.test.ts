import { afterEach, describe, expect, it } from '@jest/globals';
import { floatingIpDescription } from '../../../src/cloud/port.js';
import type { OpenStackCloud } from '../../../src/cloud/openstack.js';
import { basics, installation, openCloud, play } from './play.js';
import type { PlayedCloud, Route } from './play.js';

const still = new AbortController().signal;
const opened: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

async function start(routes: Record<string, Route>): Promise<{ played: PlayedCloud; cloud: OpenStackCloud }> {
  const played = await play((url) => ({ ...basics(url), ...routes }));
  const cloud = openCloud(played.url);
  opened.push(
    () => played.close(),
    () => cloud.close(),
  );
  return { played, cloud };
}

const floating = (id: string, description: string | null, port: string | null): object => ({
  ...{ id, description, port_id: port, floating_ip_address: `192.0.2.${id}`, status: 'DOWN' },
});
const ours = (member: string): string => floatingIpDescription(installation, member);
const base = '/networking/v2.0/floatingips';

describe('floating IPs', () => {
  it("are listed where their description is this installation's, with whose they are and whether they lead somewhere", async () => {
    const { cloud } = await start({
      [`GET ${base}`]: () => ({
        json: {
          floatingips: [
            floating('1', ours('p-0001-a'), null),
            floating('2', ours('p-0002-b'), 'port'),
            floating('3', floatingIpDescription('another', 'p-0001-a'), null),
            floating('4', 'by hand', null),
            floating('5', null, null),
          ],
        },
      }),
    });
    expect(await cloud.floatingIps(still)).toEqual([
      { id: '1', address: '192.0.2.1', member: 'p-0001-a', isAssociated: false },
      { id: '2', address: '192.0.2.2', member: 'p-0002-b', isAssociated: true },
    ]);
  });

  it('are read by id, unless they are gone or not ours', async () => {
    const { cloud } = await start({
      [`GET ${base}/1`]: () => ({ json: { floatingip: floating('1', ours('p-0001-a'), null) } }),
      [`GET ${base}/2`]: () => ({ json: { floatingip: floating('2', 'by hand', null) } }),
    });
    expect(await cloud.floatingIp('1', still)).toMatchObject({ member: 'p-0001-a', isAssociated: false });
    expect(await cloud.floatingIp('2', still)).toBeNull();
    expect(await cloud.floatingIp('3', still)).toBeNull();
  });

  it('are released; one that is gone already counts as released, a refusal is told', async () => {
    const { cloud, played } = await start({
      [`DELETE ${base}/1`]: () => ({ status: 204 }),
      [`DELETE ${base}/2`]: () => ({ status: 403 }),
    });
    await cloud.releaseFloatingIp('1', still);
    await cloud.releaseFloatingIp('3', still);
    expect(played.to(`DELETE ${base}/1`)).toHaveLength(1);
    await expect(cloud.releaseFloatingIp('2', still)).rejects.toMatchObject({ kind: 'forbidden' });
  });
});
