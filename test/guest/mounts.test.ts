import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { mountSchema, type Mount } from '../../src/guest/mounts.js';
import type { LeaseId } from '../../src/pool/model.js';
import { Lab, type Machine, orderFor, patience } from './machine.js';

jest.setTimeout(120_000);

/** A directory of the machine's own stands for the file server's, bound to where a shared file system would be. */
const bound = (source: string, target: string, changes: object = {}): Mount =>
  mountSchema.parse({ source, target, type: 'none', options: 'bind', ...changes });

let lab: Lab;
beforeAll(async () => {
  lab = await Lab.open();
});
afterAll(() => lab.close());

const must = async (machine: Machine, command: string): Promise<string> => {
  const { code, out } = await machine.run(command);
  expect({ command, code, out: code === 0 ? '' : out }).toEqual({ command, code: 0, out: '' });
  return out;
};
const mountsOf = (machine: Machine, target: string): Promise<string> =>
  must(machine, `awk -v at='${target}' '$5 == at { print $6 }' /proc/self/mountinfo`);
const scrub = (guest: ReturnType<Lab['guest']>, machine: Machine, lease: string) =>
  guest.scrub(machine.target, lease as LeaseId, patience());

describe('shared file systems on a machine', () => {
  it("are there for the job; the pool's stay, the job's leave with the scrub, and what is on them stays", async () => {
    const machine = await lab.machine();
    const guest = lab.guest({
      mounts: [
        bound('/var/log/server/scratch', '/scratch dir'),
        bound("/var/log/server/home-{user}'s", '/grid/home/{user}', {
          scope: 'job',
          options: 'bind,noatime',
        }),
      ],
    });
    // Not the job's own there: on a disk of the machine's the scrub would rightly remove what is.
    await must(
      machine,
      `mkdir -p /var/log/server/scratch "/var/log/server/home-alice's" && echo precious >"/var/log/server/home-alice's/thesis" &&
       chmod 666 "/var/log/server/home-alice's/thesis"`,
    );
    expect(await guest.takeBaseline(machine.target, patience())).toEqual({ ok: true });
    expect(await mountsOf(machine, '/scratch\\\\040dir')).toMatch(/nosuid,nodev/);
    for (const lease of ['lease-1', 'lease-2']) {
      const order = orderFor(lease);
      expect(await guest.stage(machine.target, order, patience())).toEqual({ ok: true });
      expect(await mountsOf(machine, '/grid/home/alice')).toMatch(/nosuid,nodev,noatime/);
      // Repeated while the job runs, it mounts nothing a second time.
      expect(await guest.stage(machine.target, order, patience())).toEqual({ ok: true });
      expect((await mountsOf(machine, '/grid/home/alice')).trim().split('\n')).toHaveLength(1);
      expect(
        (await machine.asJob('cat /grid/home/alice/thesis && echo more >>/grid/home/alice/thesis')).code,
      ).toBe(0);
      expect(await scrub(guest, machine, lease)).toMatchObject({ ok: true });
      expect(await mountsOf(machine, '/grid/home/alice')).toBe('');
      expect((await mountsOf(machine, '/scratch\\\\040dir')).trim().split('\n')).toHaveLength(1);
    }
    expect(await must(machine, `cat "/var/log/server/home-alice's/thesis"; ls / | grep -c grid || :`)).toBe(
      'precious\nmore\nmore\n0\n',
    );
  });

  it('keep a new VM from being ready while a required one is refused, and only then', async () => {
    const machine = await lab.machine();
    const required = lab.guest({ mounts: [bound('/srv/absent', '/scratch')] });
    const refused = await required.takeBaseline(machine.target, patience());
    expect(refused).toMatchObject({
      ok: false,
      why: expect.stringContaining('cannot mount /srv/absent on /scratch'),
    });
    const wished = lab.guest({ mounts: [bound('/srv/absent', '/scratch', { required: false })] });
    expect(await wished.takeBaseline(machine.target, patience())).toEqual({ ok: true });
    // It is there by the first job, and the scrub takes what the baseline had not.
    await must(machine, 'mkdir /srv/absent');
    expect(await wished.stage(machine.target, orderFor('lease-3'), patience())).toEqual({ ok: true });
    expect(await mountsOf(machine, '/scratch')).toMatch(/nosuid/);
    await must(machine, 'rm -rf /srv/absent 2>/dev/null; :');
    await scrub(wished, machine, 'lease-3');
    expect(await mountsOf(machine, '/scratch')).toBe('');
  });

  it('are not mounted through a link, and a job whose required one is refused does not start', async () => {
    const machine = await lab.machine();
    await must(machine, 'mkdir /srv/data /srv/elsewhere && ln -s /srv/elsewhere /data');
    const guest = lab.guest({ mounts: [bound('/srv/data', '/data/inside', { scope: 'job' })] });
    expect(await guest.takeBaseline(machine.target, patience())).toEqual({ ok: true });
    const staged = await guest.stage(machine.target, orderFor('lease-4'), patience());
    expect(staged).toMatchObject({
      ok: false,
      kind: 'unreachable',
      why: expect.stringContaining('leads through a link'),
    });
    expect((await machine.asJob('true')).code).not.toBe(0);
    expect(await scrub(guest, machine, 'lease-4')).toMatchObject({ ok: true });
  });

  it('are never deleted through where they cannot be unmounted: the scrub stops, and the VM is not clean', async () => {
    const machine = await lab.machine();
    const guest = lab.guest();
    await must(machine, 'mkdir -m 1777 /srv/shared');
    expect(await guest.takeBaseline(machine.target, patience())).toEqual({ ok: true });
    expect(await guest.stage(machine.target, orderFor('lease-5'), patience())).toEqual({ ok: true });
    expect((await machine.asJob('echo precious >/srv/shared/result && mkdir ~/inside')).code).toBe(0);
    // What keeps umount from its work in the field is a server that does not answer; here a umount that does not.
    await must(
      machine,
      `mount --bind /srv/shared /home/alice/inside && mkdir /srv/bin && printf '#!/bin/sh\\nexit 1\\n' >/srv/bin/umount && chmod 755 /srv/bin/umount &&
       mount --bind /srv/bin/umount "$(readlink -f "$(command -v umount)")"`,
    );
    expect(await scrub(guest, machine, 'lease-5')).toMatchObject({
      ok: false,
      kind: 'dirty',
      why: expect.stringContaining('nothing is deleted'),
    });
    expect(await must(machine, 'cat /home/alice/inside/result')).toBe('precious\n');
  });
});
