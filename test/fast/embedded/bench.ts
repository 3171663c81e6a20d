import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { startEmbeddedCloud, type EmbeddedCloud, type EmbeddedOptions } from '../../../src/embedded/cloud.js';
import type { Clock } from '../../../src/embedded/clock.js';
import { CloudControl } from '../../../src/embedded/control.js';

/** Time that moves only when told: what is due then happens in its order. */
export class ManualClock implements Clock {
  #now = Date.UTC(2026, 0, 1);
  #due: { at: number; action: () => void }[] = [];

  now(): number {
    return this.#now;
  }

  after(delayMs: number, action: () => void): () => void {
    const entry = { at: this.#now + delayMs, action };
    this.#due.push(entry);
    return () => {
      this.#due = this.#due.filter((each) => each !== entry);
    };
  }

  /** How many actions are to come. */
  get due(): number {
    return this.#due.length;
  }

  /** Moves on, letting promises settle after each due action. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (;;) {
      const next = this.#due.filter((each) => each.at <= end).sort((left, right) => left.at - right.at)[0];
      if (!next) break;
      this.#due = this.#due.filter((each) => each !== next);
      this.#now = next.at;
      next.action();
      await new Promise((resolve) => setImmediate(resolve));
    }
    this.#now = end;
  }
}

export interface Answer {
  readonly status: number;
  /** The parsed body, or {} if there is none. */
  readonly body: Record<string, unknown>;
  readonly text: string;
  readonly headers: Headers;
}

export interface CallOptions {
  readonly body?: unknown;
  readonly version?: string;
  readonly token?: string;
  readonly headers?: Record<string, string>;
}

/** A cloud without machines, in manual time. */
export class ApiBench {
  readonly control: CloudControl;
  #token = '';

  private constructor(
    readonly folder: string,
    readonly cloud: EmbeddedCloud,
    readonly clock: ManualClock,
  ) {
    this.control = new CloudControl(cloud.controlUrl, cloud.controlToken);
  }

  static async start(options: Partial<EmbeddedOptions> = {}): Promise<ApiBench> {
    const folder = mkdtempSync(join(tmpdir(), 'vm-api-'));
    const clock = new ManualClock();
    const cloud = await startEmbeddedCloud(
      { state: folder, sandbox: 'none', timing: { buildMs: 1000, sshMs: 0, deleteMs: 200 }, ...options },
      { clock, random: () => 0.5 },
    );
    const bench = new ApiBench(folder, cloud, clock);
    bench.#token = await bench.login('demo');
    return bench;
  }

  async stop(): Promise<void> {
    await this.cloud.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  get origin(): string {
    return new URL(this.cloud.authUrl).origin;
  }

  async login(user: string, password = 'secret'): Promise<string> {
    const answer = await this.call('POST', '/identity/v3/auth/tokens', {
      token: '',
      body: {
        auth: {
          identity: {
            methods: ['password'],
            password: { user: { name: user, password, domain: { name: 'Default' } } },
          },
          scope: { project: { name: 'demo', domain: { id: 'default' } } },
        },
      },
    });
    return answer.headers.get('x-subject-token') ?? '';
  }

  async call(method: string, path: string, options: CallOptions = {}): Promise<Answer> {
    const response = await fetch(`${this.origin}${path}`, {
      method,
      headers: {
        'X-Auth-Token': options.token ?? this.#token,
        ...(options.version !== undefined && { 'OpenStack-API-Version': `compute ${options.version}` }),
        ...options.headers,
      },
      ...(options.body !== undefined && { body: JSON.stringify(options.body) }),
    });
    const text = await response.text();
    const body = /^\{/.test(text) ? z.record(z.string(), z.unknown()).parse(JSON.parse(text)) : {};
    return { status: response.status, body, text, headers: response.headers };
  }

  nova(method: string, path: string, options: CallOptions = {}): Promise<Answer> {
    return this.call(method, `/compute/v2.1${path}`, options);
  }

  neutron(method: string, path: string, body?: unknown): Promise<Answer> {
    return this.call(method, `/network/v2.0${path}`, body === undefined ? {} : { body });
  }

  async idOf(path: string, list: string): Promise<string> {
    const { body } = await this.call('GET', path);
    return z.array(z.looseObject({ id: z.string() })).parse(body[list])[0]?.id ?? '';
  }

  /** Orders a server; returns the answer of the order. */
  async order(name: string, more: Record<string, unknown> = {}, version?: string): Promise<Answer> {
    const [image, network] = await Promise.all([
      this.idOf('/image/v2/images?name=debian-vm', 'images'),
      this.idOf('/network/v2.0/networks?name=net0', 'networks'),
    ]);
    const server = { name, imageRef: image, flavorRef: '1', networks: [{ uuid: network }], ...more };
    return this.nova('POST', '/servers', { body: { server }, ...(version !== undefined && { version }) });
  }

  /** Orders a server and returns its id. */
  async server(name: string, more: Record<string, unknown> = {}, version?: string): Promise<string> {
    const { body, text } = await this.order(name, more, version);
    const parsed = z.looseObject({ server: z.looseObject({ id: z.string() }) }).safeParse(body);
    if (!parsed.success) throw new Error(`${name} was refused: ${text}`);
    return parsed.data.server.id;
  }

  async show(id: string, version?: string): Promise<Record<string, unknown>> {
    const { body } = await this.nova('GET', `/servers/${id}`, version === undefined ? {} : { version });
    return z.record(z.string(), z.unknown()).parse(body['server']);
  }

  async names(path: string, version?: string): Promise<string[]> {
    const { body } = await this.nova('GET', path, version === undefined ? {} : { version });
    return z
      .array(z.looseObject({ name: z.string() }))
      .parse(body['servers'])
      .map((server) => server.name);
  }
}
