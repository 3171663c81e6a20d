import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import type { ServiceView } from '../../src/http/api.js';
import { plain } from '../../src/cli/terminal.js';
import { Nagios } from '../../src/demo/services/nagios.js';
import { ServiceHost } from '../../src/demo/services/service-host.js';
import { statusText } from '../../src/cli/status-text.js';
import {
  eventually,
  jobRequest,
  leaseReady,
  membersIn,
  openSite,
  releaseJob,
  type RunningService,
  type EmbeddedSite,
} from '../support/site.js';

/**
 * A whole pool on the embedded cloud; a hosts file that follows it, Nagios on a host of its own that is reached by SSH,
 * and services whose hosts are down or silent.
 */
describe('services that follow a pool', () => {
  let site: EmbeddedSite;
  let pool: RunningService;
  let host: ServiceHost;
  let nagios: Nagios;
  let mute: Server;
  beforeAll(async () => {
    site = await openSite({ subnet: '127.124.0.0/16', shape: { min: 1, max: 3 } });
    writeFileSync(file('etc-hosts'), '127.0.0.1 localhost\n');
    host = await ServiceHost.start(site.directory, '127.124.255.250', 2222);
    nagios = await Nagios.start(host);
    const watched = { host: host.host, ...nagios.settings };
    mute = createServer((socket) => socket.on('error', () => undefined));
    await new Promise<void>((resolve) => mute.listen(2, '127.124.255.254', resolve));
    await site.shape({
      services: { hosts: hostsFile(), lost: lostHost(1), mute: lostHost(2), nagios: watched },
    });
    pool = await site.start();
  }, 180_000);
  afterAll(async () => {
    await site.close();
    await host.stop();
    mute.close();
  }, 180_000);

  const file = (name: string): string => join(site.directory, name);
  const read = (name: string): string => (existsSync(file(name)) ? readFileSync(file(name), 'utf8') : '');
  /** The example of the operator's guide, with paths of this test. */
  const hostsFile = (): object => ({
    type: 'command',
    host: 'local',
    stateDir: file('services'),
    check: `grep -q '"pool": "site"'`,
    apply:
      `{ sed '/# begin of the pool/,/# end of the pool/d' ${file('etc-hosts')}; echo "# begin of the pool"; ` +
      `node -e 'for (const m of JSON.parse(require("fs").readFileSync(0)).members) console.log(m.addresses[0], m.name)'; ` +
      `echo "# end of the pool"; } >${file('etc-hosts.new')} && mv ${file('etc-hosts.new')} ${file('etc-hosts')}; ` +
      `echo applied >>${file('applied')}`,
  });
  /** Nobody listens at port 1; at port 2 somebody does and never says a word. */
  const lostHost = (port: number): object => ({
    type: 'command',
    host: {
      address: '127.124.255.254',
      port,
      keyFile: file('admin'),
      hostKey: `ssh-ed25519 ${'A'.repeat(68)}`,
    },
    apply: 'true',
  });
  const view = (name: string): ServiceView | undefined =>
    pool.service.status().services.find((service) => service.name === name);
  const upToDate = async (hosts: number): Promise<void> => {
    for (const name of ['hosts', 'nagios'])
      await eventually(`${name} with ${String(hosts)} VMs`, 120_000, () => {
        const now = view(name);
        return now?.upToDate === true && now.hosts === hosts;
      });
  };
  const inNagios = async (): Promise<string[]> => [...(await nagios.look()).hosts.keys()].sort();
  /** Its status data are a second old. */
  const nagiosShows = async (names: readonly string[]): Promise<void> => {
    await eventually(
      `${names.join()} in Nagios`,
      60_000,
      async () => (await inNagios()).join() === [...names].sort().join(),
    );
  };
  const listed = (): string[] =>
    read('etc-hosts')
      .split('\n')
      .filter((line) => line.includes('site-'))
      .sort();
  const expected = (): string[] =>
    pool.service
      .status()
      .members.filter(({ retiring }) => retiring === null)
      .map(({ address, name }) => `${address ?? ''} ${name}`)
      .sort();

  const names = (): string[] => expected().map((line) => line.split(' ')[1] ?? '');

  it('has a VM when it first is Free, not while it is building, and hosts that are down or silent delay nothing', async () => {
    await eventually('a Free VM', 240_000, () => membersIn(pool.service, 'Free').length === 1).catch(
      (error: unknown) => {
        // What the pool has to say of it, because the whole story is gone with its directory.
        const told = [statusText(pool.service.status(), plain), ...pool.logged.slice(-40)].join('\n');
        throw new Error(`${String(error)}\n${told}`);
      },
    );
    await upToDate(1);
    expect(listed()).toEqual(expected());
    await nagiosShows(names());
    expect(read('etc-hosts')).toContain('127.0.0.1 localhost');
    await eventually('what is wrong with the other', 60_000, () => view('lost')?.lastError !== null);
    expect(view('lost')).toMatchObject({
      upToDate: false,
      hosts: 0,
      toAdd: 1,
      lastError: expect.stringContaining('Connection refused'),
    });
    await site.control.setTiming({ sshMs: 6_000 });
    const leases = Promise.all([1, 2, 3].map((n) => leaseReady(pool.service, n, 240_000)));
    await eventually('three Busy VMs', 240_000, async () => {
      // Looked at before, because a VM may be ready by the time when the status is.
      const watched = [...listed().map((line) => line.split(' ')[1]), ...(await inNagios())];
      const { members } = pool.service.status();
      const building = members.filter(({ reason }) => reason === 'building').map(({ name }) => name);
      expect(building.filter((name) => watched.includes(name))).toEqual([]);
      return members.filter(({ state }) => state === 'Busy').length === 3;
    });
    await leases;
    await upToDate(3);
    expect(listed()).toEqual(expected());
    expect(listed()).toHaveLength(3);
    await nagiosShows(names());
    const text = statusText(pool.service.status(), plain);
    expect(text).toMatch(/hosts +command.*up to date/);
    expect(text).toMatch(/lost +command.*Connection refused/);
    await eventually('what is wrong with the silent one', 120_000, () =>
      /timed out/.test(view('mute')?.lastError ?? ''),
    );
    expect(view('mute')).toMatchObject({ upToDate: false, hosts: 0, toAdd: 3 });
  }, 400_000);

  it('loses the VMs that are retired', async () => {
    await Promise.all([1, 2, 3].map((n) => releaseJob(pool.service, n)));
    await upToDate(1);
    await eventually('a pool of its minimum', 120_000, () => pool.service.status().members.length === 1);
    await upToDate(1);
    expect(listed()).toEqual(expected());
    await nagiosShows(names());
    expect(read('applied').split('\n').length).toBeLessThan(12);
  }, 300_000);

  it('shows in a preview that there is nothing to do', async () => {
    for (const name of ['hosts', 'nagios']) {
      const preview = await site.plain(`site-svc-${name}`, ['preview', '--diff', '--expect-no-changes']);
      expect(preview).toMatchObject({ code: 0 });
    }
  }, 120_000);

  it('goes when the site takes it out of the configuration', async () => {
    await site.shape({ services: {} });
    expect((await pool.service.adopt()).kind).toBe('done');
    for (const name of ['hosts', 'nagios'])
      await eventually(`the end of ${name}`, 120_000, () => view(name) === undefined);
    await nagiosShows([]);
    expect(await nagios.keepsOthers()).toBe(true);
    expect(listed()).toEqual([]);
    expect(read('etc-hosts')).toContain('127.0.0.1 localhost');
    expect(existsSync(file('services/site-svc-hosts'))).toBe(false);
    await pool.service.request('w1', jobRequest(9));
    await leaseReady(pool.service, 9, 60_000);
  }, 300_000);
});
