import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { createClient } from '../../src/http/client.js';
import { version } from '../../src/version.js';
import { eventually, openSite, type Site } from '../support/site.js';
import { installPackage, ran, type Installed } from './installed.js';
import { describePipeline } from './pipeline.js';

let installed: Installed;
beforeAll(async () => {
  installed = await installPackage();
}, 300_000);
afterAll(() => {
  installed.close();
});

describe('the tarball', () => {
  it('holds what runs and what documents it, every package that it needs, and nothing of the tests', () => {
    const own = installed.files.filter((file) => !file.startsWith('node_modules/'));
    expect(own).toEqual(
      expect.arrayContaining([
        ...[
          'dist/bin/vmpool.js',
          'dist/src/cli/main.js',
          'dist/stacks/index.js',
          'dist/dashboard/index.html',
        ],
        ...['dist/worker/prologue', 'dist/worker/epilogue', 'dist/worker/jobstarter', 'dist/worker/sync'],
        ...['src/guest/scripts/scrub.sh', 'src/embedded/sandbox/vm-sandbox.c', 'engine/openstack/go.sum'],
        ...['Pulumi.yaml', 'README.md', 'LICENSE', 'CHANGELOG.md', 'config/vmpool.example.yaml'],
        'docs/reference/cli.md',
      ]),
    );
    expect(own.filter((file) => /\.test\.|\.map$|tsbuildinfo|^test-artifacts/.test(file))).toEqual([]);
    expect(installed.files).toContain('node_modules/@pulumi/openstack/package.json');
    expect(installed.files.filter((file) => /^node_modules\/(jest|typescript-eslint)\//.test(file))).toEqual(
      [],
    );
  });

  it('is installed without any registry and answers', async () => {
    expect(await ran(installed.vmpool, ['--version'])).toEqual({ code: 0, output: `${version}\n` });
  });

  it('finds the engine that was copied to this machine', async () => {
    const { code, output } = await ran(installed.vmpool, ['engine', 'show', '--json'], {
      env: { ...process.env, VMPOOL_CACHE: installed.engineCache },
    });
    expect(code).toBe(0);
    expect(JSON.parse(output)).toMatchObject({
      pulumi: expect.stringContaining(installed.engineCache) as unknown,
    });
  });

  it('brings the hooks for a worker', async () => {
    const root = join(installed.directory, 'worker');
    mkdirSync(join(root, 'var/spool/torque/mom_priv'), { recursive: true });
    mkdirSync(join(root, 'usr/bin'), { recursive: true });
    writeFileSync(join(root, 'usr/bin/node'), '');
    const args = [
      '--root',
      root,
      '--node',
      '/usr/bin/node',
      '--service-url',
      'https://pool.example.org:8470',
    ];
    const { output } = await ran(installed.vmpool, ['hooks', 'install', ...args]);
    expect(output).toContain('/var/spool/torque/mom_priv/prologue written');
    expect(readdirSync(join(root, 'usr/lib/vmpool')).sort()).toEqual(['jobstarter', 'nodecheck', 'sync']);
    expect(readFileSync(join(root, 'var/spool/torque/mom_priv/prologue'), 'utf8')).toMatch(
      /^#!\/usr\/bin\/node\n/,
    );
  });
});

/** A machine's root with a Node and the installed program at the places that the units name. */
const machineRoot = (name: string): { root: string; install: readonly string[] } => {
  const root = join(installed.directory, name);
  const program = join(root, installed.main);
  mkdirSync(join(program, '..'), { recursive: true });
  writeFileSync(program, '');
  mkdirSync(join(root, 'usr/bin'), { recursive: true });
  mkdirSync(join(root, 'bin'), { recursive: true });
  for (const one of ['usr/bin/node', 'bin/kill']) cpSync('/bin/true', join(root, one));
  // The targets that the units name are systemd's own.
  cpSync('/usr/lib/systemd/system', join(root, 'usr/lib/systemd/system'), {
    recursive: true,
    verbatimSymlinks: true,
  });
  return { root, install: ['--root', root, '--node', '/usr/bin/node'] };
};

describe('vmpool service install', () => {
  it('makes account, directories and units that systemd has nothing to say against', async () => {
    const { root, install } = machineRoot('machine');
    const first = await ran(installed.vmpool, ['service', 'install', ...install]);
    expect(first.output).toMatch(
      /vmpool\.service written[^]*the account vmpool is there[^]*Next: vmpool check/,
    );
    expect(first.code).toBe(0);

    const [, , uid = '', gid = ''] =
      /^vmpool:.*$/m.exec(readFileSync(join(root, 'etc/passwd'), 'utf8'))?.[0].split(':') ?? [];
    const owned = (path: string): string => {
      const { mode, uid: u, gid: g } = statSync(join(root, path));
      return `${(mode & 0o777).toString(8)} ${String(u)}:${String(g)}`;
    };
    expect(owned('var/lib/vmpool')).toBe(`700 ${uid}:${gid}`);
    expect(owned('var/backups/vmpool')).toBe(`700 ${uid}:${gid}`);
    expect(owned('etc/vmpool')).toBe(`750 0:${gid}`);
    expect(existsSync(join(root, 'etc/logrotate.d/vmpool'))).toBe(false);

    const services = ['vmpool.service', 'vmpool-backup.service', 'vmpool-audit.service'];
    const units = [...services, 'vmpool-backup.timer', 'vmpool-audit.timer'];
    const verified = await ran('systemd-analyze', ['verify', `--root=${root}`, '--man=no', ...units]);
    // It names every unit that it has loaded; what counts is whether it says anything of ours.
    expect(verified.output.split('\n').filter((line) => line.includes('vmpool'))).toEqual([]);
    expect(verified.code).toBe(0);
    for (const unit of services) {
      const args = ['security', '--offline=yes', `--root=${root}`, '--no-pager', '--threshold=15', unit];
      const { code, output } = await ran('systemd-analyze', args);
      expect({ unit, code, output: code === 0 ? '' : output }).toEqual({ unit, code: 0, output: '' });
    }

    expect(await ran(installed.vmpool, ['service', 'check', ...install])).toMatchObject({ code: 0 });
    const again = await ran(installed.vmpool, ['service', 'install', ...install]);
    expect(again.output).not.toContain('written');
    writeFileSync(join(root, 'etc/systemd/system/vmpool.service'), 'edited');
    const check = await ran(installed.vmpool, ['service', 'check', ...install]);
    expect(check).toMatchObject({ code: 1 });
    expect(check.output).toContain('/etc/systemd/system/vmpool.service is missing or changed');
  }, 60_000);

  it('turns a log file over with a rule that logrotate reads', async () => {
    const { root, install } = machineRoot('logging');
    expect(await ran(installed.vmpool, ['service', 'install', '--log', 'file', ...install])).toMatchObject({
      code: 0,
    });
    const unit = readFileSync(join(root, 'etc/systemd/system/vmpool.service'), 'utf8');
    expect(unit).toContain('StandardOutput=append:/var/log/vmpool/vmpool.jsonl');
    // The rule itself, on a log of this test's and as root, who is the only account that surely exists here.
    const logs = join(root, 'var/log/vmpool');
    writeFileSync(join(logs, 'vmpool.jsonl'), '{"line":1}\n');
    chownSync(logs, 0, 0);
    chownSync(join(logs, 'vmpool.jsonl'), 0, 0);
    const rule = readFileSync(join(root, 'etc/logrotate.d/vmpool'), 'utf8')
      .replace('/var/log/vmpool/', `${logs}/`)
      .replace('su vmpool vmpool', 'su root root');
    writeFileSync(join(root, 'rule'), rule, { mode: 0o644 });
    const turned = await ran('/usr/sbin/logrotate', [
      '--force',
      '--state',
      join(root, 'state'),
      join(root, 'rule'),
    ]);
    expect(turned).toEqual({ code: 0, output: '' });
    expect(readdirSync(logs).sort()).toEqual(['vmpool.jsonl', 'vmpool.jsonl.1']);
    expect(statSync(join(logs, 'vmpool.jsonl')).size).toBe(0);
  }, 60_000);

  it('refuses paths that systemd would read otherwise', async () => {
    const { install } = machineRoot('odd');
    const { code, output } = await ran(installed.vmpool, [
      'service',
      'install',
      ...install,
      '--state-dir',
      '/var/lib/vm pool',
    ]);
    expect(code).toBe(1);
    expect(output).toContain('the state directory, "/var/lib/vm pool", must be an absolute path');
  });
});

describePipeline(() => installed);

/** The account that owns nothing, by definition. */
const nobody = 65_534;

describe('the installed service under the limits of its unit', () => {
  let site: Site;
  let service: ChildProcess | undefined;
  beforeAll(async () => {
    site = await openSite({ subnet: '127.117.0.0/16', shape: { min: 1, max: 2 } });
    await site.shape({});
  }, 120_000);
  afterAll(async () => {
    if (service?.exitCode === null && service.signalCode === null) {
      service.kill('SIGKILL');
      await once(service, 'exit');
    }
    await site.close();
  }, 60_000);

  it('runs without root, rights and a writable machine: a VM comes, and it stops in order', async () => {
    const owned = await ran('chown', ['-R', `${String(nobody)}:${String(nobody)}`, site.directory]);
    expect(owned).toEqual({ code: 0, output: '' });
    // What the unit says, with what can be had without systemd: a mount namespace that is read-only but for the
    // state directory, a /tmp of its own, no root, no capability to be had again, and a umask.
    const confined = `
      set -e
      mount --make-rprivate /
      mount --bind ${site.directory}/state ${site.directory}/state
      mount -t tmpfs -o mode=1777 none /tmp
      mount -o remount,bind,ro /
      umask 077
      exec setpriv --reuid ${String(nobody)} --regid ${String(nobody)} --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all \
        ${process.execPath} ${installed.main} serve --config ${site.configFile}`;
    service = spawn('unshare', ['--mount', 'sh', '-c', confined], {
      stdio: ['ignore', 'pipe', 'pipe'],
      cwd: '/',
      env: {
        ...site.env,
        PATH: '/usr/bin:/bin',
        HOME: `${site.directory}/state`,
        VMPOOL_CACHE: installed.engineCache,
      },
    });
    let said = '';
    service.stderr?.on('data', (part: Buffer) => (said += part.toString()));
    let url: string | undefined;
    createInterface({ input: service.stdout as NodeJS.ReadableStream }).on('line', (line) => {
      said += `${line}\n`;
      url ??= /"event":"ready".*?"url":"([^"]+)"/.exec(line)?.[1];
    });
    const address = await eventually('the service', 120_000, () => {
      if (service?.exitCode !== null) throw new Error(`the service ended: ${said}`);
      return url;
    });
    const client = createClient({ url: address, token: site.tokens.operator });
    try {
      await eventually('one Free VM', 240_000, async () => {
        const { members } = await client.status();
        return members.filter((member) => member.state === 'Free').length === 1;
      }).catch((error: unknown) => {
        throw new Error(`${String(error)}\n${said}`);
      });
    } finally {
      client.close();
    }
    const ended = once(service, 'exit');
    service.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
  }, 200_000);
});
