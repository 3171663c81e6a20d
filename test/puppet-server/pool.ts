import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import type { Ran } from '../services/enclosure.js';
import {
  eventually,
  leaseReady,
  membersIn,
  openSite,
  releaseJob,
  type EmbeddedSite,
  type RunningService,
} from '../support/site.js';
import { batchPlan, runPlan } from './authority.js';
import { served, type PuppetServer } from './puppet-server.js';

/** A VM as far as an agent in it is concerned. */
interface Vm {
  readonly name: string;
  readonly address: string | null;
  readonly serverId: string | null;
}

/** A pool beside another one at the same CA, which asks that one first; agents run in the pool's VMs. */
export const poolTests = (theCa: () => PuppetServer): void => {
  let ca: PuppetServer;
  let site: EmbeddedSite;
  let pool: RunningService;
  beforeAll(async () => {
    ca = theCa();
    const first = batchPlan([], { otherwise: '/etc/puppet/vmpool/site/autosign' });
    expect(await runPlan(ca, 'apply', first)).toMatchObject({ code: 0 });
    site = await openSite({
      subnet: '127.131.0.0/16',
      shape: { min: 1, max: 2 },
      policy: { reuse: 'rebuild' },
    });
    await site.shape({ services: { puppet: { host: ca.host.host, serverId: true } } });
    pool = await site.start();
  }, 300_000);
  afterAll(() => site?.close(), 180_000);

  const free = () =>
    eventually('a Free VM whose name is on the list of the CA', 240_000, () => {
      const [member] = membersIn(pool.service, 'Free');
      const view = pool.service.status().services.find(({ name }) => name === 'puppet');
      return view?.upToDate === true && view.hosts === 1 && member !== undefined ? member : false;
    });

  const inVm = (vm: Vm, command: string): Promise<Ran> =>
    new Promise((resolve, reject) => {
      const options = [
        'BatchMode=yes',
        'StrictHostKeyChecking=no',
        'UserKnownHostsFile=/dev/null',
        'LogLevel=ERROR',
        'ExitOnForwardFailure=yes',
      ].flatMap((option) => ['-o', option]);
      // A server of the embedded cloud has no network but what SSH brings it.
      const way = ['-R', `127.0.0.1:8140:${ca.address}:8140`];
      const args = ['-F', 'none', '-i', join(site.directory, 'admin'), ...options, ...way];
      const child = spawn('ssh', [...args, `root@${vm.address ?? ''}`, command], {
        stdio: ['ignore', 'pipe', 'pipe'],
        timeout: 240_000,
      });
      let words = '';
      child.stdout.on('data', (text: Buffer) => (words += text.toString()));
      child.stderr.on('data', (text: Buffer) => (words += text.toString()));
      child.on('error', reject);
      child.on('close', (code) => resolve({ code, words }));
    });
  /** The agent's own directory in a VM. */
  const own = '/var/lib/agent';
  /** What the guide has in the user data, then one run of the agent. */
  const agent = (vm: Vm, ssldir = `${own}/ssl`): Promise<Ran> =>
    inVm(
      vm,
      `grep -q ' puppet$' /etc/hosts || echo '127.0.0.1 puppet' >>/etc/hosts
       mkdir -p /etc/puppet /var/cache/puppet ${own}
       printf 'extension_requests:\\n  pp_instance_id: "%s"\\n' '${vm.serverId ?? ''}' >/etc/puppet/csr_attributes.yaml
       puppet agent --test --no-usecacheonfailure --waitforcert 0 --keylength 2048 --server puppet --certname ${vm.name} --vardir ${own} --ssldir ${ssldir}`,
    );

  const gone = (name: string) =>
    eventually(
      `the end of the certificate of ${name}`,
      240_000,
      async () => !(await ca.signed()).includes(name),
    );

  it('signs them while they are in the pool, and revokes with the disk: a rebuilt VM gets another', async () => {
    const vm = await free();
    expect(await agent(vm)).toMatchObject({ words: expect.stringContaining('Applied catalog') });
    expect((await agent({ ...vm, name: 'site-9999-zzzz' }, '/root/stranger')).code).toBe(1);
    expect(await ca.signed()).toContain(vm.name);
    expect(await ca.signed()).not.toContain('site-9999-zzzz');
    const kept = (await inVm(vm, `tar -C ${own}/ssl -czf - . | base64 -w 0`)).words;

    await leaseReady(pool.service, 1, 60_000);
    await releaseJob(pool.service, 1);
    await gone(vm.name);
    expect((await free()).name).toBe(vm.name);
    expect((await inVm(vm, `ls ${own}`)).code).not.toBe(0);
    expect(served(await agent(vm))).toBe(true);
    expect(await ca.signed()).toContain(vm.name);
    await inVm(vm, `mkdir -p /root/kept && echo ${kept.trim()} | base64 -d | tar -C /root/kept -xzf -`);
    const thief = await agent(vm, '/root/kept');
    expect(thief).toMatchObject({
      code: 1,
      words: expect.stringMatching(/revoked|does not match|certificate unknown/),
    });
  }, 900_000);

  it('revokes the certificate of a VM that is retired, and signs the next one', async () => {
    const first = await free();
    expect(await ca.signed()).toContain(first.name);
    await pool.service.retire(first.name, 'a test', 'tester');
    await gone(first.name);
    const second = await free();
    expect(second.name).not.toBe(first.name);
    expect(served(await agent(second))).toBe(true);
    expect(await ca.signed()).toContain(second.name);
  }, 900_000);

  it('has no certificates of them any more when the service is taken out of the configuration', async () => {
    // The one that was retired may still be on its way out.
    const [member] = membersIn(pool.service, 'Free');
    expect(await ca.signed()).toContain(member?.name);
    await site.shape({ services: {} });
    expect((await pool.service.adopt()).kind).toBe('done');
    await eventually('the end of the service', 240_000, () => pool.service.status().services.length === 0);
    expect(await ca.signed()).not.toContain(member?.name);
  }, 400_000);
};
