import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { asUser, runToEnd } from '../../hooks/src/as-user.js';
import { parseWorkerConfig, type WorkerConfig } from '../../hooks/src/config.js';
import { prepareRootCredentials, readCredential } from '../../hooks/src/credentials.js';
import { endAttempt } from '../../hooks/src/ending.js';
import type { ServiceClient } from '../../hooks/src/service-client.js';
import { makeOwned, readPlain } from '../../hooks/src/spool/files.js';
import { runDirectory, writeLeaseFiles } from '../../hooks/src/spool/lease-files.js';
import { Spool, type AttemptRecord } from '../../hooks/src/spool/spool.js';
import { alice as siteAlice, Site } from '../hooks/site.js';

jest.setTimeout(90_000);

/** Uids of nobody's: real ones for the kernel, without accounts to be made and removed. */
const alice = { uid: 64_301, gid: 64_301, groups: [] };
const mallory = { uid: 64_302, gid: 64_302, groups: [] };

let base: string;
let spool: Spool;
beforeEach(() => {
  base = mkdtempSync('/var/tmp/vmpool-doors-');
  chmodSync(base, 0o755);
  mkdirSync(join(base, 'outside'), { mode: 0o755 });
  writeFileSync(join(base, 'outside/precious'), 'precious', { mode: 0o600 });
  spool = new Spool(join(base, 'spool'));
  spool.prepare();
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

const run = (who: typeof alice, script: string): { code: number | null; out: string } => {
  const [command, args] = asUser(who, ['/bin/bash', '--norc', '-c', script]);
  const ran = spawnSync(command, args, { encoding: 'utf8', cwd: '/', timeout: 30_000 });
  return { code: ran.status, out: ran.stdout + ran.stderr };
};

const record: AttemptRecord = {
  ...{ version: 1, job: '7.server', user: 'alice', ...alice, start: 1, boot: 'another-boot' },
  ...{ starter: { pid: 999_999, ticks: 5 }, prologue: { pid: 999_998, ticks: 5 }, script: '/none.SC' },
  ...{ lease: null, state: 'open', superseded: false },
};
/** The files of a lease as the prologue leaves them. */
function leased(): string {
  spool.begin(record);
  const directory = spool.attemptDirectory(record.job, record.starter);
  const ticket = {
    version: 1,
    ...{ service: { url: 'http://127.0.0.1:1', caFile: null }, lease: 'l', capability: 'cap' },
    ...{ job: record.job, start: 1, walltimeSeconds: null, home: '/', workDirectory: null, prepared: [] },
  } as const;
  writeLeaseFiles(directory, ticket, 'PRIVATE KEY OF THE LEASE', alice);
  spool.makeRunDirectory(runDirectory(directory), alice);
  writeFileSync(join(runDirectory(directory), 'known_hosts'), 'hosts', { mode: 0o644 });
  chownSync(join(runDirectory(directory), 'known_hosts'), alice.uid, alice.gid);
  return directory;
}

const config = (more: object = {}): WorkerConfig => {
  const parsed = parseWorkerConfig(
    JSON.stringify({ service: { url: 'http://127.0.0.1:1' }, sharedHome: true, ...more }),
  );
  if (!parsed.ok) throw new Error(parsed.errors.join('; '));
  return parsed.config;
};

const precious = (): void => {
  expect(readFileSync(join(base, 'outside/precious'), 'utf8')).toBe('precious');
  expect(lstatSync(join(base, 'outside/precious'))).toMatchObject({ uid: 0, gid: 0 });
  expect(execFileSync('ls', ['-A', join(base, 'outside')], { encoding: 'utf8' })).toBe('precious\n');
};

describe("another user's lease files", () => {
  it('can be neither read, listed nor changed; their owner reads their own', () => {
    const d = leased();
    const files = ['lease/key', 'lease/lease.json', 'run/known_hosts', 'attempt.json'];
    for (const file of files) {
      const foreign = run(mallory, `cat '${d}/${file}'`);
      expect([file, foreign.code]).not.toEqual([file, 0]);
      expect(foreign.out).not.toMatch(/PRIVATE|cap|hosts$/m);
    }
    for (const place of [
      spool.root,
      `${spool.root}/jobs`,
      spool.jobDirectory(record.job),
      d,
      `${d}/lease`,
      `${d}/run`,
    ])
      expect([place, run(mallory, `ls '${place}'`).code]).not.toEqual([place, 0]);
    for (const user of [mallory, alice])
      for (const attack of [
        `rm -f '${d}/lease/key' || mv '${d}/lease/key' '${d}/lease/old'`,
        `mv '${d}/lease' '${d}/mine'`,
        `mv '${d}/run' '${d}/gone'`,
        `ln -s '${base}/outside' '${d}/planted'`,
        `: > '${spool.root}/locks/planted'`,
        `: > '${spool.root}/messages/planted'`,
        `ln -s '${base}/outside' '${spool.jobDirectory(record.job)}/latest.new'`,
        `mkdir '${spool.root}/jobs/planted'`,
      ])
        expect([user.uid, attack, run(user, attack).code]).not.toEqual([user.uid, attack, 0]);
    expect(run(alice, `cat '${d}/lease/key'`).out).toBe('PRIVATE KEY OF THE LEASE');
    expect(run(alice, `cat '${d}/attempt.json'`).code).not.toBe(0);
  });
});

describe("root's hooks stay within their folder", () => {
  it('with links, pipes, deep and shut directories in the part that is the user’s', async () => {
    const d = leased();
    const planted = run(
      alice,
      `cd '${d}/run' && ln -s '${base}/outside' link && ln -s '${base}/outside/precious' lease.json && mkfifo pipe && mkdir -p a/b/c && ln -s '${base}/outside' a/b/out && chmod 0 a && touch -- '-rf' $'new\\nline' && rm known_hosts && ln -s '${base}/outside/precious' known_hosts && echo planted`,
    );
    expect(planted.out).toBe('planted\n');
    const client = {
      release: () => Promise.resolve({ kind: 'done', value: {} }),
    } as unknown as ServiceClient;
    const said: string[] = [];
    const context = {
      ...{ config: config(), spool, client, starterProgram: '/none', remainingMs: () => 60_000 },
      say: (message: string) => void said.push(message),
    };
    expect(await endAttempt(context, record)).toBe(true);
    precious();
    expect(existsSync(`${d}/run`)).toBe(false);
    expect(existsSync(`${d}/lease`)).toBe(false);
    expect(spool.read(record.job, record.starter)?.state).toBe('ended');
  });

  it('where the spool, or a directory in it, is not root’s alone: nothing is written, and the place is named', () => {
    const folder = join(base, 'sticky');
    mkdirSync(folder);
    chmodSync(folder, 0o1777);
    run(mallory, `mkdir -m 777 '${folder}/theirs'; ln -s '${base}/outside' '${folder}/link'`);
    for (const name of ['theirs', 'link'])
      expect(() => new Spool(join(folder, name)).prepare()).toThrow(
        `${folder}/${name} must be a directory of root's`,
      );
    mkdirSync(join(folder, 'open'), { mode: 0o700 });
    chmodSync(join(folder, 'open'), 0o777);
    expect(() => makeOwned(join(folder, 'open'), 0o711)).toThrow('must be a directory of root');
    precious();
    expect(execFileSync('ls', ['-A', join(folder, 'theirs')], { encoding: 'utf8' })).toBe('');
  });

  it('writes its answer to a refused job as the user: a directory that leads elsewhere takes nothing', async () => {
    chmodSync(join(base, 'outside'), 0o755);
    run(alice, 'true');
    mkdirSync(join(base, 'home'));
    chownSync(join(base, 'home'), alice.uid, alice.gid);
    run(
      alice,
      `ln -s '${base}/outside' '${base}/home/work'; ln -s '${base}/outside/precious' '${base}/home/job.vmpool.7'`,
    );
    for (const [directory, name] of [
      [`${base}/home/work`, './job.vmpool.7'],
      [`${base}/home`, './job.vmpool.7'],
    ] as const) {
      const script = 'set -C; umask 077; cd -- "$1" && cat > "$2"';
      const [command, args] = asUser(alice, ['/bin/sh', '-c', script, 'sh', directory, name]);
      expect((await runToEnd(command, args, { limitMs: 5000, input: 'text' })).code).not.toBe(0);
    }
    precious();
  });

  it('reads no file that a user could have blown up', () => {
    const d = leased();
    expect(
      run(alice, `chmod u+w '${d}/lease/lease.json' && truncate -s 8M '${d}/lease/lease.json'`).code,
    ).toBe(0);
    expect(readPlain(`${d}/lease/lease.json`)).toBeNull();
    expect(run(alice, `mkfifo '${d}/run/pipe'`).code).toBe(0);
    expect(readPlain(`${d}/run/pipe`)).toBeNull();
  });
});

describe('credentials that root reads for a user', () => {
  const owners = [0, alice.uid];

  it('are no files of root’s by a directory of the user’s that leads elsewhere, or by a second name', () => {
    const home = join(base, 'home');
    mkdirSync(home);
    chownSync(home, alice.uid, alice.gid);
    expect(run(alice, `ln -s '${base}/outside' '${home}/.globus'`).code).toBe(0);
    expect(readCredential(`${home}/.globus/precious`, owners)).toBeNull();
    expect(
      prepareRootCredentials(
        config({ credentials: [{ path: '%h/.globus/precious', readAs: 'root' }] }),
        { ...alice, job: record.job, user: 'alice' },
        home,
        base,
      ),
    ).toEqual([]);
    // What a kernel without protected_hardlinks lets a user do.
    const sticky = join(base, 'tmp');
    mkdirSync(sticky);
    chmodSync(sticky, 0o1777);
    linkSync(join(base, 'outside/precious'), join(sticky, `krb5cc_${alice.uid}`));
    expect(readCredential(join(sticky, `krb5cc_${alice.uid}`), owners)).toBeNull();
    symlinkSync(join(base, 'outside/precious'), join(sticky, 'link'));
    expect(readCredential(join(sticky, 'link'), owners)).toBeNull();
    precious();
  });

  it('are read where only root can write, and where they are the user’s own', () => {
    mkdirSync('/var/lib/vmpool-doors-test', { mode: 0o700 });
    try {
      writeFileSync('/var/lib/vmpool-doors-test/alice', 'from root', { mode: 0o600 });
      expect(readCredential('/var/lib/vmpool-doors-test/alice', owners)?.data.toString()).toBe('from root');
    } finally {
      rmSync('/var/lib/vmpool-doors-test', { recursive: true });
    }
    writeFileSync(join(base, 'own'), 'own', { mode: 0o600 });
    chownSync(join(base, 'own'), alice.uid, alice.gid);
    expect(readCredential(join(base, 'own'), owners)?.data.toString()).toBe('own');
    chownSync(join(base, 'own'), mallory.uid, mallory.gid);
    expect(readCredential(join(base, 'own'), owners)).toBeNull();
  });
});

it('a job whose user has blown up its lease file to gigabytes still gives its VM back at its end', async () => {
  const site = await Site.open({ config: { sharedHome: false } });
  try {
    site.directory('/home/vmpalice/w', siteAlice);
    const id = site.mom.submit({
      ...{ user: siteAlice.name, workDirectory: '/home/vmpalice/w' },
      script: 'echo began; until [ -e /tmp/go ]; do sleep 0.1; done',
    });
    await site.mom.until(id, () => site.mom.stdout(id).includes('began'), 'its begin');
    const file = site.spool().find((path) => path.endsWith('/lease/lease.json')) ?? '';
    const path = `/var/spool/vmpool/jobs/${file}`;
    const blown = await site.mom.runAsUser(
      siteAlice,
      ['/bin/sh', '-c', `chmod u+w ${path} && truncate -s 3G ${path} && echo blown`],
      { PATH: '/bin:/usr/bin' },
    );
    expect(blown.stdout.toString()).toContain('blown');
    site.service.vms[0]?.run('touch /tmp/go');
    await site.mom.finished(id);
    expect(site.service.live(id)).toEqual([]);
    expect(site.spool().filter((left) => /\/(lease|run)(\/|$)/.test(left))).toEqual([]);
  } finally {
    await site.close();
  }
});
