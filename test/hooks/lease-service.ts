import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import {
  leaseRequest,
  releaseRequest,
  syncRequest,
  type LeaseAnswer,
  type LeaseRequest,
  type ReleaseRequest,
} from '../../src/http/api.js';
import type { VmMachine } from '../mom/vm-machine.js';

interface Lease {
  readonly id: string;
  readonly body: LeaseRequest;
  state: 'waiting' | 'granted' | 'ended';
  vm: VmMachine | null;
  ready: boolean;
  detail: string;
}

export interface Call {
  readonly method: string;
  readonly path: string;
  readonly at: number;
}

/** The lease service's API over VMs that are simply there: what the hooks can see of it, and nothing more. */
export class LeaseService {
  readonly leases: Lease[] = [];
  readonly releases: ReleaseRequest[] = [];
  readonly syncs: { jobs: string[]; ageMs: number }[] = [];
  readonly calls: Call[] = [];
  readonly token = 'worker-token';
  node = { ok: true, detail: '' };
  /** Refuses every request so. */
  refuseWith: { status: number; code: string; detail: string } | null = null;
  /** No answer at all. */
  mute = false;
  /** Grants wait until `grant()`. */
  paused = false;
  /** Granted, but not ready until `makeReady()`. */
  slowStaging = false;
  maxProcessors = 64;
  #server: Server | null = null;
  #port = 0;
  readonly #waiters = new Set<() => void>();

  constructor(readonly vms: VmMachine[]) {}

