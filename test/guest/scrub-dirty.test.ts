import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { Guest, ScrubResult } from '../../src/guest/port.js';
import type { LeaseId } from '../../src/pool/model.js';
import { Lab, type Machine, orderFor, patience } from './machine.js';

jest.setTimeout(120_000);

/** What a job that became root could leave, and the words by which the verification must name it. */
const plants: readonly (readonly [what: string, command: string, finding: RegExp])[] = [
  [
    'a set-uid program',
    'cp /bin/true /usr/local/bin/suid && chmod 4755 /usr/local/bin/suid',
    /usr\/local\/bin\/suid is new: set-id file/,
  ],
  [
    'a set-uid program among the logs',
    'cp /bin/true /var/log/app.log && chmod 4755 /var/log/app.log',
    /var\/log\/app.log is new: set-id/,
  ],
  [
    'a program among the caches',
    'mkdir -p /var/cache/x && cp /bin/true /var/cache/x/tool',
    /var\/cache\/x\/tool is new/,
  ],
  ['a program beside the directories of programs', 'cp /bin/true /usr/tool', /usr\/tool is new/],
  [
    'a directory of programs with an odd name',
    "mkdir $'/usr/a b\\n '; cp /bin/true $'/usr/a b\\n /tool'",
    /usr\/a b\\x0a \/tool is new/,
  ],
  ['a file deep among the programs', 'touch /usr/lib/ssl/planted', /usr\/lib\/ssl\/planted is new/],
  ['a missing program', 'rm /usr/share/common-licenses/GPL-3', /GPL-3 is missing/],
  ['a cron table', "echo '* * * * * root true' > /etc/cron.d/planted", /etc\/cron.d\/planted is new/],
  ["root's own crontab", 'echo x > /var/spool/cron/crontabs/root', /crontabs\/root is new/],
  [
    'an authorized key of root',
    'echo ssh-ed25519 AAAA >> /root/.ssh/authorized_keys',
    /root\/\.ssh\/authorized_keys changed/,
  ],
  ['a preloaded library', 'echo > /etc/ld.so.preload', /etc\/ld\.so\.preload is new/],
  ['a file in /var/lib', 'touch /var/lib/planted', /var\/lib\/planted is new/],
  ['a file of another uid', 'touch /srv/other && chown 5555:5555 /srv/other', /srv\/other is new.*5555/],
  [
    'a unit of systemd',
    'mkdir -p /etc/systemd/system && touch /etc/systemd/system/evil.service',
    /evil\.service is new/,
  ],
  [
    'a unit of systemd, until the next boot',
    'mkdir -p /run/systemd/system && touch /run/systemd/system/evil.service',
    /run\/systemd\/system\/evil\.service is new/,
  ],
  ['an account', 'echo toor:x:0:0::/root:/bin/bash >> /etc/passwd', /etc\/passwd-? has another content/],
  ['a sudo rule', 'mkdir -p /etc/sudoers.d && echo x > /etc/sudoers.d/planted', /sudoers\.d\/planted is new/],
  ['a changed mode', 'chmod 666 /etc/hosts', /etc\/hosts changed: mode/],
  [
    'a changed file with its old times',
    'touch -r /etc/profile /run/ref; echo >> /etc/profile; touch -r /run/ref /etc/profile; rm /run/ref',
    /etc\/profile changed/,
  ],
  ['a missing file', 'rm /etc/issue', /etc\/issue is missing/],
  ['a setting of sshd', 'echo "PermitRootLogin yes" >> /etc/ssh/sshd_config', /sshd_config changed/],
  ["root's shared memory", 'ipcmk -M 4096 >/dev/null', /ipc: shm/],
  ['a file in /run', 'touch /run/planted', /run\/planted is new/],
  [
    'a name that could deceive a reader',
    "touch $'/srv/a\\nfile: nothing\\e[2J'",
    /srv\/a\\x0afile: nothing\\x1b\[2J is new/,
  ],
];

let lab: Lab;
let machine: Machine;
let guest: Guest;
let scrubbed: ScrubResult;
beforeAll(async () => {
  lab = await Lab.open();
  machine = await lab.machine();
  guest = lab.guest();
  expect(await guest.takeBaseline(machine.target, patience())).toEqual({ ok: true });
  expect(await guest.stage(machine.target, orderFor('dirty-1'), patience())).toEqual({ ok: true });
  const ran = await machine.run(plants.map(([, command]) => command).join('\n'));
  expect(ran).toEqual({ code: 0, out: '' });
  scrubbed = await guest.scrub(machine.target, 'dirty-1' as LeaseId, patience());
});
afterAll(() => lab.close());

describe('what the scrub cannot know of is found by the verification', () => {
  it.each(plants)('%s', (_what, _command, finding) => {
    expect(scrubbed).toMatchObject({ ok: false, kind: 'dirty' });
    expect(scrubbed.ok ? [] : scrubbed.findings).toContainEqual(expect.stringMatching(finding));
  });

  it('and nothing else is named', () => {
    const findings = scrubbed.ok ? [] : scrubbed.findings;
    const unexpected = findings.filter((finding) => !plants.some(([, , pattern]) => pattern.test(finding)));
    // The folders that the plants needed.
    expect(unexpected.filter((finding) => !/ is new: directory/.test(finding))).toEqual([]);
  });
});
