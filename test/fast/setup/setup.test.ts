import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { forgetLostOutput, removeOrphans, sourcesStamp } from '../../../scripts/build-state.mjs';
import { whyNoOpenStackLab } from '../../../scripts/openstack-lab.mjs';

const scripts = join(process.cwd(), 'scripts');
let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'vmpool-setup-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true });
});

const put = (path: string, text = ''): void => {
  mkdirSync(dirname(join(dir, path)), { recursive: true });
  writeFileSync(join(dir, path), text);
};

describe('make demo without root', () => {
  it('stops at once and says why, before anything is set up', () => {
    // A copy that everyone may read and run: the checkout and Node may be below root's home.
    chmodSync(dir, 0o755);
    cpSync(scripts, join(dir, 'scripts'), { recursive: true });
    const node = join(dir, 'node');
    copyFileSync(process.execPath, node);
    chmodSync(node, 0o755);
    const nobody = process.getuid?.() === 0 ? ['--reuid=65534', '--regid=65534', '--clear-groups'] : [];
    const result = spawnSync('setpriv', [...nobody, node, 'scripts/setup.mjs', '--demo'], {
      cwd: dir,
      encoding: 'utf8',
      env: { PATH: process.env['PATH'] ?? '', LD_LIBRARY_PATH: process.env['LD_LIBRARY_PATH'] ?? '' },
    });
    expect(result.status).toBe(1);
    expect(result.stderr).toMatch(/the demo needs root, because .* Run it as root.*Nothing was set up/s);
    expect(result.stdout).toBe('');
    expect(existsSync(join(dir, 'node_modules'))).toBe(false);
  });

  it('is what the Makefile asks set-up to see to', () => {
    expect(readFileSync('Makefile', 'utf8')).toMatch(/^demo:.*\n\t@\$\(NODE\) scripts\/setup\.mjs --demo$/m);
  });
});

describe('the build', () => {
  const sources = [
    'src/a.ts',
    'src/deep/b.ts',
    'src/c.mts',
    'stacks/index.ts',
    'hooks/src/d.ts',
    'test/mom/mom.ts',
  ];
  beforeEach(() => {
    for (const path of [
      ...sources,
      'package.json',
      'package-lock.json',
      'tsconfig.json',
      'tsconfig.build.json',
    ])
      put(path);
    put('scripts/bundle-hooks.mjs');
    put('scripts/bundle-cli.mjs');
    put('scripts/bundle-dashboard.mjs');
    put('scripts/whole-file.mjs');
  });
  const compiled = (): void => {
    for (const path of sources)
      for (const end of ['', '.map']) put(`dist/${path.replace(/ts$/, 'js')}${end}`);
  };

  it.each<[string, () => void]>([
    ['an added source', () => put('src/new.ts')],
    ['a deleted source', () => rmSync(join(dir, 'src/a.ts'))],
    ['a renamed source', () => renameSync(join(dir, 'src/a.ts'), join(dir, 'src/z.ts'))],
    [
      'another size under the same time',
      () => {
        put('src/a.ts', 'changed');
        utimesSync(join(dir, 'src/a.ts'), 1000, 1000);
      },
    ],
    ['an older time, as of a checkout', () => utimesSync(join(dir, 'src/a.ts'), 500, 500)],
    ['other packages', () => put('package-lock.json', '{}')],
  ])('is done again after %s', (_name, change) => {
    utimesSync(join(dir, 'src/a.ts'), 1000, 1000);
    const before = sourcesStamp(dir);
    expect(sourcesStamp(dir)).toBe(before);
    change();
    expect(sourcesStamp(dir)).not.toBe(before);
  });

  it('leaves nothing compiled whose source is gone, and everything else alone', () => {
    compiled();
    for (const path of [
      'dist/src/gone.js',
      'dist/src/gone.js.map',
      'dist/test/old/x.mjs',
      'dist/hooks/main.js',
    ])
      put(path);
    put('dist/worker/prologue');
    expect(removeOrphans(dir).sort()).toEqual([
      'hooks/main.js',
      'src/gone.js',
      'src/gone.js.map',
      'test/old/x.mjs',
    ]);
    expect(existsSync(join(dir, 'dist/src/gone.js'))).toBe(false);
    expect(existsSync(join(dir, 'dist/src/c.mjs'))).toBe(true);
    expect(existsSync(join(dir, 'dist/worker/prologue'))).toBe(true);
    expect(removeOrphans(dir)).toEqual([]);
  });

  it('lets the compiler forget what it wrote once some of it is missing', () => {
    compiled();
    put('.cache/build.tsbuildinfo');
    forgetLostOutput(dir);
    expect(existsSync(join(dir, '.cache/build.tsbuildinfo'))).toBe(true);
    rmSync(join(dir, 'dist/src/deep/b.js'));
    forgetLostOutput(dir);
    expect(existsSync(join(dir, '.cache/build.tsbuildinfo'))).toBe(false);
  });
});

describe('the OpenStack lab', () => {
  it.each([
    ['PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_CODENAME=bookworm\nID=debian\n', null],
    [
      'ID=ubuntu\nVERSION_CODENAME=noble\nPRETTY_NAME="Ubuntu 24.04 LTS"\n',
      /Debian 12.*this is Ubuntu 24\.04 LTS/,
    ],
    ['', /this is unknown/],
  ])('goes only with the release that its settings are for: %j', (text, why) => {
    put('os-release', text);
    const told = whyNoOpenStackLab(join(dir, 'os-release'), 'x64');
    if (why === null) expect(told).toBeNull();
    else expect(told).toMatch(why);
    expect(whyNoOpenStackLab(join(dir, 'absent'), 'x64')).toMatch(/this is unknown/);
    expect(whyNoOpenStackLab(join(dir, 'os-release'), 'arm64')).toMatch(/x86-64 processor, this is arm64/);
  });
});

