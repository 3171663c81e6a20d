import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { figurePackets } from '../../src/ganglia/packets.js';
import { gangliaSettings, planGanglia } from '../../stacks/services/ganglia.js';
import { hostScript } from '../../stacks/services/host-script.js';
import type { HostPlan, ServiceMember } from '../../stacks/services/plan.js';
import { cutOff, serviceInput, serviceMember } from '../support/service-host.js';
import { Enclosure, until, type Ran } from './enclosure.js';
import {
  gmondReload,
  gmondStop,
  shownByGmetad,
  shownByGmond,
  startGmetad,
  startGmondOfVm,
  type Shown,
} from './ganglia-daemons.js';

/** The real gmond as collector and on VMs, and the real gmetad, in a network of their own. */
describe('Ganglia', () => {
  let host: Enclosure;
  beforeAll(async () => {
    host = await Enclosure.open(['/etc/ganglia', '!/var/lib/ganglia', '!/run', '!/var/lib/vmpool-services']);
    await startGmetad(host, 'VM Pool batch');
    // Every VM sends all the time, whether it is a member or not.
    for (const n of [1, 2, 3]) await startGmondOfVm(host, serviceMember(n).name, `127.0.0.${String(n + 1)}`);
  }, 120_000);
  afterAll(() => host.close(), 60_000);

  const id = 'batch-svc-ganglia';
  const planFor = (members: readonly ServiceMember[], changes: object = {}): HostPlan =>
    planGanglia(
      gangliaSettings.parse({
        ...{ type: 'ganglia', host: 'local', forgetAfter: 20, reload: gmondReload, stop: gmondStop },
        ...changes,
      }),
      serviceInput(0, { members: [...members] }),
      id,
    );
  const run = (mode: 'apply' | 'remove', plan: HostPlan): Promise<Ran> =>
    host.run(`sh -s ${mode}`, hostScript(plan, { id, stateDir: '/var/lib/vmpool-services', place: 'here' }));
  const members = (...numbers: number[]): ServiceMember[] => numbers.map((n) => serviceMember(n));
  const follow = async (list: readonly ServiceMember[], changes: object = {}): Promise<void> =>
    expect(await run('apply', planFor(list, changes))).toMatchObject({ code: 0 });
  const hosts = async (where: (host: Enclosure) => Promise<Shown>, ...wanted: string[]): Promise<void> => {
    let seen: Shown | null = null;
    await until(
      `${where.name}: ${wanted.join()}`,
      async () => (seen = await where(host)).hosts.join() === [...wanted].sort().join(),
      90_000,
      () => (seen === null ? '' : seen.hosts.join()),
    );
  };
  const names = (...numbers: number[]): string[] => members(...numbers).map(({ name }) => name);
  const pid = async (): Promise<string> => (await host.must('cat /run/gmond.pid')).trim();
  /** Nobody fetches an ended process here: it is there, but has no program any more. */
  const running = async (process: string): Promise<boolean> =>
    (await host.run(`[ -e /proc/${process}/exe ]`)).code === 0;

  it('says what is missing where gmetad does not ask the collector', async () => {
    const answer = await run('apply', planFor(members(1), { port: 8661 }));
    expect(answer).toMatchObject({
      code: 1,
      words: expect.stringContaining('add the line data_source "VM Pool batch" 15 127.0.0.1:8661'),
    });
  }, 60_000);

  it('shows the members and nobody else; who left vanishes from gmetad, though it is still sending', async () => {
    await follow(members(1, 2));
    const before = await pid();
    await hosts(shownByGmond, ...names(1, 2));
    await hosts(shownByGmetad, ...names(1, 2));
    await follow(members(2, 3));
    await hosts(shownByGmond, ...names(2, 3));
    await hosts(shownByGmetad, ...names(2, 3));
    await follow(members());
    await hosts(shownByGmetad);
    expect(await pid()).toBe(before);
    expect(await running(before)).toBe(true);
  }, 300_000);

  it('listens to members with addresses of both families', async () => {
    const both = serviceMember(1, { addresses: ['fd00::1', '127.0.0.2'] });
    await follow([both]);
    await hosts(shownByGmond, both.name);
  }, 120_000);

  it('shows the pool’s figures as a host of its own', async () => {
    await follow(members(1));
    const source = { ip: '127.0.0.1', name: 'vmpool-batch' };
    const sent = ['Free VMs', 'x', 'an odd one: ü'].flatMap((title, n) =>
      figurePackets(
        source,
        { name: `vmpool_${String(n)}`, title, units: 'VMs', value: 10 ** n },
        { tmax: 60, dmax: 300 },
      ),
    );
    const send = `const s = require('dgram').createSocket('udp4'); const all = ${JSON.stringify(sent.map((p) => p.toString('hex')))};
      let left = all.length; for (const p of all) s.send(Buffer.from(p, 'hex'), 8660, '127.0.0.1', () => { if (--left === 0) s.close(); });`;
    await host.must(`'${process.execPath}' -e "${send.replaceAll('"', '\\"')}"`);
    await hosts(shownByGmond, 'vmpool-batch', ...names(1));
    const values = { vmpool_0: '1', vmpool_1: '10', vmpool_2: '100' };
    const { metrics, xml } = await shownByGmond(host);
    expect(metrics('vmpool-batch')).toEqual(values);
    expect(xml).toMatch(
      /NAME="vmpool_0" VAL="1" TYPE="uint32" UNITS="VMs" [^>]*TMAX="60" DMAX="300" SLOPE="both"/,
    );
    expect(xml).toMatch(/NAME="TITLE" VAL="Free VMs"/);
    expect(xml).toMatch(/NAME="GROUP" VAL="vmpool"/);
    await hosts(shownByGmetad, 'vmpool-batch', ...names(1));
    expect((await shownByGmetad(host)).metrics('vmpool-batch')).toEqual(values);
  }, 180_000);

  it('refuses a broken text of the site’s and goes on with what it has', async () => {
    // Another list, so that the collector begins anew and forgets the figures of before.
    await follow([]);
    await follow(members(1));
    const broken = await run('apply', planFor(members(1, 2), { extra: 'udp_rcv_channel { port = 1 }' }));
    expect(broken.code).toBe(1);
    expect(broken.words).toMatch(/refused by its checker[^]*no such option 'udp_rcv_channel'/);
    await hosts(shownByGmond, ...names(1));
  }, 120_000);

  it('goes back when the new file is not taken, and catches up after a run was cut off or the collector was down', async () => {
    await follow(members(1));
    const deaf = await run('apply', planFor(members(1, 2), { reload: 'echo nobody was told; false' }));
    expect(deaf).toMatchObject({ code: 1, words: expect.stringContaining('nobody was told') });
    expect(await host.must('cat /etc/ganglia/vmpool-batch.conf')).not.toContain('127.0.0.3');
    // The checker can know nothing of a port that another has: the collector ends, and the old file starts it again.
    const taken = await run(
      'apply',
      planFor(members(1, 2), { extra: 'tcp_accept_channel { port = 8651 bind = "127.0.0.1" }' }),
    );
    expect(taken).toMatchObject({ code: 1, words: expect.stringContaining('gmond does not answer') });
    await hosts(shownByGmond, ...names(1));
    const cut = { ...planFor(members(2)), reload: cutOff };
    expect((await run('apply', cut)).code).not.toBe(0);
    expect(await host.must('cat /etc/ganglia/vmpool-batch.conf')).toContain('127.0.0.3');
    await follow(members(1));
    await hosts(shownByGmond, ...names(1));
    await host.must(gmondStop);
    await follow(members(1, 3));
    await hosts(shownByGmond, ...names(1, 3));
  }, 180_000);

  it('leaves with the stack, and the site’s own files stay', async () => {
    await follow(members(1));
    const before = await pid();
    expect(await run('remove', planFor(members(1)))).toMatchObject({ code: 0 });
    expect(await running(before)).toBe(false);
    const left = await host.must('ls -A /etc/ganglia /var/lib/vmpool-services');
    expect(left).not.toContain('vmpool-batch');
    expect(left).toContain('gmetad.conf');
    await hosts(shownByGmetad);
  }, 120_000);
});
