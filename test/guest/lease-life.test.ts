import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { Guest } from '../../src/guest/port.js';
import type { LeaseId } from '../../src/pool/model.js';
import { checkOrder } from '../../src/guest/order.js';
import { nulFields, scriptCommand } from '../../src/guest/quote.js';
import { guestScript } from '../../src/guest/scripts.js';
import { Lab, type Machine, markerOf, orderFor, patience } from './machine.js';
import type { Ran } from '../support/ssh.js';

jest.setTimeout(60_000);

let lab: Lab;
let machine: Machine;
let guest: Guest;
beforeAll(async () => {
  lab = await Lab.open();
  machine = await lab.machine();
  guest = lab.guest();
});
afterAll(() => lab.close());

describe('one machine through a lease', () => {
  it('answers the probe, keeps the contract and gives its baseline', async () => {
    const probe = await guest.probe(machine.target, patience());
    expect(probe).toMatchObject({ ok: true, marker: null, hostKeys: machine.target.hostKeys });
    expect(await guest.contract(machine.target, patience())).toEqual({ ok: true });
    expect(await guest.takeBaseline(machine.target, patience())).toEqual({ ok: true });
  });

  it('is staged: the job logs in with its key, ids, groups, home, environment and TMPDIR', async () => {
    const order = orderFor('lease-1');
    expect(await guest.stage(machine.target, order, patience())).toEqual({ ok: true });
    const { out } = await machine.asJob(
      'id -u; id -g; id -Gn; pwd; . /etc/vmpool/environment; echo "$SITE"; cd "$TMPDIR" && pwd; ls -A ~',
    );
    expect(out.split('\n').slice(0, 6)).toEqual([
      '4001',
      '4001',
      'alice physics',
      '/home/alice',
      "it's here",
      '/tmp/vmpool-lease-1',
    ]);
    expect(out).toContain('.bashrc');
    const probe = await guest.probe(machine.target, patience());
    expect(probe).toMatchObject({ ok: true, marker: { lease: 'lease-1', user: order.user, key: order.key } });
  });

  it('is staged again for the same lease, and refuses another', async () => {
    expect(await guest.stage(machine.target, orderFor('lease-1'), patience())).toEqual({ ok: true });
    const answer = await guest.stage(machine.target, orderFor('lease-2'), patience());
    expect(answer).toMatchObject({
      ok: false,
      kind: 'foreign-marker',
      why: expect.stringContaining('lease-1'),
    });
    const scrubbed = await guest.scrub(machine.target, 'lease-2' as LeaseId, patience());
    expect(scrubbed).toMatchObject({ ok: false, kind: 'foreign-marker' });
  });

  it('is clean after the scrub, and ready for the next lease', async () => {
    await machine.asJob('touch ~/f /tmp/f /var/tmp/f /dev/shm/f; (setsid sleep 1000 >/dev/null 2>&1 &)');
    expect(await guest.scrub(machine.target, 'lease-1' as LeaseId, patience())).toMatchObject({ ok: true });
    expect((await machine.asJob('true')).code).toBe(255);
    const left = await machine.run(
      'getent passwd alice; getent group alice physics; ls -A /tmp /home /etc/vmpool/keys; ls /etc/vmpool',
    );
    expect(left.out).not.toMatch(/alice|physics|lease|vmpool-/);
    expect(await guest.probe(machine.target, patience())).toMatchObject({ ok: true, marker: null });
    expect(await guest.stage(machine.target, orderFor('lease-3'), patience())).toEqual({ ok: true });
    expect(await guest.scrub(machine.target, 'lease-3' as LeaseId, patience())).toMatchObject({ ok: true });
  });

  it('keeps its job when the scrub names no lease or another one, and when the marker cannot be read', async () => {
    expect(await guest.stage(machine.target, orderFor('lease-4'), patience())).toEqual({ ok: true });
    await machine.asJob('touch ~/result; (setsid sleep 1234 >/dev/null 2>&1 &)');
    const stillThere = async (): Promise<void> => {
      const { out } = await machine.asJob('ls ~/result; pgrep -fxc "sleep 1234"');
      expect(out).toBe('/home/alice/result\n1\n');
    };
    for (const lease of [null, 'lease-3' as LeaseId]) {
      expect(await guest.scrub(machine.target, lease, patience())).toMatchObject({
        ok: false,
        kind: 'foreign-marker',
        why: expect.stringContaining('lease-4'),
      });
      await stillThere();
    }
    const marker = '/etc/vmpool/lease.json';
    await machine.run(`cp -p ${marker} /root/marker; ln -sf /nowhere ${marker}`);
    for (const lease of [null, 'lease-4' as LeaseId]) {
      expect(await guest.scrub(machine.target, lease, patience())).toMatchObject({
        ok: false,
        kind: 'foreign-marker',
        why: expect.stringContaining('unreadable'),
      });
      await stillThere();
    }
    await machine.run(`mv -f /root/marker ${marker}`);
    expect(await guest.scrub(machine.target, 'lease-4' as LeaseId, patience())).toMatchObject({ ok: true });
  });

  it('refuses orders that arrive after later ones, as those of a killed service may', async () => {
    const order = orderFor('late');
    const checked = checkOrder(order, { uidMin: 1000, gidMin: 1000 }, 'root', {}, markerOf(order));
    const stageInput = nulFields(checked.ok ? checked.fields : []);
    const scrubInput = nulFields(['late', 1000, 0, 0, 0]);
    const give = (script: 'stage' | 'scrub', number: number, input: Buffer): Promise<Ran> =>
      machine.run(scriptCommand('root', guestScript(script), [String(number)]), undefined, input);
    const early = Date.now() - 1;

    expect(await guest.stage(machine.target, order, patience())).toEqual({ ok: true });
    expect(await guest.scrub(machine.target, order.lease, patience())).toMatchObject({ ok: true });
    expect((await give('stage', early, stageInput)).out).toMatch(/^stale \d+\n$/);
    expect(await guest.probe(machine.target, patience())).toMatchObject({ ok: true, marker: null });
    expect((await machine.asJob('true')).code).toBe(255);

    expect(await guest.stage(machine.target, order, patience())).toEqual({ ok: true });
    expect((await give('scrub', early, scrubInput)).out).toMatch(/^stale \d+\n$/);
    expect((await machine.asJob('id -un')).out).toBe('alice\n');
    // Another service's orders are carried out although its clock is behind.
    const behind = lab.guest({ clock: { now: () => 5 } });
    expect(await behind.scrub(machine.target, order.lease, patience())).toMatchObject({ ok: true });
    expect(await behind.stage(machine.target, order, patience())).toEqual({ ok: true });
    expect(await guest.scrub(machine.target, order.lease, patience())).toMatchObject({ ok: true });
  });

  it('without a marker is scrubbed for no lease', async () => {
    await machine.run('touch /tmp/stray; (setsid sleep 1000 >/dev/null 2>&1 &)');
    expect(await guest.scrub(machine.target, null, patience())).toMatchObject({ ok: true });
    expect((await machine.run('ls -A /tmp; pgrep -xc sleep')).out).toBe('0\n');
  });
});
