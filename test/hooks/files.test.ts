import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { existsSync, lstatSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { alice, bob, Site } from './site.js';

jest.setTimeout(90_000);

let site: Site;
afterEach(() => site?.close());
const at = (path: string): string => site.worker.path(path);

describe('without a shared home', () => {
  it('the working directory is there before the job and comes back after it, as the user', async () => {
    site = await Site.open({ config: { sharedHome: false } });
    site.directory('/home/vmpalice/work dir', alice, { input: 'in\n', same: 'same\n' });
    const script =
      'cd "$PBS_O_WORKDIR" && tr a-z A-Z < input > output && mkdir sub && echo deep > sub/file && ln -s output link && chmod 750 sub/file; cat same';
    const id = site.mom.submit({ user: alice.name, script, workDirectory: '/home/vmpalice/work dir' });
    const result = await site.mom.finished(id);
    expect(result.stdout.toString()).toBe('same\n');
    expect(readFileSync(at('/home/vmpalice/work dir/output'), 'utf8')).toBe('IN\n');
    expect(readFileSync(at('/home/vmpalice/work dir/sub/file'), 'utf8')).toBe('deep\n');
    expect(lstatSync(at('/home/vmpalice/work dir/link')).isSymbolicLink()).toBe(true);
    const { uid, gid, mode } = lstatSync(at('/home/vmpalice/work dir/sub/file'));
    expect({ uid, gid, mode: mode & 0o777 }).toEqual({ uid: alice.uid, gid: alice.gid, mode: 0o750 });
  });

  it('a job that is deleted still brings its files back', async () => {
    site = await Site.open({ config: { sharedHome: false }, mom: { killDelayMs: 500 } });
    site.directory('/home/vmpalice/w', alice);
    const script =
      'cd $PBS_O_WORKDIR; echo half > result; trap "" TERM; echo began; while :; do sleep 0.1; done';
    const id = site.mom.submit({ user: alice.name, script, workDirectory: '/home/vmpalice/w' });
    await site.mom.until(id, () => site.mom.stdout(id).includes('began'), 'its begin');
    await site.mom.qdel(id);
    await site.mom.finished(id);
    expect(readFileSync(at('/home/vmpalice/w/result'), 'utf8')).toBe('half\n');
    expect(site.service.live(id)).toEqual([]);
  });

  it('a copy back that fails holds the VM, and tells the user and the operator where the files are', async () => {
    site = await Site.open({ config: { sharedHome: false } });
    site.directory('/home/vmpalice/w', alice);
    const script = 'echo data > $PBS_O_WORKDIR/result; rm -rf /tmp/vmpool-*/copied-in';
    const id = site.mom.submit({ user: alice.name, script, workDirectory: '/home/vmpalice/w' });
    const result = await site.mom.finished(id);
    expect(result.exitStatus).toBe(97);
    expect(result.stderr).toContain('could not be copied back from VM pool-1');
    expect(result.stderr).toContain(
      '/home/vmpalice/w: the stamp of what was copied in is gone from the VM. ',
    );
    expect(result.stderr).toContain('They are kept there: the VM is held until your operator');
    const message = site.worker.path(`/var/spool/vmpool/messages/${id}.txt`);
    expect(readFileSync(message, 'utf8')).toContain('could not be copied back from VM pool-1');
    expect(lstatSync(message).uid).toBe(alice.uid);
    expect(site.service.member('pool-1')).toMatchObject({
      state: { kind: 'Unusable', reason: 'held' },
      hold: { kind: 'copy-back', why: expect.stringContaining(`files of job ${id} (vmpalice)`) as unknown },
    });
    // Held is not scrubbed: what the job left is there.
    expect(readFileSync(site.service.machine('pool-1')?.path('/home/vmpalice/w/result') ?? '', 'utf8')).toBe(
      'data\n',
    );
  });

  it('more than the limit is refused before the job runs', async () => {
    site = await Site.open({
      config: { sharedHome: false, copyLimitMiB: 1 },
      mom: { requeueExitCode: null },
    });
    site.directory('/home/vmpalice/w', alice, { big: 'x'.repeat(3 * 1024 * 1024) });
    const id = site.mom.submit({ user: alice.name, script: 'echo ran', workDirectory: '/home/vmpalice/w' });
    const result = await site.mom.finished(id);
    expect(result.stdout.toString()).toBe('');
    expect(result.stderr).toContain('copyLimitMiB');
  });
});

describe('credentials', () => {
  it('go straight to the VM with their owner and mode, and again when they are renewed', async () => {
    site = await Site.open({
      config: {
        credentials: [
          { path: '/tmp/x509up_u%U' },
          { variable: 'MY_TOKEN_FILE' },
          { path: '/etc/tokens/%u', readAs: 'root' },
        ],
      },
    });
    site.file('/tmp/x509up_u64101', alice, 'proxy 1', 0o600);
    site.file('/home/vmpalice/token', alice, 'token', 0o400);
    mkdirSync(at('/etc/tokens'), { mode: 0o700 });
    site.file('/etc/tokens/vmpalice', { uid: 0, gid: 0 }, 'from root', 0o600);
    site.service.vms[0]?.run('mkdir -m 1777 /etc/tokens');
    const script =
      'stat -c "%a %U" /tmp/x509up_u64101 $MY_TOKEN_FILE; cat /etc/tokens/vmpalice; echo; until grep -q 2 /tmp/x509up_u64101; do sleep 0.1; done; echo renewed';
    const variables = { MY_TOKEN_FILE: '/home/vmpalice/token' };
    const id = site.mom.submit({ user: alice.name, script, variables });
    await site.mom.until(id, () => site.mom.stdout(id).includes('root'), 'its begin');
    site.file('/tmp/x509up_u64101', alice, 'proxy 2', 0o600);
    const result = await site.mom.finished(id);
    expect(result.stdout.toString()).toBe('600 vmpalice\n400 vmpalice\nfrom root\nrenewed\n');
    expect(JSON.stringify(site.service.leases.map((one) => one.body))).not.toContain('token');
  });

  it('nobody obtains a file of another’s by a link or by naming it', async () => {
    site = await Site.open({
      config: { credentials: [{ path: '/tmp/x509up_u%U', readAs: 'root' }, { variable: 'P' }] },
    });
    site.file('/home/vmpbob/secret', bob, 'bob’s secret', 0o600);
    symlinkSync('/home/vmpbob/secret', at('/tmp/x509up_u64101'));
    const script = 'ls /tmp/x509up_u64101 /home/vmpbob/secret 2>/dev/null; echo over';
    const id = site.mom.submit({ user: alice.name, script, variables: { P: '/home/vmpbob/secret' } });
    expect((await site.mom.finished(id)).stdout.toString()).toBe('over\n');
  });
});

describe('users cannot make root’s hooks reach outside of the spool', () => {
  it('links, directories and files that a job plants in its own part of the spool', async () => {
    site = await Site.open();
    mkdirSync(at('/var/precious'), { mode: 0o755 });
    site.file('/var/precious/file', { uid: 0, gid: 0 }, 'precious', 0o644);
    const id = site.mom.submit({
      user: alice.name,
      script: 'echo began; until [ -e /tmp/go ]; do sleep 0.1; done',
    });
    await site.mom.until(id, () => site.mom.stdout(id).includes('began'), 'its begin');
    const { starter } = site.mom.starts(id)[0] ?? { starter: 0 };
    const attempt = site.spool().find((path) => path.endsWith('/run')) ?? '';
    const run = `/var/spool/vmpool/jobs/${attempt}`;
    const attack = [
      `cd ${run} && ln -s /var/precious link && mkdir -p d/e && ln -s /var/precious/file d/f && chmod 0 d`,
      `cd ${run}/.. && { touch planted || ln -s /var/precious planted || mv lease mine || rm lease/key; }; true`,
    ].join('; ');
    const attacked = await site.mom.runAsUser(alice, ['/bin/sh', '-c', attack], { PATH: '/bin:/usr/bin' });
    expect(attacked.stderr).toContain('Permission denied');
    site.service.leaseOf(id)?.vm?.run('touch /tmp/go');
    expect((await site.mom.finished(id)).exitStatus).toBe(0);
    expect(starter).toBeGreaterThan(1);
    expect(readFileSync(at('/var/precious/file'), 'utf8')).toBe('precious');
    expect(existsSync(at(run))).toBe(false);
  });

  it('another user can read neither key nor capability', async () => {
    site = await Site.open();
    const id = site.mom.submit({ user: alice.name, script: 'echo began; sleep 2' });
    await site.mom.until(id, () => site.mom.stdout(id).includes('began'), 'its begin');
    const lease = site.spool().find((path) => path.endsWith('/lease')) ?? '';
    const base = `/var/spool/vmpool/jobs/${lease}`;
    const steal = `cat ${base}/key ${base}/lease.json ${base}/../attempt.json /etc/vmpool/worker.token; ls /var/spool/vmpool/jobs`;
    const stolen = await site.mom.runAsUser(bob, ['/bin/sh', '-c', steal], { PATH: '/bin:/usr/bin' });
    expect(stolen.stdout).toBe('');
    const shown = await site.mom.runAsUser(bob, ['/bin/sh', '-c', 'cat /proc/[0-9]*/cmdline'], {
      PATH: '/bin',
    });
    expect(shown.stdout).not.toContain(`cap-${site.service.leaseOf(id)?.id}`);
    await site.mom.finished(id);
  });
});
