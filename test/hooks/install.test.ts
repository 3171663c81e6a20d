import { afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { checkService } from '../../hooks/install/reach.js';
import { installHooks, type InstallOptions, type InstallResult } from '../../hooks/install.js';
import { LeaseService } from './lease-service.js';

jest.setTimeout(60_000);

const hooksDir = join(process.cwd(), '.cache', 'hooks-under-test');
const priv = '/var/spool/torque/mom_priv';
const tools = ['flock', 'setpriv', 'getent', 'id', 'tar', 'find', 'du', 'ssh', 'env'];
const torque = ['qstat', 'qhold', 'qrls'];

let root: string;
const at = (path: string): string => join(root, path);
const file = (path: string, text = '', mode = 0o755): void => {
  mkdirSync(dirname(at(path)), { recursive: true });
  writeFileSync(at(path), text, { mode });
  chmodSync(at(path), mode);
};
const options = (more: Partial<InstallOptions> = {}): InstallOptions => ({
  ...{ hooksDir, root, nodePath: '/usr/bin/node', serviceUrl: 'http://127.0.0.1:8080' },
  ...more,
});
const install = (more: Partial<InstallOptions> = {}): InstallResult => installHooks(options(more));
const errors = (result: InstallResult): string[] =>
  result.findings.filter((one) => one.level === 'error').map((one) => one.text);
const checked = (more: Partial<InstallOptions> = {}): string[] => errors(install({ check: true, ...more }));
/** Every file with mode, owner, time and content: what an installation may not change a second time. */
const snapshot = (): string =>
  execFileSync('find', [root, '-printf', '%P %m %U %G %i %T@ %C@\n'], { encoding: 'utf8' });

beforeAll(() => {
  execFileSync(process.execPath, ['scripts/bundle-hooks.mjs', hooksDir]);
});
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'vmpool-install-'));
  mkdirSync(at(priv), { recursive: true });
  for (const name of tools) file(`/usr/bin/${name}`);
  for (const name of torque) file(`/usr/local/bin/${name}`);
  file('/usr/bin/node');
  file('/etc/vmpool/worker.token', 'token\n', 0o600);
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

