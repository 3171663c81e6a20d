#!/usr/bin/env node
/**
 * Where the time of a lease goes, on the embedded cloud: request to Nova's POST, SSH answering to grant, grant to
 * ready, release to Free. Beside each figure stands a floor measured in the same run.
 *
 *   make setup && node bench/spine.mjs [ROUNDS]
 */
import { execFile, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { startEmbeddedCloud } from '../dist/src/embedded/cloud.js';
import { CloudControl } from '../dist/src/embedded/control.js';
import { createClient } from '../dist/src/http/client.js';
import { locateEngine } from '../scripts/engine/locate.mjs';

const run = promisify(execFile);
const rounds = Number(process.argv[2] ?? 5);
const root = join(import.meta.dirname, '..');
const dir = mkdtempSync('/var/tmp/vmpool-bench-');
const file = (name, text) => {
  writeFileSync(join(dir, name), text, { mode: 0o600 });
  return join(dir, name);
};
const token = 'b'.repeat(40);
const operatorToken = 'o'.repeat(40);
spawnSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(dir, 'admin')]);
const adminKey = readFileSync(join(dir, 'admin.pub'), 'utf8').trim();
const state = join(dir, 'state');
mkdirSync(join(state, 'pulumi'), { recursive: true });
mkdirSync(join(dir, 'project'));
file('project/Pulumi.yaml', 'name: vmpool\nruntime: nodejs\n');

const cloud = await startEmbeddedCloud({
  state: join(dir, 'cloud'),
  subnet: '127.120.0.0/16',
  timing: { buildMs: 500, sshMs: 300, deleteMs: 200 },
});
const control = new CloudControl(cloud.controlUrl, cloud.controlToken);
const engine = locateEngine();
const env = {
  ...process.env,
  ...cloud.env,
  PATH: `${engine.binDir}:${process.env.PATH}`,
  PULUMI_HOME: engine.pulumiHome,
  PULUMI_BACKEND_URL: `file://${state}/pulumi`,
  PULUMI_CONFIG_PASSPHRASE_FILE: file('passphrase', 'bench bench bench'),
  PULUMI_SKIP_UPDATE_CHECK: 'true',
};
const shape = { min: 0, max: 8, spare: 0, flavor: 'small', image: 'debian-vm', networks: ['net0'], adminKey };
const lines = Object.entries(shape).map(([key, value]) => `  vmpool:${key}: ${JSON.stringify(value)}`);
const shapeFile = file('Pulumi.bench.yaml', `config:\n${lines.join('\n')}\n`);
await run(engine.pulumi, ['stack', 'init', 'bench'], { cwd: join(dir, 'project'), env });
await run(engine.pulumi, ['up', '--yes', '--skip-preview', '--stack', 'bench', '--config-file', shapeFile], {
  cwd: root,
  env,
});
const config = file(
  'vmpool.yaml',
  `pool: bench
stateDir: ${state}
listen: { port: 0 }
auth:
  tokens:
    - { name: w, role: worker, worker: w1, tokenFile: ${file('token', token)} }
    - { name: o, role: operator, tokenFile: ${file('operator', operatorToken)} }
engine: { passphraseFile: ${join(dir, 'passphrase')}, adoptEvery: 5s }
guest: { privateKeyFile: ${join(dir, 'admin')} }
policy: { idleBeforeShrink: 10m }
`,
);
const service = spawn(process.execPath, [join(root, 'dist/src/cli/main.js'), 'serve', '--config', config], {
  env,
  stdio: ['ignore', 'pipe', 'inherit'],
});
const url = await new Promise((resolve, reject) => {
  service.on('exit', (code) => reject(new Error(`the service ended with ${code}`)));
  createInterface({ input: service.stdout }).on('line', (line) => {
    const found = /"event":"ready".*?"url":"([^"]+)"/.exec(line);
    if (found !== null) resolve(found[1]);
  });
});
const client = createClient({ url, token });
const operator = createClient({ url, token: operatorToken });

