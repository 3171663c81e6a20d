import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { ServiceHost } from '../../src/demo/services/service-host.js';
import type { Ran } from '../services/enclosure.js';
import { eventually, membersIn, openSite, type EmbeddedSite, type RunningService } from '../support/site.js';
import { PuppetServer } from './puppet-server.js';

/** A pool on the embedded cloud, a CA on a host reached by SSH, and agents in the pool's VMs. */
describe("the agents of a pool's VMs", () => {
  const address = '127.126.255.251';
  let site: EmbeddedSite;
  let host: ServiceHost;
  let ca: PuppetServer;
  let pool: RunningService;
  beforeAll(async () => {
    site = await openSite({ subnet: '127.126.0.0/16', shape: { min: 1, max: 2 } });
    host = await ServiceHost.start(site.directory, address, 2222);
    ca = new PuppetServer(
      {
        run: async (command) => {
          const words = await host.run(`{ ${command}\n} 2>&1; printf ' %s' $?`);
          const [, said = '', code] = /^([^]*) (\d+)$/.exec(words) ?? [];
          return { code: Number(code), words: said };
        },
        must: (command) => host.run(command),
      },
      address,
    );
    await ca.prepare('/etc/puppet/vmpool/site/autosign');
    await ca.start();
    await site.shape({ services: { puppet: { host: host.host, serverId: true } } });
    pool = await site.start();
  }, 700_000);
  afterAll(async () => {
    await site?.close();
    await host?.stop();
  }, 180_000);

  const free = () =>
    eventually('a Free VM whose name is on the list of the CA', 180_000, () => {
      const [member] = membersIn(pool.service, 'Free');
      const view = pool.service.status().services.find(({ name }) => name === 'puppet');
      return view?.upToDate === true && view.hosts === 1 && member !== undefined ? member : false;
    });
  const inVm = (vm: { readonly address: string | null }, command: string): Ran => {
    const options = [
      'BatchMode=yes',
      'StrictHostKeyChecking=no',
      'UserKnownHostsFile=/dev/null',
      'LogLevel=ERROR',
    ];
    const { status, stdout, stderr } = spawnSync(
      'ssh',
      [
        ...['-F', 'none', '-i', join(site.directory, 'admin')],
        ...options.flatMap((option) => ['-o', option]),
        `root@${vm.address ?? ''}`,
        command,
      ],
      { encoding: 'utf8', timeout: 180_000 },
    );
    return { code: status, words: stdout + stderr };
  };
  /** What the guide has in the user data, then one run of the agent; `more` are its further arguments. */
  const agent = (vm: { name: string; address: string | null; serverId: string | null }, more = ''): Ran =>
    inVm(
      vm,
      `grep -q ' puppet$' /etc/hosts || echo '${address} puppet' >>/etc/hosts
       mkdir -p /etc/puppet
       printf 'extension_requests:\\n  pp_instance_id: "%s"\\n' '${vm.serverId ?? ''}' >/etc/puppet/csr_attributes.yaml
       puppet agent --test --no-usecacheonfailure --waitforcert 0 --server puppet --certname ${vm.name} ${more}`,
    );
  const served = (run: Ran): void => {
    expect(run.words).toContain('Applied catalog');
    expect([0, 2]).toContain(run.code);
  };

  it('are signed while they are in the pool, and refused with what a retired VM had', async () => {
    const first = await free();
    served(agent(first));
    expect(agent({ ...first, name: 'site-9999-zzzz' }, '--ssldir /root/stranger').code).toBe(1);
    expect(await ca.signed()).toEqual([first.name]);
    const kept = inVm(first, 'tar -C "$(puppet config print ssldir)" -czf - . | base64 -w 0').words;

    await pool.service.retire(first.name, 'a test');
    await eventually('the end of the VM', 180_000, () =>
      pool.service.status().members.every(({ name }) => name !== first.name),
    );
    const second = await free();
    expect(second.name).not.toBe(first.name);
    expect(await ca.signed()).toEqual([]);
    served(agent(second));
    inVm(second, `mkdir -p /root/kept && echo ${kept.trim()} | base64 -d | tar -C /root/kept -xzf -`);
    const thief = agent({ ...second, name: first.name }, '--ssldir /root/kept');
    expect(thief).toMatchObject({ code: 1, words: expect.stringMatching(/revoked|refused|403|SSL/) });
    expect(await ca.signed()).toEqual([second.name]);
  }, 600_000);

  it('have no certificates any more when the service is taken out of the configuration', async () => {
    await site.shape({ services: {} });
    expect((await pool.service.adopt()).kind).toBe('done');
    await eventually('the end of the service', 180_000, () => pool.service.status().services.length === 0);
    expect(await ca.signed()).toEqual([]);
  }, 300_000);
});
