import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { hostname, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';

import { locateEngine, pointerFile } from '../../../scripts/engine/locate.mjs';

jest.setTimeout(60_000);

const installer = join(dirname(fileURLToPath(import.meta.url)), '../../../scripts/engine/install.mjs');

let root: string;
let bin: string;
let env: Record<string, string>;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'vmpool-install-'));
  bin = join(root, 'bin');
  mkdirSync(bin);
  // Nothing of the machine's own: no Go, no Pulumi, no plugins, no cache.
  for (const command of ['sh', 'tar', 'gzip', 'cp', 'chmod', 'basename', 'sleep', 'echo']) {
    const path = ['/usr/bin', '/bin'].map((dir) => join(dir, command)).find(existsSync);
    if (path !== undefined) script(command, `exec ${path} "$@"`);
  }
  env = { PATH: bin, HOME: root, VMPOOL_CACHE: join(root, 'cache'), VMPOOL_ENGINE_SOURCE: 'build' };
});
afterEach(() => {
  rmSync(root, { recursive: true, force: true });
});

function script(name: string, body: string): void {
  writeFileSync(join(bin, name), `#!/bin/sh\n${body}\n`);
  chmodSync(join(bin, name), 0o755);
}

/** A `go` that "builds" at once and notes what it was asked for; what it is to download beforehand it does not get. */
function fakeGo(version = 'go1.99.0', beforeBuild = ''): void {
  script(
    'go',
    `if [ "$1" = env ]; then echo ${version}; exit 0; fi
     part=$(basename "$PWD")
     if [ "$1" = list ]; then echo "$part" >> ${root}/downloads; echo no such module; exit 1; fi
     echo "$part" >> ${root}/builds
     ${beforeBuild}
     case $part in cli) name=pulumi;; language-nodejs) name=pulumi-language-nodejs;; *) name=pulumi-resource-$part;; esac
     mkdir="$GOMODCACHE"; echo "#!/bin/sh" > "$GOBIN/$name"; chmod 755 "$GOBIN/$name"`,
  );
}

const noted = (name: string): string[] =>
  existsSync(join(root, name)) ? readFileSync(join(root, name), 'utf8').trim().split('\n').sort() : [];
const builds = (): string[] => noted('builds');

function install(...args: string[]): Promise<{ code: number | null; out: string; err: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [installer, ...args], { env });
    let [out, err] = ['', ''];
    child.stdout.on('data', (data: Buffer) => (out += data.toString()));
    child.stderr.on('data', (data: Buffer) => (err += data.toString()));
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, out, err }));
  });
}

describe('without an engine', () => {
  it('locating it says what to run', () => {
    expect(() => locateEngine(env)).toThrow(/not installed[^]*Run `make setup`/);
  });

  it('locating one whose plugin is gone says so', async () => {
    fakeGo();
    await install();
    rmSync(join(locateEngine(env).pulumiHome, 'plugins', 'resource-command-v1.2.1'), { recursive: true });
    expect(() => locateEngine(env)).toThrow(/pulumi-resource-command is missing[^]*Run `make setup`/);
  });
});

describe('building from Go modules', () => {
  it('builds every part once, in the layout that the engine expects, and prints the environment', async () => {
    fakeGo();
    const first = await install('--print-env');
    expect(first).toMatchObject({ code: 0 });
    expect(builds()).toEqual(['cli', 'command', 'language-nodejs', 'openstack']);
    // Those that wait for their turn.
    expect(noted('downloads')).toEqual(['cli', 'language-nodejs', 'openstack']);
    const engine = locateEngine(env);
    expect(engine).toMatchObject({
      source: 'build',
      versions: { cli: '3.259.0', openstack: '3.15.2', command: '1.2.1', 'language-nodejs': '3.68.0' },
    });
    expect(engine.pulumi).toBe(join(engine.binDir, 'pulumi'));
    expect(first.out).toContain(`export PULUMI_HOME='${engine.pulumiHome}'`);
    expect(existsSync(join(root, 'cache/engine/go'))).toBe(false);

    const second = await install();
    expect(second).toMatchObject({ code: 0 });
    expect(builds()).toHaveLength(4);
    expect(locateEngine(env)).toMatchObject({ source: 'cache', binDir: engine.binDir });
  });

  it('goes on after a failure where it stopped, and names the log', async () => {
    fakeGo('go1.99.0', 'if [ "$part" = command ]; then echo the compiler is unhappy; exit 1; fi');
    const failed = await install();
    expect(failed.code).toBe(1);
    expect(failed.err).toMatch(/Building the command plugin failed[^]*logs\/command\.log[^]*the compiler is unhappy/);
    expect(() => locateEngine(env)).toThrow(/not installed/);

    rmSync(join(root, 'builds'));
    fakeGo();
    expect(await install()).toMatchObject({ code: 0 });
    expect(builds()).not.toContain('cli');
    expect(builds()).toContain('command');
  });

  it('says what to do without Go, and with an old one', async () => {
    expect((await install()).err).toMatch(/There is no working `go` on PATH[^]*needs Go 1\.25/);
    fakeGo('go1.22.3');
    expect((await install()).err).toMatch(/`go` on PATH is go1\.22\.3[^]*needs Go 1\.25/);
    expect(builds()).toEqual([]);
  });

  it('is done once when two set-ups run at the same time', async () => {
    fakeGo('go1.99.0', 'sleep 1');
    const [one, two] = await Promise.all([install(), install()]);
    expect([one.code, two.code]).toEqual([0, 0]);
    expect(builds()).toHaveLength(4);
    expect(one.err + two.err).toContain('waiting for another set-up');
  });

  it('takes over the lock of a set-up that was killed', async () => {
    fakeGo();
    const gone = spawnSync(process.execPath, ['-e', '']).pid;
    mkdirSync(join(root, 'cache/engine'), { recursive: true });
    const host = hostname();
    writeFileSync(join(root, 'cache/engine/lock'), JSON.stringify({ pid: gone, started: '1', host, since: Date.now() }));
    const done = await install();
    expect(done.code).toBe(0);
    expect(done.err).toContain('taking over the lock');
  });
});

