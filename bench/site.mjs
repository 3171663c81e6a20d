/**
 * A whole site for a benchmark: the embedded cloud in a process of its own, Pulumi with the pool's stack, and the
 * service in a process of its own. Everything lies in one directory, and `close()` ends and removes all of it.
 */
import { execFile, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { CloudControl } from '../dist/src/embedded/control.js';
import { createClient } from '../dist/src/http/client.js';
import { locateEngine } from '../scripts/engine/locate.mjs';

const run = promisify(execFile);
const root = join(import.meta.dirname, '..');
const stopLimitMs = 60_000;

/** A process that says on one line of its standard output that it is ready; `found` picks what that line tells. */
async function ready(what, program, args, env, found) {
  const child = spawn(process.execPath, [program, ...args], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const gone = new Promise((resolve) => child.once('exit', (code, by) => resolve(by ?? code)));
  const told = await new Promise((resolve, reject) => {
    void gone.then((code) => reject(new Error(`${what} ended with ${String(code)}`)));
    createInterface({ input: child.stdout }).on('line', (line) => {
      const value = found(line);
      if (value) resolve(value);
    });
  });
  const stop = async () => {
    child.kill('SIGTERM');
    const late = setTimeout(() => child.kill('SIGKILL'), stopLimitMs);
    await gone;
    clearTimeout(late);
  };
  return { told, stop, pid: child.pid };
}

/** Polls until `holds()` says true. @throws Error after `limitMs` */
export async function until(what, limitMs, holds, everyMs = 50) {
  const end = Date.now() + limitMs;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`${what}: not within ${limitMs / 1000} s`);
    await sleep(everyMs);
  }
}

/**
 * @param options.subnet loopback network of the VMs, no other site's
 * @param options.cloud further options of the embedded cloud
 * @param options.shape of the pool's stack
 * @param options.engine, options.policy parts of the service's configuration
 * @param options.program what runs as the service, with `--config FILE`; default: `vmpool serve`
 */
export async function openSite({
  subnet,
  cloud = {},
  shape: first,
  engine: engineConfig = {},
  policy = {},
  program,
}) {
  const dir = mkdtempSync('/var/tmp/vmpool-bench-');
  const file = (name, text) => {
    writeFileSync(join(dir, name), text, { mode: 0o600 });
    return join(dir, name);
  };
  const undo = [() => rmSync(dir, { recursive: true, force: true })];
  const close = async () => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  try {
    const tokens = { worker: 'b'.repeat(40), operator: 'o'.repeat(40) };
    spawnSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(dir, 'admin')]);
    const adminKey = readFileSync(join(dir, 'admin.pub'), 'utf8').trim();
    const state = join(dir, 'state');
    mkdirSync(join(state, 'pulumi'), { recursive: true });
    mkdirSync(join(dir, 'project'));
    file('project/Pulumi.yaml', 'name: vmpool\nruntime: nodejs\n');

    const options = file('cloud.json', JSON.stringify({ subnet, ...cloud }));
    const cloudProcess = await ready(
      'the embedded cloud',
      join(root, 'dist/src/embedded/main.js'),
      ['--state', join(dir, 'cloud'), '--options', options],
      process.env,
      (line) => JSON.parse(line),
    );
    undo.push(cloudProcess.stop);
    const { controlUrl, controlToken, authUrl, env: cloudEnv } = cloudProcess.told;
    const control = new CloudControl(controlUrl, controlToken);

    const engine = locateEngine();
    const env = {
      ...process.env,
      ...cloudEnv,
      PATH: `${engine.binDir}:${process.env.PATH}`,
      PULUMI_HOME: engine.pulumiHome,
      PULUMI_BACKEND_URL: `file://${state}/pulumi`,
      PULUMI_CONFIG_PASSPHRASE_FILE: file('passphrase', 'bench bench bench'),
      PULUMI_SKIP_UPDATE_CHECK: 'true',
    };
    let shape = { flavor: 'small', image: 'debian-vm', networks: ['net0'], adminKey, spare: 0, ...first };
    const bringUp = async () => {
      const lines = Object.entries(shape).map(([key, value]) => `  vmpool:${key}: ${JSON.stringify(value)}`);
      const config = file('Pulumi.bench.yaml', `config:\n${lines.join('\n')}\n`);
      const up = ['up', '--yes', '--skip-preview', '--stack', 'bench', '--config-file', config];
      await run(engine.pulumi, up, { cwd: root, env });
    };
    await run(engine.pulumi, ['stack', 'init', 'bench'], { cwd: join(dir, 'project'), env });
    await bringUp();

    const config = file(
      'vmpool.yaml',
      // JSON is YAML.
      JSON.stringify({
        pool: 'bench',
        stateDir: state,
        listen: { port: 0 },
        auth: {
          tokens: [
            { name: 'w', role: 'worker', worker: 'w1', tokenFile: file('token', tokens.worker) },
            { name: 'o', role: 'operator', tokenFile: file('operator', tokens.operator) },
          ],
        },
        engine: { passphraseFile: join(dir, 'passphrase'), adoptEvery: '5s', ...engineConfig },
        guest: {
          privateKeyFile: join(dir, 'admin'),
          hostKeys: cloud.sandbox === 'none' ? 'first-sight' : 'console',
        },
        policy: { idleBeforeShrink: '1h', ...policy },
        limits: { connections: 4_096 },
      }),
    );
    const args = program === undefined ? ['serve', '--config', config] : ['--config', config];
    const service = await ready(
      'the service',
      program ?? join(root, 'dist/bin/vmpool.js'),
      args,
      env,
      (line) => /"event":"ready".*?"url":"([^"]+)"/.exec(line)?.[1],
    );
    undo.push(service.stop);
    const url = service.told;
    const client = createClient({ url, token: tokens.worker });
    const operator = createClient({ url, token: tokens.operator });
    undo.push(() => {
      client.close();
      operator.close();
    });
    await until('the shape', 60_000, async () => (await operator.status()).shape !== null);
    return {
      ...{
        dir,
        url,
        tokens,
        client,
        operator,
        control,
        authUrl,
        cloudEnv,
        env,
        pulumi: engine.pulumi,
        adminKey,
        close,
      },
      /** Brings the pool's stack to a changed shape and has the service read it. */
      async shape(changes) {
        shape = { ...shape, ...changes };
        await bringUp();
        await operator.adopt();
      },
      request: (job) => ({
        job,
        attempt: { start: 1, boot: 'b', pid: 1, ticks: 1 },
        user: {
          ...{ name: 'alice', uid: 2001, gid: 2001, groups: [{ name: 'alice', gid: 2001 }] },
          ...{ home: '/home/alice', shell: '/bin/bash' },
        },
        publicKey: adminKey.split(' ').slice(0, 2).join(' '),
      }),
      release: (job) => client.release({ job, attempt: { start: 1, boot: 'b', pid: 1, ticks: 1 } }),
    };
  } catch (error) {
    await close();
    throw error;
  }
}
