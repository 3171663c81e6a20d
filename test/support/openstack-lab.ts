import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { createCloud } from '../../src/cloud/openstack.js';
import type { OpenStackCloud } from '../../src/cloud/openstack.js';
import type { InstallationId } from '../../src/pool/model.js';
import type { CloudFacts } from './ways-in.js';

/** Names that test/openstack/lab/seed.py makes. */
export const labNames = {
  flavor: 'small',
  image: 'debian-vm',
  otherImage: 'debian-vm-2',
  /** Nothing boots from it, so a server costs no emulation. */
  emptyImage: 'nothing',
  network: 'net0',
  /** Leads nowhere: for the order of a VM's networks. */
  otherNetwork: 'net1',
  /** Has floating IPs for `network`, which no agent carries out. */
  external: 'public',
};

const noLab = 'there is no OpenStack around this process: run these tests with `make test-openstack`';
const origin = 'http://127.0.0.1';
const computePort = 8774;
const networkPort = 9696;

/** How many VMs a test is to make, from the environment. Throws when that is no number from 1. */
export function howMany(variable: string, otherwise: number): number {
  const count = Number(process.env[variable] ?? otherwise);
  if (!Number.isInteger(count) || count < 1) throw new Error(`${variable}: a number from 1 is needed`);
  return count;
}

/** Where the lab keeps Python packages that it unpacks and does not install: cloud-init's. Throws where there is no lab. */
export function labPackages(): string {
  const share = process.env['LAB_SHARE'];
  if (share === undefined) throw new Error(noLab);
  return join(share, 'usr', 'lib', 'python3', 'dist-packages');
}

/**
 * The OpenStack that test/openstack/lab/run.sh started around this process: who uses it, and what breaks it. Throws
 * where there is none.
 */
export class OpenStackLab {
  readonly #state: string;
  #adminToken: string | null = null;

  constructor() {
    const state = process.env['VMPOOL_OPENSTACK'];
    if (state === undefined) throw new Error(noLab);
    this.#state = state;
  }

  /** OS_* variables of an ordinary member of a project, or of the administrator. */
  env(user: 'demo' | 'admin' = 'demo'): Readonly<Record<string, string>> {
    return {
      OS_AUTH_URL: `${origin}:5000/v3`,
      OS_USERNAME: user,
      OS_PASSWORD: 'secret',
      OS_PROJECT_NAME: 'demo',
      OS_USER_DOMAIN_NAME: 'Default',
      OS_PROJECT_DOMAIN_NAME: 'Default',
      OS_REGION_NAME: 'RegionOne',
      OS_IDENTITY_API_VERSION: '3',
    };
  }