describe('what the machine has', () => {
  beforeEach(() => {
    fakeGo();
    env['VMPOOL_ENGINE_SOURCE'] = 'auto';
    // No download site: this address answers nobody.
    env['VMPOOL_ENGINE_MIRROR'] = 'http://127.0.0.1:9';
    script('pulumi-language-nodejs', 'exit 0');
  });

  it('is taken when its version fits', async () => {
    script('pulumi', 'echo v3.260.1');
    const plugin = join(root, '.pulumi/plugins/resource-openstack-v3.15.2');
    mkdirSync(plugin, { recursive: true });
    writeFileSync(join(plugin, 'pulumi-resource-openstack'), '#!/bin/sh\n', { mode: 0o755 });
    expect(await install()).toMatchObject({ code: 0 });
    expect(builds()).toEqual(['command']);
    const { pulumi, versions } = locateEngine(env);
    expect(realpathSync(pulumi)).toBe(realpathSync(join(bin, 'pulumi')));
    expect(versions).toMatchObject({ cli: '3.260.1', 'language-nodejs': '3.260.1' });
  });

  it.each(['v3.100.0', 'v4.0.0', 'v3.260.0-alpha.1', 'nonsense'])('is left alone when it is %s', async (version) => {
    script('pulumi', `echo ${version}`);
    expect(await install()).toMatchObject({ code: 0 });
    expect(builds()).toContain('cli');
  });
});

describe('the official download', () => {
  let server: Server;
  afterEach(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  async function serve(listener: RequestListener): Promise<void> {
    server = createServer(listener);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    env['VMPOOL_ENGINE_MIRROR'] = `http://127.0.0.1:${address.port}`;
  }

  /** Archives with every binary in them, and their sums (wrong ones, if asked). */
  function release(sumOf: (archive: Buffer) => string): RequestListener {
    const content = join(root, 'content/pulumi');
    mkdirSync(content, { recursive: true });
    for (const name of ['pulumi', 'pulumi-language-nodejs', 'pulumi-resource-openstack', 'pulumi-resource-command']) {
      writeFileSync(join(content, name), '#!/bin/sh\n', { mode: 0o755 });
    }
    const made = spawnSync('tar', ['-czf', join(root, 'all.tar.gz'), '-C', join(root, 'content'), 'pulumi']);
    expect(made.status).toBe(0);
    const archive = readFileSync(join(root, 'all.tar.gz'));
    const { platform, arch } = process;
    const goArch = arch === 'x64' ? 'amd64' : arch;
    const names = [
      `pulumi-v3.259.0-${platform}-${arch}.tar.gz`,
      `pulumi-resource-openstack-v3.15.2-${platform}-${goArch}.tar.gz`,
      `pulumi-resource-command-v1.2.1-${platform}-${goArch}.tar.gz`,
    ];
    const sums = names.map((name) => `${sumOf(archive)}  ${name}\n`).join('');
    return (request, response) => {
      response.end(request.method === 'HEAD' ? '' : request.url?.endsWith('.tar.gz') ? archive : sums);
    };
  }

  it('is used where it can be reached', async () => {
    await serve(release((archive) => createHash('sha256').update(archive).digest('hex')));
    env['VMPOOL_ENGINE_SOURCE'] = 'auto';
    expect(await install()).toMatchObject({ code: 0 });
    expect(locateEngine(env)).toMatchObject({ source: 'download', versions: { 'language-nodejs': '3.259.0' } });
    expect(existsSync(pointerFile(env))).toBe(true);
  });

  it('is not used when its sum is not the published one', async () => {
    await serve(release(() => 'f'.repeat(64)));
    env['VMPOOL_ENGINE_SOURCE'] = 'download';
    const refused = await install();
    expect(refused.code).toBe(1);
    expect(refused.err).toMatch(/has the SHA-256 sum [0-9a-f]{64}, published is f{64}: not used/);
    expect(() => locateEngine(env)).toThrow(/not installed/);
  });

  it('is given up within seconds where the site does not answer', async () => {
    await serve(() => {
      // Never answers.
    });
    fakeGo();
    env['VMPOOL_ENGINE_SOURCE'] = 'auto';
    expect(await install()).toMatchObject({ code: 0 });
    expect(builds()).toHaveLength(4);
  });
});
