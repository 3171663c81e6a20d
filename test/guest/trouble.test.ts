import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Guest } from '../../src/guest/port.js';
import type { LeaseId } from '../../src/pool/model.js';
import { generateSshKey } from '../../src/embedded/sandbox/host-key.js';
import { Lab, type Machine, orderFor, patience } from './machine.js';

jest.setTimeout(90_000);

let lab: Lab;
let machine: Machine;
let guest: Guest;
beforeAll(async () => {
  lab = await Lab.open();
  machine = await lab.machine();
  guest = lab.guest({ limits: { probeMs: 2500, connectMs: 2000, stageMs: 5000 } });
});
afterAll(() => lab.close());

describe('host keys', () => {
  const another = generateSshKey('x').publicLine.split(' ').slice(0, 2).join(' ');

  it('a machine whose keys are not known is not spoken to, and it is said what to do', async () => {
    const probe = await guest.probe({ ...machine.target, hostKeys: [] }, patience());
    expect(probe).toMatchObject({
      ok: false,
      step: 'host-key',
      why: expect.stringContaining('set guest.hostKeys to first-sight'),
    });
  });

  it('at first sight they are learned, when the site says so', async () => {
    const learning = lab.guest({ hostKeyPolicy: 'first-sight' });
    const probe = await learning.probe({ ...machine.target, hostKeys: [] }, patience());
    expect(probe).toMatchObject({ ok: true, hostKeys: machine.target.hostKeys });
    const changed = await learning.probe({ ...machine.target, hostKeys: [another] }, patience());
    expect(changed).toMatchObject({
      ok: false,
      step: 'host-key',
      why: expect.stringContaining('not one of its known'),
    });
  });

  it('a changed key is never accepted, not even on a warm connection', async () => {
    expect(await guest.probe(machine.target, patience())).toMatchObject({ ok: true });
    expect(await guest.probe({ ...machine.target, hostKeys: [another] }, patience())).toMatchObject({
      ok: false,
      step: 'host-key',
    });
    const otherType = 'ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQ==';
    expect(await guest.probe({ ...machine.target, hostKeys: [otherType] }, patience())).toMatchObject({
      ok: false,
      step: 'host-key',
    });
    expect(await guest.probe(machine.target, patience())).toMatchObject({ ok: true });
  });
});

describe('a machine in trouble', () => {
  it('another admin key is refused at the login', async () => {
    const file = join(lab.folder, 'other');
    writeFileSync(file, generateSshKey('other').privateKey, { mode: 0o600 });
    const probe = await lab.guest({ privateKeyFile: file }).probe(machine.target, patience());
    expect(probe).toMatchObject({ ok: false, step: 'login', why: expect.stringContaining('admin key') });
    const missing = await lab.guest({ privateKeyFile: `${file}-missing` }).probe(machine.target, patience());
    expect(missing).toMatchObject({ ok: false, step: 'login', why: expect.stringContaining('ENOENT') });
  });

  it('a frozen one fails its probe within the limit and is reached again when it goes on', async () => {
    expect(await guest.probe(machine.target, patience())).toMatchObject({ ok: true });
    await machine.sandbox.freeze();
    const frozen = await guest.probe(machine.target, patience());
    expect(frozen).toMatchObject({
      ok: false,
      step: 'command',
      why: expect.stringContaining('within 2.5 s'),
    });
    const again = await guest.probe(machine.target, patience());
    expect(again).toMatchObject({ ok: false });
    await machine.sandbox.thaw();
    expect(await guest.probe(machine.target, patience())).toMatchObject({ ok: true });
  });

  it('one that drops every packet fails its probe, and a reboot is seen by sandbox and probe alike', async () => {
    await machine.sandbox.halt('drop');
    expect(await guest.probe(machine.target, patience())).toMatchObject({ ok: false });
    await machine.sandbox.boot('again', 'answer');
    expect(await guest.probe(machine.target, patience())).toMatchObject({ ok: true });
  });

  it('one that refuses connections fails at TCP', async () => {
    const probe = await guest.probe(
      { ...machine.target, endpoint: { ...machine.target.endpoint, port: 9 } },
      patience(),
    );
    expect(probe).toMatchObject({ ok: false, step: 'tcp', why: expect.stringContaining('ECONNREFUSED') });
  });

  it('a knock tells whether anything listens, without keys, and once it did knocks no more', async () => {
    const target = { ...machine.target, hostKeys: [] };
    const closed = { ...target, endpoint: { ...target.endpoint, port: 9 } };
    const asked = lab.guest();
    expect(await asked.knock(closed, patience())).toEqual({
      ok: false,
      step: 'tcp',
      why: expect.stringMatching(/:9: ECONNREFUSED$/),
    });
    expect(await asked.knock(target, patience())).toEqual({ ok: true });
    expect(await asked.knock(closed, patience())).toEqual({ ok: true });
    await asked.forget(target.member);
    expect(await asked.knock(closed, patience())).toMatchObject({ ok: false });
    const given = new AbortController();
    given.abort();
    expect(await asked.knock(target, given.signal)).toMatchObject({ ok: false });
  });

  it('connections are remade after they were cut', async () => {
    for (let round = 0; round < 3; round++) {
      expect(await guest.probe(machine.target, patience())).toMatchObject({ ok: true });
      await machine.run("pkill -9 -f '[n]otty'");
      expect(await guest.probe(machine.target, patience())).toMatchObject({ ok: true });
    }
  });

  it('many calls at once share one connection', async () => {
    const connections = async (): Promise<number> =>
      Number((await machine.run("ps -eo args | grep -c '^sshd: root@[n]otty'")).out);
    const before = await connections();
    const patient = lab.guest({ limits: { probeMs: 60_000, connectMs: 60_000 } });
    const answers = await Promise.all(
      Array.from({ length: 30 }, () => patient.probe(machine.target, patience())),
    );
    expect(answers.filter((answer) => !answer.ok)).toEqual([]);
    expect((await connections()) - before).toBe(1);
  });
});

