/**
 * A whole site for a benchmark: the embedded cloud in a process of its own, Pulumi with the pool's stack, and the service
 * in a process of its own, all in one directory, all its owner's.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CloudControl } from '../dist/src/embedded/control.js';
import { createClient } from '../dist/src/http/client.js';
import { locateEngine } from '../scripts/engine/locate.mjs';
import { until } from './calls.mjs';

const root = join(import.meta.dirname, '..');
const pulumiLimitMs = 30 * 60_000;
const unlimited = {
  instances: -1,
  cores: -1,
  ram: -1,
  port: -1,
  server_groups: -1,
  server_group_members: -1,
};

/** Loopback network of this process's VMs, so that benchmarks side by side do not meet, nor meet the tests. */
const network = `127.${130 + (process.pid % 120)}`;
/** The first that the embedded cloud gives to a server. */
const firstAddress = `${network}.0.10`;

/**
 * @param owner closes all of it
 * @param options.machines `sandboxes`: the VMs are real machines to SSH into; `responders`: bare SSH servers
 * @param options.addresses so many responders: the cloud gives every new server the next address
 * @param options.timing of the embedded cloud, milliseconds
 * @param options.shape of the pool's stack
 * @param options.engine, options.policy parts of the service's configuration
 */
export async function openSite(
  owner,
  { machines, addresses = 0, timing = {}, shape: first, engine: engineConfig = {}, policy = {} },
) {
  const dir = owner.directory();
  const file = (name, text) => {
    writeFileSync(join(dir, name), text, { mode: 0o600 });
    return join(dir, name);
  };
  const tokens = { worker: 'b'.repeat(40), second: 's'.repeat(40), operator: 'o'.repeat(40) };
  /** Makes the key `name` in the site's directory, and returns its public line. */
  const newKey = (name) => {
    const made = spawnSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(dir, name)]);
    if (made.status !== 0) throw new Error(`ssh-keygen: ${made.error?.message ?? made.stderr}`);
    return readFileSync(join(dir, `${name}.pub`), 'utf8').trim();
  };
  const adminKey = newKey('admin');
  const hostKey = newKey('host');
  const state = join(dir, 'state');
  mkdirSync(join(state, 'pulumi'), { recursive: true });
  mkdirSync(join(dir, 'project'));
  file('project/Pulumi.yaml', 'name: vmpool\nruntime: nodejs\n');

  const bare = machines === 'responders';
  if (bare) {
    const responders = owner.process('the SSH responders', process.execPath, [
      ...[join(import.meta.dirname, 'vms', 'responder.mjs'), firstAddress, addresses, join(dir, 'host')],
    ]);
    await responders.line((line) => line);
  }
  const options = file(
    'cloud.json',
    JSON.stringify({
      ...{ subnet: `${network}.0.0/16`, sandbox: bare ? 'none' : 'overlay', quotas: unlimited },
      timing: { buildMs: 0, sshMs: 0, deleteMs: 0, ...timing },
    }),
  );
  const cloud = owner.process('the embedded cloud', process.execPath, [
    ...[join(root, 'dist/src/embedded/main.js'), '--state', join(dir, 'cloud'), '--options', options],
  ]);
  const { controlUrl, controlToken, authUrl, env: cloudEnv } = await cloud.line((line) => JSON.parse(line));
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
  const pulumi = async (cwd, ...args) => {
    const child = owner.process(`pulumi ${args[0]}`, engine.pulumi, args, { cwd, env });
    await child.done(pulumiLimitMs);
  };
  let shape = { flavor: 'small', image: 'debian-vm', networks: ['net0'], adminKey, spare: 0, ...first };
  const bringUp = () => {
    const lines = Object.entries(shape).map(([key, value]) => `  vmpool:${key}: ${JSON.stringify(value)}`);
    const config = file('Pulumi.bench.yaml', `config:\n${lines.join('\n')}\n`);
    return pulumi(root, 'up', '--yes', '--skip-preview', '--stack', 'bench', '--config-file', config);
  };
  await pulumi(join(dir, 'project'), 'stack', 'init', 'bench');
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
          { name: 's', role: 'worker', worker: 'w2', tokenFile: file('second', tokens.second) },
          { name: 'o', role: 'operator', tokenFile: file('operator', tokens.operator) },
        ],
      },
      engine: { passphraseFile: join(dir, 'passphrase'), ...engineConfig },
      guest: { privateKeyFile: join(dir, 'admin'), hostKeys: bare ? 'first-sight' : 'console' },
      policy: { idleBeforeShrink: '24h', requestIdleLimit: '1h', ...policy },
      limits: { connections: 4_096 },
      logging: { level: 'info' },
    }),
  );
  const site = {
    ...{ dir, state, tokens, control, cloud, authUrl, cloudEnv, env, pulumi, newKey, adminKey, hostKey },
    ...{ service: null, url: '', client: null, operator: null },
    /** Starts the service; the pool has its shape when this resolves. */
    async start() {
      const program = join(root, 'dist/bin/vmpool.js');
      site.service = owner.process('the service', process.execPath, [program, 'serve', '--config', config], {
        env,
      });
      const found = (line) => /"event":"ready".*?"url":"([^"]+)"/.exec(line)?.[1];
      site.url = await site.service.line(found);
      site.client = createClient({ url: site.url, token: tokens.worker, timeoutMs: 60_000 });
      site.operator = createClient({ url: site.url, token: tokens.operator, timeoutMs: 60_000 });
      owner.defer('the clients', () => {
        site.client.close();
        site.operator.close();
      });
      await site.sees('the shape', ({ shape: seen }) => seen !== null, 60_000, 50);
    },
    stop: () => site.service.stop(),
    /** Brings the pool's stack to a changed shape, which the service reads within a minute or when it is told to adopt. */
    async reshape(changes) {
      shape = { ...shape, ...changes };
      await bringUp();
    },
    request: (job) => ({
      job,
      attempt,
      user: {
        ...{ name: 'alice', uid: 2001, gid: 2001, groups: [{ name: 'alice', gid: 2001 }] },
        ...{ home: '/home/alice', shell: '/bin/bash' },
      },
      publicKey: adminKey.split(' ').slice(0, 2).join(' '),
    }),
    release: (job) => site.client.release({ job, attempt }),
    /** Waits for the grant, and resolves with the lease. */
    async granted(id, limitMs = 600_000) {
      const end = Date.now() + limitMs;
      for (;;) {
        const view = await site.client.lease(id, { waitSeconds: 30, until: 'granted' });
        if (view.state === 'granted') return view;
        if (view.state === 'ended' || Date.now() > end)
          throw new Error(`request ${id}: ${view.state}: ${view.detail}`);
      }
    },
    /** Waits until the status `holds`. */
    sees: (what, holds, limitMs = 300_000, everyMs = 200) =>
      until(what, limitMs, async () => holds(await site.operator.status()), everyMs),
    /** No cell is being brought up, and nothing is on its way. */
    atRest: () => site.sees('a pool at rest', (status) => status.counts.unusable === 0 && isQuiet(status)),
  };
  await site.start();
  return site;
}

/** By its status no cell is being brought up. */
export const isQuiet = ({ cells }) => cells.every(({ running }) => !running);

const attempt = { start: 1, boot: 'b', pid: 1, ticks: 1 };