describe('an installation', () => {
  it('is what Torque asks for, and what --check finds in order', () => {
    const result = install();
    expect(errors(result)).toEqual([]);
    for (const name of ['prologue', 'epilogue']) {
      const stat = statSync(at(`${priv}/${name}`));
      expect({ uid: stat.uid, mode: stat.mode & 0o7777 }).toEqual({ uid: 0, mode: 0o500 });
      expect(readFileSync(at(`${priv}/${name}`), 'utf8')).toMatch(/^#!\/usr\/bin\/node\n/);
    }
    expect(readFileSync(at(`${priv}/config`), 'utf8')).toBe(
      readFileSync('config/torque/mom_priv.config', 'utf8'),
    );
    expect(install({ check: true })).toMatchObject({ ok: true });
    expect(existsSync(at('/etc/cron.d/vmpool'))).toBe(true);
  });

  it('a second time changes nothing', () => {
    file(`${priv}/config`, '$pbsserver head\n$prologalarm 60\n', 0o644);
    install();
    expect(readFileSync(at(`${priv}/config.before-vmpool`), 'utf8')).toContain('$prologalarm 60');
    const before = snapshot();
    const again = install();
    expect(again.ok).toBe(true);
    expect(again.findings.filter((one) => !/ (in place|has the lines it needs)$/.test(one.text))).toEqual([]);
    expect(snapshot()).toBe(before);
  });

  it('after a change of ours, puts things right and keeps what the site wrote', () => {
    install();
    writeFileSync(at('/usr/lib/vmpool/jobstarter'), '// vmpool hook\nold');
    writeFileSync(at(`${priv}/config`), '$usecp *:/home /home\n$job_starter /old\n$job_starter /older\n');
    chmodSync(at(`${priv}/epilogue`), 0o755);
    expect(checked()).toHaveLength(2 + 6);
    expect(errors(install())).toEqual([]);
    expect(checked()).toEqual([]);
    expect(readFileSync(at(`${priv}/config`), 'utf8')).toMatch(/^\$usecp \*:\/home \/home\n/);
  });

  it('--check on a bare worker changes nothing and names everything that is to be done', () => {
    const before = snapshot();
    const found = checked();
    for (const word of ['prologue', 'epilogue', 'jobstarter', 'sync', 'nodecheck', 'worker.json', 'cron.d'])
      expect(found.join('\n')).toContain(word);
    expect(snapshot()).toBe(before);
  });

  it.each(['prologue', 'epilogue'])('another product’s %s is never overwritten', (name) => {
    file(`${priv}/${name}`, '#!/bin/sh\nexit 0\n', 0o500);
    const result = install();
    expect(result.ok).toBe(false);
    expect(errors(result).join()).toMatch(new RegExp(`${name} is another hook.*${name}\\.site`));
    expect(readFileSync(at(`${priv}/${name}`), 'utf8')).toBe('#!/bin/sh\nexit 0\n');
  });

  it('a link where a hook belongs is replaced, not followed: Torque runs regular files only', () => {
    file('/opt/hook', '#!/bin/sh\n', 0o500);
    symlinkSync(at('/opt/hook'), at(`${priv}/prologue`));
    install();
    expect(readFileSync(at('/opt/hook'), 'utf8')).toBe('#!/bin/sh\n');
    expect(checked()).toEqual([]);
  });

  it('with systemd: a service and a timer, and what starts it', () => {
    const result = install({ schedule: 'systemd' });
    expect(readdirSync(at('/etc/systemd/system')).sort()).toEqual([
      'vmpool-sync.service',
      'vmpool-sync.timer',
    ]);
    expect(result.findings).toContainEqual({
      level: 'warning',
      text: 'start the timer: systemctl enable --now vmpool-sync.timer',
    });
  });
});

describe('--check finds', () => {
  const config = (text: string, mode = 0o644): void => file('/etc/vmpool/worker.json', text, mode);
  const good = '{"service":{"url":"http://127.0.0.1:8080"},"worker":"w1"}';

  it.each<readonly [string, () => void, RegExp]>([
    [
      'a hook that is not root’s',
      () => chownSync(at(`${priv}/prologue`), 1, 1),
      /prologue is of another version, owner or mode: run vmpool hooks install/,
    ],
    ['a hook of the wrong mode', () => chmodSync(at(`${priv}/epilogue`), 0o522), /epilogue is of another/],
    ['a missing node check', () => rmSync(at('/usr/lib/vmpool/nodecheck')), /nodecheck is missing/],
    ['no Node', () => rmSync(at('/usr/bin/node')), /\/usr\/bin\/node is not there: install Node 20/],
    ['no qstat', () => rmSync(at('/usr/local/bin/qstat')), /qstat is not there: install it, or set its path/],
    ['no setpriv', () => rmSync(at('/usr/bin/setpriv')), /setpriv is in neither \/usr\/bin nor \/bin/],
    [
      'a changed line of the mom’s',
      () => file(`${priv}/config`, readFileSync(at(`${priv}/config`), 'utf8').replace('300', '30'), 0o644),
      /"\$prologalarm 30" should be "\$prologalarm 300"/,
    ],
    [
      'a line set twice',
      () => file(`${priv}/config`, `${readFileSync(at(`${priv}/config`), 'utf8')}$down_on_error 0\n`, 0o644),
      /\$down_on_error is set 2 times; leave "\$down_on_error 1"/,
    ],
    [
      'a job starter that would run as root',
      () => {
        const lines = readFileSync(at(`${priv}/config`), 'utf8');
        file(`${priv}/config`, `${lines}$job_starter_run_privileged true\n`, 0o644);
      },
      /"\$job_starter_run_privileged true" should be "\$job_starter_run_privileged false"/,
    ],
    [
      'a missing line',
      () => file(`${priv}/config`, '$pbsserver head\n', 0o644),
      /the line "\$job_starter \/usr\/lib\/vmpool\/jobstarter" is missing/,
    ],
    ['a configuration that others may write', () => config(good, 0o666), /worker\.json must belong to root/],
    [
      'a configuration that users cannot read',
      () => config(good, 0o600),
      /worker\.json cannot be read by users/,
    ],
    ['a configuration that is not JSON', () => config('{'), /worker\.json: not JSON/],
    ['no token', () => rmSync(at('/etc/vmpool/worker.token')), /worker\.token is missing/],
    ['a token that others can read', () => chmodSync(at('/etc/vmpool/worker.token'), 0o644), /chmod 600/],
    [
      'a certificate authority that is not there',
      () => config('{"service":{"url":"https://h:1","caFile":"/etc/ca.pem"},"worker":"w1"}'),
      /service\.caFile \/etc\/ca\.pem is missing/,
    ],
    [
      'a prologue that the mom would kill',
      () => config('{"service":{"url":"http://h:1"},"worker":"w1","prologueLimitSeconds":290}'),
      /prologueLimitSeconds 290 is too long for \$prologalarm 300: at most 285/,
    ],
    [
      'an epilogue that the mom would kill',
      () => config('{"service":{"url":"http://h:1"},"worker":"w1","epilogueLimitSeconds":300}'),
      /epilogueLimitSeconds 300 is too long/,
    ],
    ['a changed schedule', () => file('/etc/cron.d/vmpool', '# off\n', 0o644), /cron\.d\/vmpool is missing/],
  ])('%s', (_, spoil, finding) => {
    expect(install().ok).toBe(true);
    spoil();
    const found = checked();
    expect(found.join('\n')).toMatch(finding);
    if (!String(finding).includes('vmpool\\/jobstarter')) expect(found).toHaveLength(1);
  });

  it('several errors of a configuration at once', () => {
    install();
    config('{"service":{"url":"ftp://x"},"worker":"a b","startLimit":0,"sharedHom":true}');
    expect(checked()).toHaveLength(4);
  });

  it('a mom that lives elsewhere, and a Node path that cannot stand in a first line', () => {
    expect(checked({ momHome: '/var/lib/torque' }).join()).toContain('--mom-home');
    expect(checked({ nodePath: 'node' }).join()).toContain('must be absolute');
    expect(checked({ nodePath: '/opt/my node/bin/node' }).join()).toContain('#! line');
  });

  it('a service that is out of reach, one that refuses the token, and one that is well', async () => {
    const service = new LeaseService([]);
    await service.start();
    try {
      install({ serviceUrl: service.url });
      expect((await checkService(root)).text).toContain('unauth');
      file('/etc/vmpool/worker.token', `${service.token}\n`, 0o600);
      expect(await checkService(root)).toMatchObject({ level: 'done' });
    } finally {
      await service.stop();
    }
    expect(await checkService(root)).toMatchObject({
      level: 'error',
      text: expect.stringMatching(/cannot be reached.*ECONNREFUSED.*firewall/) as unknown,
    });
  });
});
