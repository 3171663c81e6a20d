import { mkdtempSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { FakeGuest } from '../fast/service/fake-ports.js';
import { howMany, labNames, OpenStackLab } from '../support/openstack-lab.js';
import type { RunningService, Site } from '../support/site.js';
import { eventually, openSiteOn } from '../support/site.js';

/** Against hanging only: Neutron alone takes more than a second of a processor for each server. */
const patienceMs = 900_000;
const many = howMany('FAKE_VMS', 100);
const surge = Math.max(10, many / 5);

/**
 * Nova's fake driver makes servers without a machine behind them, so there is nobody to speak SSH with: here a VM is
 * up when Nova says ACTIVE, Pulumi's create has returned and the pool holds it for Free. Only the SSH side of the
 * service is played (every VM always answers); Pulumi, its plugin, Nova, Neutron, Placement and Keystone are real.
 */
describe(`${String(many)} VMs of Nova's fake driver`, () => {
  let lab: OpenStackLab;
  let site: Site;
  let running: RunningService;
  const took: string[] = [];

  const stage = async (
    what: string,
    changes: object,
    holds: () => boolean | Promise<boolean>,
  ): Promise<void> => {
    const since = Date.now();
    await site.shape({ ...changes });
    await eventually(what, patienceMs, holds);
    took.push(`${what.padEnd(12)} ${((Date.now() - since) / 1000).toFixed(0).padStart(5)} s`);
    // A call that a busy machine did not answer in time is told until the next one.
    await eventually('no problem', patienceMs, () => running.service.status().problems.length === 0);
  };
  const allFree = (n: number): boolean => {
    const { members, counts, cells } = running.service.status();
    return members.length === n && counts.free === n && cells.every((cell) => !cell.running);
  };
  const servers = async (): Promise<readonly string[]> =>
    (await lab.servers()).map(({ name, status }) => `${name} ${status}`).sort();
  const members = (): readonly string[] =>
    running.service
      .status()
      .members.map(({ name }) => `${name} ACTIVE`)
      .sort();

  beforeAll(async () => {
    lab = new OpenStackLab();
    const { flavor, image, network } = labNames;
    site = openSiteOn(mkdtempSync('/var/tmp/vmpool-site-'), lab.env(), () => Promise.resolve(), {
      shape: { min: 0, max: many + surge, flavor, image, networks: [network] },
      policy: {
        bootLimit: '20m',
        maxSurge: surge,
        cellSize: 10,
        bulkCellSize: 10,
        idleBeforeShrink: '5s',
        deleteFallback: '15m',
        errorLimit: '5m',
      },
      // Pulumi asks for each server that it waits for every three seconds, and each such question costs this cloud a
      // tenth of a second of a processor. With two cells at once there are fewer to wait for, each for less long.
      engine: { maxParallel: 2, adoptEvery: '15s' },
      // There is no console of a real boot either.
      guest: { hostKeys: 'first-sight' },
    });
    await site.shape({});
    running = await site.start({ guest: new FakeGuest() });
  }, patienceMs);
  afterAll(async () => {
    process.stderr.write(`\n${String(many)} VMs of Nova's fake driver\n${took.join('\n')}\n\n`);
    await site.close();
  }, patienceMs);

  it(
    'come up, are rolled to another image, and go',
    async () => {
      await stage('up', { min: many }, () => allFree(many));
      expect(await servers()).toEqual(members());
      const before = members();

      await stage('rolled', { image: labNames.otherImage }, () => {
        const { shape, members } = running.service.status();
        const isAdopted = shape?.image === labNames.otherImage;
        return isAdopted && allFree(many) && members.every(({ current }) => current);
      });
      expect(await servers()).toEqual(members());
      expect(members().filter((name) => before.includes(name))).toEqual([]);

      await stage('down', { min: 0 }, () => allFree(0));
      expect(await servers()).toEqual([]);
    },
    3 * patienceMs,
  );
});
