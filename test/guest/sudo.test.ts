import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { Guest } from '../../src/guest/port.js';
import type { LeaseId } from '../../src/pool/model.js';
import { addSudoAdmin, Lab, type Machine, orderFor, patience } from './machine.js';

jest.setTimeout(60_000);

let lab: Lab;
let machine: Machine;
let guest: Guest;
beforeAll(async () => {
  lab = await Lab.open();
  machine = await lab.machine();
  await addSudoAdmin(machine);
  guest = lab.guest({ adminUser: 'debian' });
});
afterAll(() => lab.close());

describe('an administrator with sudo', () => {
  it('keeps its own keys and does all that root does', async () => {
    const early = await guest.probe(machine.target, patience());
    expect(early).toMatchObject({ ok: true });
    expect(await guest.contract(machine.target, patience())).toEqual({ ok: true });
    expect(await guest.takeBaseline(machine.target, patience())).toEqual({ ok: true });
    expect(await guest.stage(machine.target, orderFor('sudo-1'), patience())).toEqual({ ok: true });
    expect((await machine.asJob('(setsid sleep 999 >/dev/null 2>&1 &); id -un')).out).toBe('alice\n');
    expect(await guest.scrub(machine.target, 'sudo-1' as LeaseId, patience())).toMatchObject({ ok: true });
    expect(await lab.guest({ adminUser: 'debian' }).probe(machine.target, patience())).toMatchObject({
      ok: true,
    });
  });

  it('is no account for a job', async () => {
    const answer = await guest.stage(machine.target, orderFor('sudo-2', { name: 'debian' }), patience());
    expect(answer).toMatchObject({ ok: false, kind: 'refused' });
  });

  it('without sudo lacks root, by the name of it', async () => {
    await machine.run('chmod 755 /usr/local/bin/sudo');
    const contract = await guest.contract(machine.target, patience());
    expect(contract).toMatchObject({ ok: false, missing: [expect.stringMatching(/sudo|root/)] });
  });
});

describe('an image that lacks what the contract asks for', () => {
  it('is told by name', async () => {
    const bare = await lab.machine();
    await bare.run(
      'rm /usr/sbin/useradd /usr/bin/setpriv; echo Nonsense yes >> /etc/ssh/sshd_config.d/x.conf; rm -rf /etc/skel',
    );
    const contract = await lab.guest().contract(bare.target, patience());
    expect(contract).toEqual({
      ok: false,
      missing: expect.arrayContaining(['useradd', 'setpriv', '/etc/skel']),
    });
  });
});