describe('the file that keeps daemons from starting during an installation', () => {
  const program = (then: string): string =>
    `import { keepDaemonsDown, runChild } from ${JSON.stringify(join(scripts, 'child.mjs'))};
     const undo = keepDaemonsDown(${JSON.stringify(join(dir, 'policy-rc.d'))});
     ${then}`;
  const start = (then: string) =>
    spawn(process.execPath, ['--input-type=module', '-e', program(then)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });

  it.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
    'goes when %s ends the set-up in the middle, its child too',
    async (signal) => {
      const child = start(`await runChild('sh', ['-c', 'echo $$; exec sleep 60']); process.exit(9);`);
      const [pid] = (await once(child.stdout, 'data')) as [Buffer];
      expect(readFileSync(join(dir, 'policy-rc.d'), 'utf8')).toMatch(/^#!\/bin\/sh\n#.*\nexit 101\n$/);
      child.kill(signal);
      const [code] = (await once(child, 'exit')) as [number | null];
      expect(code).toBe({ SIGINT: 130, SIGTERM: 143, SIGHUP: 129 }[signal]);
      expect(existsSync(join(dir, 'policy-rc.d'))).toBe(false);
      expect(existsSync(`/proc/${pid.toString().trim()}`)).toBe(false);
    },
  );

  it.each(['undo();', 'process.exit(1);', 'throw new Error("odd");'])('goes also with %s', async (then) => {
    const child = spawn(process.execPath, ['--input-type=module', '-e', program(then)], { stdio: 'ignore' });
    await once(child, 'exit');
    expect(existsSync(join(dir, 'policy-rc.d'))).toBe(false);
  });

  it('leaves nothing to start with the machine that did not before', () => {
    const wants = 'etc/systemd/system/multi-user.target.wants';
    const sockets = 'etc/systemd/system/sockets.target.wants';
    for (const path of [`${wants}/ssh.service`, 'etc/rc2.d/S01ssh']) put(path);
    // What a package brings.
    for (const path of [
      `${wants}/gmetad.service`,
      `${sockets}/rpcbind.socket`,
      'etc/rc2.d/S01gmetad',
      'etc/rc6.d/K01gmetad',
    ])
      put(`package/${path}`);
    const { status } = spawnSync(process.execPath, [
      '--input-type=module',
      '-e',
      `import { cpSync } from 'node:fs';
       import { keepDaemonsDown } from ${JSON.stringify(join(scripts, 'child.mjs'))};
       const undo = keepDaemonsDown(${JSON.stringify(join(dir, 'policy-rc.d'))}, ${JSON.stringify(join(dir, 'etc'))});
       cpSync(${JSON.stringify(join(dir, 'package'))}, ${JSON.stringify(dir)}, { recursive: true });
       undo();`,
    ]);
    expect(status).toBe(0);
    expect(readdirSync(join(dir, wants))).toEqual(['ssh.service']);
    expect(readdirSync(join(dir, sockets))).toEqual([]);
    expect(readdirSync(join(dir, 'etc/rc2.d')).sort()).toEqual(['K01gmetad', 'S01ssh']);
    expect(readdirSync(join(dir, 'etc/rc6.d'))).toEqual(['K01gmetad']);
  });

  it('goes, and so does every other child, where one that failed ends the set-up', async () => {
    const other = `const other = runChild('sh', ['-c', 'echo $$; exec sleep 60']);`;
    const child = start(`${other} await runChild('sleep', ['1']); process.exit(1);`);
    await once(child.stdout, 'data');
    // The other child holds the pipe as well: it closes with the last of them.
    const since = performance.now();
    await once(child, 'close');
    expect(performance.now() - since).toBeLessThan(30_000);
    expect(existsSync(join(dir, 'policy-rc.d'))).toBe(false);
  });

  it('goes when every child has ended after a signal, however long one takes', async () => {
    const slow = `void runChild('sh', ['-c', 'sleep 60 & trap "kill $!; sleep 1; echo over; exit 3" TERM; echo began; wait']);`;
    const child = start(`void runChild('sleep', ['60']); ${slow}`);
    const said: string[] = [];
    child.stdout.on('data', (text: Buffer) => said.push(text.toString()));
    await once(child.stdout, 'data');
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([143, null]);
    expect(said.join('')).toBe('began\nover\n');
  });

  it('that an administrator has put there is left as it is, one that a killed set-up left is removed', async () => {
    put('policy-rc.d', '#!/bin/sh\nexit 0\n');
    await once(start('undo();'), 'exit');
    expect(readFileSync(join(dir, 'policy-rc.d'), 'utf8')).toBe('#!/bin/sh\nexit 0\n');
    rmSync(join(dir, 'policy-rc.d'));
    const killed = start(`process.kill(process.pid, 'SIGKILL');`);
    await once(killed, 'exit');
    expect(existsSync(join(dir, 'policy-rc.d'))).toBe(true);
    await once(start('undo();'), 'exit');
    expect(existsSync(join(dir, 'policy-rc.d'))).toBe(false);
  });
});
