import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { startEmbeddedCloud, type EmbeddedCloud, type EmbeddedOptions } from '../../src/embedded/cloud.js';
import { CloudControl } from '../../src/embedded/control.js';
import { generateSshKey } from '../../src/embedded/sandbox/host-key.js';

/** How a command on a server ended. */
export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const tokenAnswer = z.looseObject({ token: z.looseObject({ expires_at: z.string() }) });
const listOfIds = z.array(z.looseObject({ id: z.string() })).min(1);

/** A second caller of the cloud: plain HTTP, so that answers are seen as they are. */
export class ApiClient {
  #token: string | undefined;

  constructor(
    readonly cloud: Pick<EmbeddedCloud, 'authUrl' | 'env'>,
    readonly user = 'demo',
  ) {}

  get origin(): string {
    return this.cloud.authUrl.replace(/\/identity\/v3$/, '');
  }

  async login(): Promise<string> {
    const response = await fetch(`${this.cloud.authUrl}/auth/tokens`, {
      method: 'POST',
      body: JSON.stringify({
        auth: {
          identity: {
            methods: ['password'],
            password: {
              user: { name: this.user, domain: { id: 'default' }, password: this.cloud.env['OS_PASSWORD'] },
            },
          },
          scope: { project: { name: 'demo', domain: { name: 'Default' } } },
        },
      }),
    });
    tokenAnswer.parse(await response.json());
    return (this.#token = response.headers.get('x-subject-token') ?? '');
  }

  /** Calls e.g. `GET /compute/v2.1/servers`; the body of the answer is parsed if it is JSON. */
  async call(
    method: string,
    path: string,
    options: { body?: unknown; microversion?: string; headers?: Record<string, string> } = {},
  ): Promise<{ status: number; body: unknown; headers: Headers }> {
    const token = this.#token ?? (await this.login());
    const response = await fetch(`${this.origin}${path}`, {
      method,
      headers: {
        'X-Auth-Token': token,
        ...(options.microversion !== undefined && { 'X-OpenStack-Nova-API-Version': options.microversion }),
        ...options.headers,
      },
      ...(options.body !== undefined && { body: JSON.stringify(options.body) }),
    });
    const text = await response.text();
    let body: unknown = text;
    if (/^[[{]/.test(text)) body = JSON.parse(text);
    return { status: response.status, body, headers: response.headers };
  }

  async idOf(path: string, list: string): Promise<string> {
    const { body } = await this.call('GET', path);
    return listOfIds.parse(z.record(z.string(), z.unknown()).parse(body)[list])[0]?.id ?? '';
  }
}

const serverAnswer = z.looseObject({
  server: z.looseObject({
    id: z.string(),
    status: z.string(),
    addresses: z.record(z.string(), z.array(z.looseObject({ addr: z.string() }))),
    fault: z.looseObject({ message: z.string() }).optional(),
  }),
});

/** A cloud with a key of its own, and what tests do with its servers. */
export class Bench {
  readonly key = generateSshKey('bench');
  readonly control: CloudControl;
  readonly api: ApiClient;

  private constructor(
    readonly folder: string,
    readonly cloud: EmbeddedCloud,
  ) {
    this.control = new CloudControl(cloud.controlUrl, cloud.controlToken);
    this.api = new ApiClient(cloud);
    writeFileSync(join(folder, 'key'), this.key.privateKey, { mode: 0o600 });
  }

  static async start(options: Partial<EmbeddedOptions> = {}): Promise<Bench> {
    const folder = mkdtempSync(join(tmpdir(), 'vm-bench-'));
    const cloud = await startEmbeddedCloud({
      state: join(folder, 'cloud'),
      // Suites side by side never share addresses, other runs on the machine hardly ever.
      subnet: `127.${90 + Number(process.env['JEST_WORKER_ID'] ?? 0)}.${(process.pid % 16) * 16}.0/20`,
      timing: { buildMs: 200, sshMs: 50, deleteMs: 100 },
      ...options,
    });
    return new Bench(folder, cloud);
  }

  async stop(): Promise<void> {
    await this.cloud.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Orders a server with the bench's key; returns its id. */
  async order(name: string, more: Record<string, unknown> = {}): Promise<string> {
    const api = this.api;
    const [network, image] = await Promise.all([
      api.idOf('/network/v2.0/networks?name=net0', 'networks'),
      api.idOf('/image/v2/images?name=debian-vm', 'images'),
    ]);
    const known = await api.call('GET', '/compute/v2.1/os-keypairs/bench');
    if (known.status === 404)
      await api.call('POST', '/compute/v2.1/os-keypairs', {
        body: { keypair: { name: 'bench', public_key: this.key.publicLine } },
      });
    const { status, body } = await api.call('POST', '/compute/v2.1/servers', {
      body: {
        server: {
          name,
          imageRef: image,
          flavorRef: '1',
          key_name: 'bench',
          networks: [{ uuid: network }],
          ...more,
        },
      },
    });
    if (status !== 202) throw new Error(`${name} was refused: ${JSON.stringify(body)}`);
    return z.object({ server: z.looseObject({ id: z.string() }) }).parse(body).server.id;
  }

  async server(id: string): Promise<z.infer<typeof serverAnswer>['server']> {
    const { body } = await this.api.call('GET', `/compute/v2.1/servers/${id}`);
    return serverAnswer.parse(body).server;
  }

  async address(id: string): Promise<string> {
    const address = Object.values((await this.server(id)).addresses)[0]?.[0]?.addr;
    if (address === undefined) throw new Error(`server ${id} has no address`);
    return address;
  }

  /** Waits until the server has this status, or fails after a minute. */
  async until(id: string, status: string): Promise<void> {
    for (let round = 0; round < 1200; round++) {
      const server = await this.api.call('GET', `/compute/v2.1/servers/${id}`);
      if (
        status === 'GONE' ? server.status === 404 : serverAnswer.parse(server.body).server.status === status
      )
        return;
      await sleep(50);
    }
    throw new Error(
      `server ${id} did not become ${status}: ${JSON.stringify(await this.api.call('GET', `/compute/v2.1/servers/${id}`))}`,
    );
  }

  /** Waits until an ACTIVE server's machine has begun; it listens `sshMs` later. */
  async machine(id: string): Promise<void> {
    const begun = async (): Promise<boolean> =>
      (await this.control.servers()).some((server) => server.id === id && server.initPid !== null);
    for (let round = 0; round < 1200 && !(await begun()); round++) await sleep(50);
  }

  async action(id: string, body: object): Promise<{ status: number; body: unknown }> {
    return this.api.call('POST', `/compute/v2.1/servers/${id}/action`, { body });
  }

  async console(id: string): Promise<string> {
    const { body } = await this.action(id, { 'os-getConsoleOutput': {} });
    return z.object({ output: z.string() }).parse(body).output;
  }

  /** Runs a command through the real OpenSSH client. */
  ssh(
    address: string,
    command: string,
    options: { user?: string; timeoutS?: number; hostKeys?: string } = {},
  ): Promise<CommandResult> {
    const known = options.hostKeys ?? '/dev/null';
    const strict = options.hostKeys === undefined ? 'no' : 'yes';
    const flags = [
      'BatchMode=yes',
      `StrictHostKeyChecking=${strict}`,
      `UserKnownHostsFile=${known}`,
      'GlobalKnownHostsFile=/dev/null',
      'LogLevel=ERROR',
      `ConnectTimeout=${options.timeoutS ?? 5}`,
      'ServerAliveInterval=2',
      'ServerAliveCountMax=1',
    ];
    const args = [
      '-F',
      '/dev/null',
      '-i',
      join(this.folder, 'key'),
      ...flags.flatMap((flag) => ['-o', flag]),
      `${options.user ?? 'root'}@${address}`,
      command,
    ];
    return new Promise((resolve) => {
      execFile('ssh', args, { encoding: 'utf8', maxBuffer: 1 << 24 }, (error, stdout, stderr) => {
        resolve({
          code: error === null ? 0 : typeof error.code === 'number' ? error.code : -1,
          stdout,
          stderr,
        });
      });
    });
  }

  /** Waits until SSH answers. */
  async untilSsh(address: string): Promise<void> {
    let last: CommandResult | undefined;
    for (let round = 0; round < 100; round++) {
      last = await this.ssh(address, 'true', { timeoutS: 2 });
      if (last.code === 0) return;
      await sleep(100);
    }
    throw new Error(`SSH at ${address} does not answer: ${last?.stderr ?? ''}`);
  }

  /** A server that answers SSH. */
  async running(name: string, more: Record<string, unknown> = {}): Promise<{ id: string; address: string }> {
    const id = await this.order(name, more);
    await this.until(id, 'ACTIVE');
    const address = await this.address(id);
    await this.untilSsh(address);
    return { id, address };
  }
}

/** Keepers of a cloud in this folder that still run. */
export function keepersIn(folder: string, pids: readonly number[]): number[] {
  return pids.filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(folder);
    } catch {
      return false;
    }
  });
}