const request = (n) => ({
  job: `${n}.bench`,
  attempt: { start: 1, boot: 'b', pid: n, ticks: 1 },
  user: {
    name: 'alice',
    uid: 2001,
    gid: 2001,
    groups: [{ name: 'alice', gid: 2001 }],
    home: '/home/alice',
    shell: '/bin/bash',
  },
  publicKey: adminKey.split(' ').slice(0, 2).join(' '),
});
/** Milliseconds until a TCP connection stands and the server has said something. */
const banner = (host) =>
  new Promise((resolve) => {
    const socket = connect(22, host);
    const end = (ok) => {
      socket.destroy();
      resolve(ok);
    };
    socket.once('data', () => end(true));
    socket.once('error', () => end(false));
    socket.setTimeout(1000, () => end(false));
  });
const figures = new Map();
const add = (name, ms) => figures.set(name, [...(figures.get(name) ?? []), ms]);

while ((await operator.status()).shape === null) await sleep(200);
let job = 0;
for (let i = 0; i < rounds; i += 1) {
  job += 1;
  await control.clearCalls();
  const asked = Date.now();
  const id = (await client.request(request(job))).id;
  let posted;
  while (posted === undefined) {
    posted = (await control.calls({ method: 'POST', path: '/v2.1/servers' }))[0];
    await sleep(20);
  }
  add('cold: request -> POST /servers', posted.at - asked);
  let address;
  while (address === undefined || address === null) {
    address = (await operator.status()).members.find(
      (m) => m.state !== 'Busy' && m.address !== null,
    )?.address;
    if ((await client.lease(id)).state === 'granted') break;
    await sleep(20);
  }
  let answers = null;
  if (address) {
    while (!(await banner(address))) await sleep(20);
    answers = Date.now();
    const from = Date.now();
    await banner(address);
    add('floor: one TCP connect and banner', Date.now() - from);
  }
  const lease = await client.lease(id, { waitSeconds: 60, until: 'granted' });
  const granted = Date.parse(lease.grantedAt);
  if (answers !== null) add('cold: SSH answers -> grant', Math.max(0, granted - answers));
  add('cold: request -> grant', granted - asked);
  await client.lease(id, { waitSeconds: 60, until: 'ready' });
}
for (let n = 1; n <= job; n += 1) await client.release({ job: `${n}.bench`, attempt: request(n).attempt });
const allFree = async () => {
  const { members } = await operator.status();
  return members.length > 0 && members.every((m) => m.state === 'Free');
};
while (!(await allFree())) await sleep(100);
for (let i = 0; i < rounds * 2; i += 1) {
  job += 1;
  const asked = performance.now();
  const lease = await client.request(request(job), { waitSeconds: 30, until: 'granted' });
  add('warm: request -> granted (HTTP, durable)', performance.now() - asked);
  await client.lease(lease.id, { waitSeconds: 30, until: 'ready' });
  add('warm: request -> ready (account, key, marker on the VM)', performance.now() - asked);
  const released = performance.now();
  await client.release({ job: `${job}.bench`, attempt: request(job).attempt });
  add('release (HTTP, durable)', performance.now() - released);
  while (!(await allFree())) await sleep(20);
  add('release -> Free (scrubbed and verified)', performance.now() - released);
  const floor = performance.now();
  await fetch(`${url}/healthz`).then((r) => r.text());
  add('floor: GET /healthz', performance.now() - floor);
}

client.close();
operator.close();
service.removeAllListeners('exit');
service.kill('SIGTERM');
await new Promise((resolve) => service.once('exit', resolve));
await cloud.stop();
rmSync(dir, { recursive: true, force: true });

const at = (values, q) =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * q))];
console.log('figure                                                    n      min      p50      max  (ms)');
for (const [name, values] of figures) {
  const cells = [Math.min(...values), at(values, 0.5), Math.max(...values)].map((v) =>
    v.toFixed(v < 100 ? 1 : 0).padStart(8),
  );
  console.log(`${name.padEnd(54)} ${String(values.length).padStart(4)} ${cells.join(' ')}`);
}