  /** What the ways into this cloud are made of; an application credential is made each time. */
  async facts(): Promise<CloudFacts> {
    const signedIn = await this.#signIn('demo');
    const { token, userId, projectId } = signedIn;
    const name = `way-${randomUUID()}`;
    const answer = await fetch(`${origin}:5000/v3/users/${userId}/application_credentials`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-auth-token': token },
      body: JSON.stringify({ application_credential: { name } }),
    });
    const made = z.object({ application_credential: z.object({ id: z.string(), secret: z.string() }) });
    const { id, secret } = made.parse(await answer.json()).application_credential;
    return {
      ...{ authUrl: `${origin}:5000/v3`, password: 'secret', userId, projectId, token },
      ...{ credential: { id, name, secret }, caFile: '', ca: '' },
    };
  }

  reader(installation: InstallationId): OpenStackCloud {
    return createCloud({ env: this.env(), installation });
  }

  /** One call of the administrator's to Nova; `path` below the version. Rejects on 4xx and 5xx. */
  #nova(method: string, path: string, body?: unknown): Promise<unknown> {
    return this.#call(method, `${origin}:${String(computePort)}/v2.1${path}`, body);
  }

  async #call(method: string, url: string, body?: unknown): Promise<unknown> {
    const answer = await fetch(url, {
      method,
      headers: {
        'content-type': 'application/json',
        'x-auth-token': await this.#token(),
        'x-openstack-nova-api-version': '2.79',
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${url} answered ${String(answer.status)}: ${text}`);
    return text === '' ? null : (JSON.parse(text) as unknown);
  }

  async #token(): Promise<string> {
    this.#adminToken ??= (await this.#signIn('admin')).token;
    return this.#adminToken;
  }

  /** Into the project `demo`. */
  async #signIn(
    name: 'demo' | 'admin',
  ): Promise<{ readonly token: string; readonly userId: string; readonly projectId: string }> {
    const domain = { id: 'default' };
    const answer = await fetch(`${origin}:5000/v3/auth/tokens`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        auth: {
          identity: {
            methods: ['password'],
            password: { user: { name, domain, password: 'secret' } },
          },
          scope: { project: { name: 'demo', domain } },
        },
      }),
    });
    const body = await answer.text();
    const token = answer.headers.get('x-subject-token');
    if (token === null) throw new Error(`${name} cannot sign in: ${body}`);
    const told = z.object({
      token: z.object({ user: z.object({ id: z.string() }), project: z.object({ id: z.string() }) }),
    });
    const { user, project } = told.parse(JSON.parse(body)).token;
    return { token, userId: user.id, projectId: project.id };
  }

  /** All servers of the project, as the administrator sees them. */
  async servers(): Promise<
    readonly { readonly id: string; readonly name: string; readonly status: string }[]
  > {
    const list = z.object({
      servers: z.array(z.looseObject({ id: z.string(), name: z.string(), status: z.string() })),
    });
    return list.parse(await this.#nova('GET', '/servers/detail')).servers;
  }

  /** When Nova made the server's record and when its host had started it, as Nova writes it. */
  async times(name: string): Promise<{ readonly created: string; readonly launched: string | null }> {
    const one = z.object({
      server: z.looseObject({ created: z.string(), 'OS-SRV-USG:launched_at': z.string().nullable() }),
    });
    const { server } = one.parse(await this.#nova('GET', `/servers/${await this.serverId(name)}`));
    return { created: server.created, launched: server['OS-SRV-USG:launched_at'] };
  }

  async serverId(name: string): Promise<string> {
    const found = (await this.servers()).find((server) => server.name === name);
    if (found === undefined) throw new Error(`there is no server ${name}`);
    return found.id;
  }

  async deleteServers(): Promise<void> {
    for (const { id } of await this.servers()) {
      try {
        await this.#nova('DELETE', `/servers/${id}`);
      } catch (error) {
        // One that was on its way out is gone now.
        if ((await this.servers()).some((server) => server.id === id)) throw error;
      }
    }
  }

  /** Actions in Nova's log of a server, oldest first. */
  async actions(id: string): Promise<readonly string[]> {
    const log = z.object({ instanceActions: z.array(z.looseObject({ action: z.string() })) });
    const { instanceActions } = log.parse(await this.#nova('GET', `/servers/${id}/os-instance-actions`));
    return instanceActions.map(({ action }) => action).reverse();
  }

  /** Limit of the project's instances; -1 for none. */
  async quota(instances: number): Promise<void> {
    const { servers } = z
      .object({ servers: z.array(z.looseObject({ tenant_id: z.string() })) })
      .parse(await this.#nova('GET', '/servers/detail?limit=1'));
    const project = servers[0]?.tenant_id ?? (await this.#project());
    await this.#nova('PUT', `/os-quota-sets/${project}`, { quota_set: { instances, force: true } });
  }

  /** Limit of the project's ports; -1 for none. */
  async portQuota(port: number): Promise<void> {
    const url = `${origin}:${String(networkPort)}/v2.0/quotas/${await this.#project()}`;
    await this.#call('PUT', url, { quota: { port } });
  }

  async #project(): Promise<string> {
    const cloud = this.reader('none' as InstallationId);
    try {
      const { project } = await cloud.identity(AbortSignal.timeout(60_000));
      if (project === null) throw new Error('the lab has no project');
      return project.id;
    } finally {
      cloud.close();
    }
  }

  /** With the only host disabled, the scheduler finds none. */
  async host(status: 'enabled' | 'disabled'): Promise<void> {
    const list = z.object({ services: z.array(z.looseObject({ id: z.string(), binary: z.string() })) });
    const { services } = list.parse(await this.#nova('GET', '/os-services?binary=nova-compute'));
    for (const { id } of services) await this.#nova('PUT', `/os-services/${id}`, { status });
  }

  /** A host whose agent hangs: what is ordered meanwhile stays in BUILD. */
  compute(state: 'hangs' | 'works'): void {
    const pid = Number(readFileSync(join(this.#state, 'run', 'nova-compute.pid'), 'utf8'));
    process.kill(pid, state === 'hangs' ? 'SIGSTOP' : 'SIGCONT');
  }

  /** Nova's API refuses connections, as when nothing listens. */
  api(state: 'down' | 'up'): void {
    const rule = ['INPUT', '-p', 'tcp', '--dport', String(computePort), '-j', 'REJECT'];
    run('iptables', state === 'down' ? '-I' : '-D', ...rule, '--reject-with', 'tcp-reset');
  }

  /** Ends the VM's QEMU as a failing host would. */
  killVm(id: string): void {
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      const command = commandOf(pid);
      if (command.includes('qemu-system') && command.includes(id)) {
        process.kill(Number(pid), 'SIGKILL');
        return;
      }
    }
    throw new Error(`server ${id} has no QEMU`);
  }

  /** MAC addresses of the VM's network cards, in the order in which QEMU has them. */
  cards(id: string): readonly string[] {
    const domain = run('virsh', '--connect', 'qemu:///system', 'dumpxml', id);
    return [...domain.matchAll(/<mac address='([^']+)'/g)].map(([, mac]) => mac ?? '');
  }

  /** The VM's network card on the host's side. */
  async cutNetwork(id: string): Promise<void> {
    const list = z.object({ interfaceAttachments: z.array(z.looseObject({ port_id: z.string() })) });
    const { interfaceAttachments } = list.parse(await this.#nova('GET', `/servers/${id}/os-interface`));
    for (const { port_id: port } of interfaceAttachments)
      run('ip', 'link', 'set', `tap${port.slice(0, 11)}`, 'down');
  }
}

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    // Ended while it was looked for.
    return '';
  }
}

function run(program: string, ...args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr}`);
  return stdout;
}
