import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { generateSshKey } from '../../src/embedded/sandbox/host-key.js';
import { authenticate } from '../../src/http/authenticate.js';
import type { Guest } from '../../src/guest/port.js';
import type { LeaseId } from '../../src/pool/model.js';
import { capabilityOf } from '../../src/service/pool-service.js';
import { Lab, type Machine, orderFor, patience } from '../guest/machine.js';
import {
  fillDisks,
  findTraces,
  forkBomb,
  plantByServants,
  plantFiles,
  plantMemory,
  plantProcesses,
  plantStarts,
  spools,
} from './hostile.js';

jest.setTimeout(180_000);

let lab: Lab;
let machine: Machine;
let guest: Guest;
const attacker = generateSshKey('attacker');
const secret = randomBytes(32);

beforeAll(async () => {
  lab = await Lab.open();
  machine = await lab.machine();
  guest = lab.guest({ markerSecret: secret });
  writeFileSync(join(lab.folder, 'attacker'), attacker.privateKey, { mode: 0o600 });
  // The machine that carries the tests is never at risk: few processes, little memory, disks of a fixed size.
  const limits = ['nproc 250', 'as 1048576', 'core 0', 'nofile 512'].map((limit) => `alice hard ${limit}`);
  const limited = await machine.run(
    `mkdir -p /etc/security/limits.d ${spools.join(' ')} && printf '%s\\n' ${limits.map((line) => `'${line}'`).join(' ')} > /etc/security/limits.d/doors.conf && df -Pk /dev/shm / | awk 'NR > 1 { print $2 }'`,
  );
  expect(limited.code).toBe(0);
  for (const size of limited.out.trim().split('\n')) expect(Number(size)).toBeLessThanOrEqual(512 * 1024);
  expect(await guest.takeBaseline(machine.target, patience())).toEqual({ ok: true });
});
afterAll(() => lab.close());

const traces = async (): Promise<string> => (await machine.run(findTraces(4001, 4001))).out;
const staged = async (lease: string): Promise<void> => {
  expect(await guest.stage(machine.target, orderFor(lease), patience())).toEqual({ ok: true });
  expect((await machine.asJob('ulimit -Hu; ulimit -Hv')).out).toBe('250\n1048576\n');
};

/** A connection of the job's own that stays open and does nothing. */
function idleConnection(): ChildProcess {
  const { host, port } = machine.target.endpoint;
  const options = [
    'BatchMode=yes',
    'StrictHostKeyChecking=no',
    'UserKnownHostsFile=/dev/null',
    'LogLevel=ERROR',
  ];
  return spawn(
    'ssh',
    [
      '-F',
      'none',
      ...options.flatMap((o) => ['-o', o]),
      '-i',
      join(lab.folder, 'job'),
      '-p',
      String(port),
      '-N',
      `alice@${host}`,
    ],
    { stdio: 'ignore' },
  );
}

