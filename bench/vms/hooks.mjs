/** What the hooks cost a job on a Free VM: the real hooks on a worker, the real service, a real machine as its VM. */
import { chownSync, copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { createClient } from '../../dist/src/http/client.js';
import { DemoWorker } from '../../dist/src/demo/worker.js';
import { timeOf, until } from '../calls.mjs';
import { owned } from '../owner.mjs';
import { atMost, median, row, spread } from '../results.mjs';
import { openSite } from '../site.mjs';

const vms = 4;
const limitMs = 300_000;
const clean = { PATH: '/usr/bin:/bin' };

/** `ssh host true` as a user of the worker, on a VM that is leased for it: on a new connection, and on a warm one. */
async function plainSsh(owner, site, worker) {
  const { carol } = worker.users;
  const key = join(site.dir, 'carol');
  const publicKey = site.newKey('carol').split(' ').slice(0, 2).join(' ');
  const body = { ...site.request('ssh.floor'), user: carol, publicKey };
  // As another worker: this one tells the service that it has no such job, and the lease would end.
  const client = createClient({ url: site.url, token: site.tokens.second });
  owner.defer('the client', () => client.close());
  const { id } = await client.request(body);
  const { vm } = await until('the VM for plain ssh', limitMs, async () => {
    const lease = await client.lease(id, { waitSeconds: 30, until: 'ready' });
    return lease.ready ? lease : null;
  });
  const inside = join(carol.home, 'key');
  copyFileSync(key, worker.sandbox.path(inside));
  chownSync(worker.sandbox.path(inside), carol.uid, carol.gid);
  const options = [
    ...['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'LogLevel=ERROR', 'BatchMode=yes'],
  ].flatMap((one) => ['-o', one]);
  const socket = join(carol.home, 'warm');
  const ssh = (...more) => [
    ...['ssh', '-F', 'none', '-i', inside, ...options, ...more],
    ...['-p', String(vm.port), `${carol.name}@${vm.host}`],
  ];
  const must = async (command) => {
    const { code, stderr } = await worker.mom.runAsUser(carol, command, clean);
    if (code !== 0) throw new Error(`${command.join(' ')}: ${code}: ${stderr}`);
  };
  await must(ssh('-M', '-S', socket, '-o', 'ControlPersist=600', '-f', '-N'));
  return {
    node: () => must([process.execPath, '-e', '0']),
    cold: () => must([...ssh(), 'true']),
    warm: () => must([...ssh('-S', socket), 'true']),
    close: () => must(ssh('-S', socket, '-O', 'exit')),
  };
}

/** One job that does nothing, from qsub to the end of its epilogue: milliseconds of each part. */
async function oneJob(mom) {
  const since = performance.now();
  const id = mom.submit({ user: 'alice', script: 'true' });
  const start = () => mom.starts(id)[0];
  const at = async (holds, what) => {
    await mom.until(id, holds, what, limitMs);
    return performance.now();
  };
  const prologue = await at(() => (start()?.prologue ?? 0) > 0, 'its prologue');
  const result = await at(() => start().result !== null, 'the end of its prologue');
  const over = await at(() => start().over, 'its end');
  const { exitStatus } = await mom.finished(id, limitMs);
  if (exitStatus !== 0) throw new Error(`job ${id}: exit ${exitStatus}: ${mom.stderr(id)}`);
  return {
    prologue: result - prologue,
    starter: over - result,
    epilogue: mom.epilogues(id)[0].ms,
    all: performance.now() - since,
  };
}

export const hookRows = ({ rounds = 15 } = {}) =>
  owned(async (owner) => {
    const site = await openSite(owner, { machines: 'sandboxes', shape: { min: vms, max: vms } });
    await site.sees('the VMs', ({ counts }) => counts.free === vms);
    let starting = null;
    owner.defer('the worker', async () => (await starting)?.stop());
    starting = DemoWorker.start({ workerNamespaces: join(site.dir, 'worker-namespaces') }, site.url, {
      ...{ name: 'w1', token: site.tokens.worker, np: vms, firstJob: 28 },
    });
    const worker = await starting;
    const plain = await plainSsh(owner, site, worker);
    const [node, cold, warm, jobs] = [[], [], [], []];
    for (let n = 0; n < rounds + 1; n += 1) {
      // No scrub beside what is timed: a VM's survey of its files is seconds of a processor.
      await site.sees('the other VMs Free', ({ counts }) => counts.free === vms - 1);
      const floors = [await timeOf(plain.node), await timeOf(plain.cold), await timeOf(plain.warm)];
      const job = await oneJob(worker.mom);
      // The first of each finds everything cold.
      if (n === 0) continue;
      [node, cold, warm].forEach((list, at) => list.push(floors[at]));
      jobs.push(job);
    }
    await plain.close();
    const of = (key) => jobs.map((one) => one[key]);
    const figures = (times, floor, wanted = []) => ({
      ...{ ...spread(times), floor: median(floor), wanted },
    });
    const added = of('starter').map((ms, n) => ms - cold[n]);
    return [
      row(
        'hooks: prologue on a Free VM, start to exit, beside `node -e 0`',
        'ms',
        figures(of('prologue'), node, [atMost(200, { unit: 'ms' })]),
      ),
      row(
        'hooks: job starter with a job that does nothing, more than plain ssh, beside `ssh host true` anew',
        'ms',
        figures(added, cold, [atMost(100, { unit: 'ms' })]),
      ),
      row(
        'hooks: epilogue, beside `node -e 0`',
        'ms',
        figures(of('epilogue'), node, [atMost(100, { unit: 'ms' })]),
      ),
      row('hooks: `ssh host true` anew, beside a warm connection', 'ms', figures(cold, warm)),
      row(
        'hooks: a job that does nothing, qsub to the end of its epilogue, beside `ssh host true` anew',
        'ms',
        figures(of('all'), cold),
      ),
    ];
  });