describe('orders that cannot be met', () => {
  it('a machine that was never made ready is not staged, and one without baseline is not clean', async () => {
    expect(await guest.stage(machine.target, orderFor('early'), patience())).toMatchObject({
      ok: false,
      kind: 'unreachable',
    });
    const scrubbed = await guest.scrub(machine.target, null, patience());
    expect(scrubbed).toMatchObject({
      ok: false,
      kind: 'dirty',
      findings: [expect.stringContaining('no baseline')],
    });
  });

  it('ids that another name holds, or that are too low, are refused and leave nothing', async () => {
    expect(await guest.takeBaseline(machine.target, patience())).toEqual({ ok: true });
    await machine.run(
      'useradd -M -u 4001 -U holder && useradd -M -u 4050 -U alice2 && groupadd -g 4100 other',
    );
    const refusals: [Parameters<typeof orderFor>[1], string][] = [
      [{}, 'uid 4001 of alice is held by holder'],
      [{ uid: 4003 }, 'gid 4001 of group alice is held by holder'],
      [
        {
          uid: 4003,
          gid: 4003,
          groups: [
            { name: 'alice', gid: 4003 },
            { name: 'physics', gid: 4100 },
          ],
        },
        'held by other',
      ],
      [
        { name: 'alice2', uid: 4003, gid: 4003, groups: [{ name: 'g', gid: 4003 }] },
        'alice2 has uid 4050 on the VM',
      ],
      [{ uid: 999 }, 'below 1000'],
      [{ name: 'root' }, "pool's own"],
      [
        { uid: 4003, gid: 4003, groups: [{ name: 'g', gid: 4003 }], shell: '/bin/no-such-shell' },
        'not on the VM',
      ],
      [{ uid: 4003, gid: 4003, groups: [{ name: 'g', gid: 4003 }], home: '/etc' }, 'belongs to uid 0'],
    ];
    for (const [changes, why] of refusals) {
      const answer = await guest.stage(machine.target, orderFor('refused', changes), patience());
      expect(answer).toMatchObject({ ok: false, kind: 'refused', why: expect.stringContaining(why) });
    }
    expect(await guest.probe(machine.target, patience())).toMatchObject({ ok: true, marker: null });
    await machine.run('userdel holder; userdel alice2; groupdel other');
  });

  it("an account of the image's own with the same ids is used, and stays", async () => {
    await machine.run(
      'useradd -m -u 4001 -U alice && chmod 700 ~alice && touch ~alice/own && chown alice ~alice/own && groupadd -g 4100 physics',
    );
    expect(await guest.takeBaseline(machine.target, patience())).toEqual({ ok: true });
    expect(await guest.stage(machine.target, orderFor('image-1'), patience())).toEqual({ ok: true });
    expect((await machine.asJob('touch ~/new /var/tmp/new; mkdir ~/folder; id -Gn')).out).toBe(
      'alice physics\n',
    );
    expect(await guest.scrub(machine.target, 'image-1' as LeaseId, patience())).toMatchObject({ ok: true });
    expect((await machine.run('id -u alice; ls ~alice')).out).toBe('4001\nown\n');
  });

  it('a login by keys in the home of a job account opens nothing', async () => {
    expect(await guest.stage(machine.target, orderFor('image-2'), patience())).toEqual({ ok: true });
    expect(
      (await machine.asJob('mkdir -m 700 -p ~/.ssh && cp /etc/vmpool/keys/alice ~/.ssh/authorized_keys'))
        .code,
    ).toBe(0);
    await machine.run('rm /etc/vmpool/keys/alice');
    expect((await machine.asJob('true')).code).toBe(255);
    expect(await guest.scrub(machine.target, 'image-2' as LeaseId, patience())).toMatchObject({ ok: true });
  });
});

describe('baselines', () => {
  it('are private files, gone when the member is forgotten', async () => {
    const folder = join(lab.folder, 'state/baselines');
    const files = readdirSync(folder).filter((name) => name.startsWith(machine.target.member));
    expect(files.sort()).toEqual([`${machine.target.member}.json`, `${machine.target.member}.survey.gz`]);
    for (const file of files) expect(statSync(join(folder, file)).mode & 0o777).toBe(0o600);
    await guest.forget(machine.target.member);
    expect(readdirSync(folder)).toEqual([]);
  });
});