describe('a hostile job', () => {
  it('keeps nothing across the scrub: files, starts, memory, processes, full disks and a fork bomb at once', async () => {
    await staged('attack-1');
    const places = (await machine.asJob(plantFiles)).out.split('\n');
    expect(places).toEqual(
      expect.arrayContaining(['/tmp', '/var/tmp', '/dev/shm', '/home/alice', '/run/lock']),
    );
    await machine.asJob(plantStarts(attacker.publicLine));
    expect((await machine.run(plantByServants)).code).toBe(0);
    await machine.asJob(plantMemory);
    const idle = idleConnection();
    const idleEnded = once(idle, 'exit');
    try {
      const processes = Number((await machine.asJob(plantProcesses)).out.trim().split('\n').at(-1));
      expect(processes).toBeGreaterThan(10);
      const free = (await machine.asJob(fillDisks)).out.trim().split('\n').map(Number);
      for (const kib of free) expect(kib).toBeLessThan(1024);
      await machine.asJob(forkBomb);
      // The attack is real: without it, nothing would be proved by what follows.
      const before = await traces();
      for (const kind of [
        'file /tmp/hostile-sh',
        'file /home/alice/.ssh/authorized_keys',
        'file /home/alice/.config/systemd/user/default.target.wants/hostile.service',
        'file /home/alice/.profile',
        'file /var/spool/cron/crontabs/alice',
        'file /var/spool/cron/atjobs/a0000101c2d3e4',
        'file /var/lib/systemd/linger/alice',
        'file /dev/shm/hostile.seg',
        'file /dev/mqueue/hostile',
        'process ',
        'ipc shm',
        'ipc sem',
        'ipc msg',
        '@hostile',
        'namespaces mnt',
        'namespaces user',
      ])
        expect(before).toContain(kind);

      expect(await guest.scrub(machine.target, 'attack-1' as LeaseId, patience())).toMatchObject({
        ok: true,
      });
      expect(await traces()).toBe('');
      await idleEnded;
    } finally {
      idle.kill('SIGKILL');
    }
    expect((await machine.asJob('true')).code).toBe(255);
  });

  it('finds nothing of itself when it comes again, and its own key opens no door', async () => {
    await staged('attack-2');
    const again = await machine.asJob(
      'find / -path /proc -prune -o -user alice ! -path "$HOME*" ! -path "/tmp/vmpool-*" -print 2>/dev/null; grep -rl hostile ~ /tmp /etc 2>/dev/null; keyctl search @u user hostile 2>/dev/null; true',
    );
    expect(again.out).toBe('');
    const { host, port } = machine.target.endpoint;
    for (const user of ['alice', 'root']) {
      const login = spawn(
        'ssh',
        [
          ...[
            '-F',
            'none',
            '-o',
            'BatchMode=yes',
            '-o',
            'StrictHostKeyChecking=no',
            '-o',
            'UserKnownHostsFile=/dev/null',
          ],
          ...[
            '-o',
            'IdentitiesOnly=yes',
            '-i',
            join(lab.folder, 'attacker'),
            '-p',
            String(port),
            `${user}@${host}`,
            'true',
          ],
        ],
        { stdio: 'ignore' },
      );
      const [code] = (await once(login, 'exit')) as [number | null];
      expect([user, code]).toEqual([user, 255]);
    }
    expect(await guest.scrub(machine.target, 'attack-2' as LeaseId, patience())).toMatchObject({ ok: true });
  });

  it('finds nothing on its VM with which the service would let it in', async () => {
    await staged('attack-3');
    const { out } = await machine.asJob(
      `env; ps -eo args; cat /etc/vmpool/lease.json /etc/vmpool/made /run/vmpool.lock /root/.ssh/* /etc/ssh/*_key 2>/dev/null
       find / \\( -path /proc -o -path /usr -o -path /lib -o -path /sys \\) -prune -o -type f -readable -size -256k -print0 2>/dev/null | xargs -0 cat 2>/dev/null | tr -cs '[:graph:]' '\\n' | grep -E '^.{16,}$' | sort -u`,
    );
    const lease = 'attack-3';
    const capability = capabilityOf(secret, lease);
    expect(out).not.toContain(capability);
    expect(out).not.toContain('PRIVATE KEY');
    expect(out).not.toContain('"mac"');
    const tokens = [{ name: 'n', role: 'worker', worker: 'wn1', sha256: '0'.repeat(64) } as const];
    const words = [...new Set(out.split(/[^\x21-\x7e]+/))].filter((found) => found.length >= 8);
    expect(words.length).toBeGreaterThan(50);
    const letIn = words.filter((found) =>
      [found, `vmpc_${lease}_${found}`].some(
        (token) => authenticate(`Bearer ${token}`, tokens, (id) => capabilityOf(secret, id)) !== null,
      ),
    );
    expect(letIn).toEqual([]);
    expect((await machine.asJob('cat /etc/vmpool/lease.json')).code).not.toBe(0);
    expect(await guest.scrub(machine.target, 'attack-3' as LeaseId, patience())).toMatchObject({ ok: true });
  });

  it('that became root and wrote a marker of its own is not believed', async () => {
    await staged('attack-4');
    const seen = await guest.probe(machine.target, patience());
    expect(seen).toMatchObject({ ok: true, marker: { lease: 'attack-4', authentic: true } });
    await machine.run(`sed -i 's/"12.server"/"13.server"/' /etc/vmpool/lease.json`);
    expect(await guest.probe(machine.target, patience())).toMatchObject({
      marker: { key: { job: '13.server' }, authentic: false },
    });
    expect(await guest.scrub(machine.target, 'attack-4' as LeaseId, patience())).toMatchObject({ ok: true });
  });
});

/** What only root can do and the scrub does not undo: the VM must not be Free again. */
const rootPlants: readonly (readonly [what: string, command: string, finding: RegExp])[] = [
  ['a capability on a program of the image', 'setcap cap_setuid+ep /usr/bin/id', /\/usr\/bin\/id /],
  [
    'a program in the place of one of the image',
    'cp /bin/true /usr/bin/.id && mv /usr/bin/.id /usr/bin/id',
    /\/usr\/bin\/id changed/,
  ],
  [
    'a module of PAM',
    'mkdir -p /etc/pam.d && echo "auth sufficient pam_permit.so" >> /etc/pam.d/sshd',
    /pam\.d\/sshd changed/,
  ],
  ['an account that may do all', 'useradd -o -u 0 -M toor', /etc\/passwd has another content/],
  [
    'a library path',
    'mkdir -p /etc/ld.so.conf.d && echo /opt > /etc/ld.so.conf.d/hostile.conf',
    /ld\.so\.conf\.d\/hostile/,
  ],
  [
    'files of a subordinate uid',
    ': > /run/lock/hostile && chown 165536:165536 /run/lock/hostile',
    /\/run\/lock\/hostile is new/,
  ],
  ['a cell of memory for all', 'ipcmk -M 4096 -p 0666', /ipc: shm/],
];

describe('a job that became root', () => {
  it('leaves a VM that is retired, each thing named', async () => {
    await staged('root-1');
    for (const [what, command] of rootPlants)
      expect([what, (await machine.run(command)).code]).toEqual([what, 0]);
    const scrubbed = await guest.scrub(machine.target, 'root-1' as LeaseId, patience());
    expect(scrubbed).toMatchObject({ ok: false, kind: 'dirty' });
    const findings = scrubbed.ok ? [] : scrubbed.findings;
    for (const [, , finding] of rootPlants) expect(findings).toContainEqual(expect.stringMatching(finding));
  });
});