  async start(): Promise<void> {
    const server = createServer((request, response) => {
      this.#answer(request, response).catch((error: unknown) => {
        process.stderr.write(`lease service: ${String(error)}\n`);
        response.writeHead(500, { 'content-type': 'application/problem+json' });
        response.end(JSON.stringify({ type: 'urn:vmpool:problem:internal', detail: String(error) }));
      });
    });
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(this.#port, '127.0.0.1', resolve));
    const address = server.address();
    if (typeof address === 'object' && address !== null) this.#port = address.port;
  }
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    if (server === null) return;
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  leaseOf(job: string): Lease | undefined {
    return this.leases.findLast((lease) => lease.body.job === job);
  }
  live(job: string): Lease[] {
    return this.leases.filter((lease) => lease.body.job === job && lease.state !== 'ended');
  }

  /** Gives VMs to who waits, first come first served. */
  grant(): void {
    this.paused = false;
    this.#grant();
  }
  #grant(): void {
    if (this.paused) return;
    for (const lease of this.leases.filter((one) => one.state === 'waiting')) {
      const vm = this.vms.find(
        (one) => !this.leases.some((other) => other.state === 'granted' && other.vm === one),
      );
      if (vm === undefined) break;
      Object.assign(lease, { vm, state: 'granted', detail: 'granted' });
      if (!this.slowStaging) this.#stage(lease);
    }
    this.#wake();
  }
  makeReady(): void {
    this.slowStaging = false;
    for (const lease of this.leases) if (lease.state === 'granted' && !lease.ready) this.#stage(lease);
    this.#wake();
  }
  #stage(lease: Lease): void {
    lease.vm?.stage(lease.body.user, lease.body.publicKey);
    lease.ready = true;
  }
  end(lease: Lease, detail: string): void {
    const { state, vm } = lease;
    Object.assign(lease, { state: 'ended', detail, ready: false });
    if (state === 'granted' && vm !== null) vm.scrub(lease.body.user);
    this.#grant();
  }
  #wake(): void {
    for (const wake of [...this.#waiters]) wake();
  }

  #view(lease: Lease): LeaseAnswer {
    const position = this.leases.filter((one) => one.state === 'waiting').indexOf(lease) + 1;
    return {
      ...{ id: lease.id, state: lease.state, worker: 'worker1', job: lease.body.job, detail: lease.detail },
      position: position > 0 ? position : null,
      ready: lease.ready,
      ...{ askedAt: '2026-01-01T00:00:00Z', grantedAt: null, capability: `cap-${lease.id}` },
      vm:
        lease.vm === null || lease.state === 'ended'
          ? null
          : {
              ...{
                member: `pool-${this.vms.indexOf(lease.vm) + 1}`,
                host: lease.vm.host,
                port: lease.vm.port,
              },
              ...{ hostKeys: [lease.vm.hostKey], user: lease.body.user.name, stack: null },
            },
    };
  }

  async #wait(lease: Lease, query: URLSearchParams): Promise<void> {
    const end = performance.now() + Number(query.get('wait') ?? 0) * 1000;
    const holds = (): boolean =>
      lease.state === 'ended' ||
      (lease.state === 'granted' && (query.get('until') !== 'ready' || lease.ready));
    while (!holds() && performance.now() < end) {
      let wake = (): void => undefined;
      await new Promise<void>((resolve) => {
        wake = resolve;
        this.#waiters.add(resolve);
        setTimeout(resolve, Math.max(1, end - performance.now()));
      });
      this.#waiters.delete(wake);
    }
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://service');
    this.calls.push({ method: request.method ?? '', path: url.pathname, at: performance.now() });
    if (this.mute) return;
    const parts: Buffer[] = [];
    for await (const part of request as AsyncIterable<Buffer>) parts.push(part);
    const body: unknown = parts.length === 0 ? null : JSON.parse(Buffer.concat(parts).toString());
    const send = (status: number, value: unknown): void => {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(value));
    };
    const problem = (status: number, code: string, detail: string): void =>
      send(status, { type: `urn:vmpool:problem:${code}`, title: code, status, detail });
    const bearer = (request.headers.authorization ?? '').replace(/^Bearer /, '');
    const [, , kind, id] = url.pathname.split('/');
    if (kind === 'leases' && id !== undefined) {
      const lease = this.leases.find((one) => one.id === id);
      if (lease === undefined) return problem(404, 'not-found', 'no such lease');
      if (bearer !== this.token && bearer !== `cap-${id}`) return problem(403, 'forbidden', 'not your lease');
      if (request.method === 'DELETE') {
        this.end(lease, 'given back');
        return send(200, { outcome: 'ended', detail: '' });
      }
      await this.#wait(lease, url.searchParams);
      return send(200, this.#view(lease));
    }
    if (bearer !== this.token) return problem(401, 'unauthorised', 'unknown token');
    if (this.refuseWith !== null)
      return problem(this.refuseWith.status, this.refuseWith.code, this.refuseWith.detail);
    if (kind === 'leases') {
      const lease = this.#request(leaseRequest.parse(body));
      if (typeof lease === 'string') return problem(409, lease, lease);
      if (lease === null)
        return problem(
          422,
          'unsatisfiable',
          `the flavor has ${this.maxProcessors} processors, the job asks for more`,
        );
      await this.#wait(lease, url.searchParams);
      return send(lease.state === 'granted' ? 201 : 202, this.#view(lease));
    }
    if (kind === 'releases') {
      const wanted = releaseRequest.parse(body);
      this.releases.push(wanted);
      const ended = this.live(wanted.job).filter(
        (lease) =>
          wanted.attempt === undefined ||
          JSON.stringify(wanted.attempt) === JSON.stringify(lease.body.attempt),
      );
      for (const lease of ended) this.end(lease, wanted.reason);
      return send(200, { outcome: ended.length > 0 ? 'ended' : 'nothing-to-end', detail: '' });
    }
    if (kind === 'sync') {
      this.syncs.push(syncRequest.parse(body));
      return send(200, { ended: [] });
    }
    if (kind === 'node') return send(200, this.node);
    return problem(404, 'not-found', 'no such page');
  }

  #request(body: LeaseRequest): Lease | 'stale-attempt' | 'rival-attempt' | null {
    if (body.processors > this.maxProcessors) return null;
    const id = createHash('sha256')
      .update(JSON.stringify([body.job, body.attempt]))
      .digest('hex')
      .slice(0, 24);
    const same = this.leases.find((lease) => lease.id === id);
    if (same !== undefined) return same.state === 'ended' ? 'stale-attempt' : same;
    const others = this.leases.filter((lease) => lease.body.job === body.job);
    if (others.some((lease) => lease.body.attempt.start > body.attempt.start)) return 'stale-attempt';
    if (this.live(body.job).length > 0) return 'rival-attempt';
    const lease: Lease = { id, body, state: 'waiting', vm: null, ready: false, detail: 'waits for a VM' };
    this.leases.push(lease);
    this.#grant();
    return lease;
  }
}
