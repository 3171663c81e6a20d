import { Table } from '../../src/table.js';
import { createHash, randomBytes } from 'node:crypto';
import type { LeaseRequest, LeaseView, NodeView, ReleaseRequest, SyncRequest } from '../../src/http/api.js';
import { createHttpServer, type HttpConfig, type HttpServer } from '../../src/http/server.js';
import { emptyBook, type Context, type Member } from '../../src/pool/book.js';
import { limitsText, parseMeasured } from '../../src/guest/measured.js';
import type { Measured } from '../../src/pool/measured.js';
import type { CellName, InstallationId, MemberName, ServerId, Shape, VmState } from '../../src/pool/model.js';
import { defaultPolicy } from '../../src/pool/policy.js';
import { workOf, type Work } from '../../src/pool/work.js';
import type { ClassSettings } from '../../src/config/class-settings.js';
import { standingIn } from '../../src/pool/elsewhere.js';
import type { ClassedPool } from '../../src/service/classes/classed-pool.js';
import { createClassedService } from '../../src/service/classes/service.js';
import { BookKeeper } from '../../src/service/book-keeper.js';
import { poolClock } from '../../src/service/clock.js';
import type { Log } from '../../src/service/log.js';
import { createPoolService } from '../../src/service/pool-service.js';
import { summed } from '../../src/usage/sum.js';
import { Recent } from '../../src/service/recent.js';
import type { PoolService } from '../../src/service/port.js';
import type { VmMachine } from '../mom/vm-machine.js';

/** Work that cannot be done only shows in a failing test's output. */
const tell = (fields: object, message: string): void => {
  process.stderr.write(`lease service: ${message} ${JSON.stringify(fields)}\n`);
};
const silent = (): void => undefined;
const log: Log = { debug: silent, info: silent, warn: tell, error: tell };

export interface Call {
  readonly method: string;
  readonly path: string;
}

/** A request that was accepted, and what has become of it. */
export class Lease {
  constructor(
    readonly id: string,
    readonly body: LeaseRequest,
    private readonly view: (id: string) => LeaseView | null,
    private readonly machine: (member: string) => VmMachine | undefined,
  ) {}
  get state(): LeaseView['state'] {
    return this.view(this.id)?.state ?? 'ended';
  }
  get ready(): boolean {
    return this.view(this.id)?.ready ?? false;
  }
  get detail(): string {
    return this.view(this.id)?.detail ?? '';
  }
  get vm(): VmMachine | undefined {
    return this.machine(this.view(this.id)?.vm?.member ?? '');
  }
}

const generation = 'g1';
const elsewhere = 'another-worker';

/**
 * The lease service itself (its core, its routes, its HTTP server) over VMs that are simply there: what makes
 * and ends VMs is left out, an account and a key are all that a VM is made ready with.
 */
export class LeaseService {
  readonly token = 'the-token-of-worker1-of-these-tests';
  readonly leases: Lease[] = [];
  /** Ids of leases that a lost store no longer knows. */
  readonly forgotten = new Set<string>();
  readonly releases: ReleaseRequest[] = [];
  readonly syncs: SyncRequest[] = [];
  readonly calls: Call[] = [];
  /** No answer at all. */
  mute = false;
  /** Granted, but not ready until `makeReady()`. */
  slowStaging = false;
  readonly #keeper: BookKeeper;
  readonly #service: PoolService;
  readonly #clock = poolClock(0);
  readonly #context = (): Context => ({
    now: this.#clock.now(),
    suffix: () => randomBytes(2).toString('hex'),
    policy: defaultPolicy,
    workers: ['worker1'],
  });
  #node: NodeView | null = null;
  #server: HttpServer | null = null;
  #port = 0;
  #url = '';
  #scheduled = false;
  #timer: NodeJS.Timeout | null = null;
  #taken: string[] = [];

  constructor(
    readonly vms: readonly VmMachine[],
    private readonly tls: { readonly cert: string; readonly key: string } | null = null,
    processors = 64,
    /** With the rule of a class, the way to it in front: a request that it does not fit is refused. */
    rule: ClassSettings | null = null,
  ) {
    const now = this.#clock.now();
    const spec = {
      ...{ flavor: 'f', image: 'i', networks: ['n'], sshNetwork: 'n', siteNetwork: 'n', securityGroups: [] },
      ...{ availabilityZones: [], userData: '#', metadata: {}, configDrive: false, bootVolumeGiB: null },
      ...{ floatingIpPool: null, serverGroupPolicy: null },
    };
    const size = Math.max(1, vms.length);
    const shape: Shape = { min: vms.length, max: size, spare: 0, maxAgeMs: null, spec, generation };
    const members = vms.map((vm, index): Member => {
      const name = `pool-${index + 1}` as MemberName;
      const state: VmState = { kind: 'Free', since: now };
      return {
        ...{ name, cell: 'c001' as CellName, seq: index + 1, bornAt: now, generation, spec, state },
        ...{ engine: 'managed', server: { id: `server-${index + 1}` as ServerId, status: 'ACTIVE' } },
        ...{ endpoint: { host: vm.host, port: vm.port }, hostKeys: [vm.hostKey], bootId: null },
        ...{ tenant: null, retire: null, hold: null },
      };
    });
    const book = {
      ...emptyBook('00000000-0000-4000-8000-000000000000' as InstallationId, 'pool', now),
      ...{ shape, seq: vms.length, cells: ['c001' as CellName] },
      members: Table.of(members.map((member) => [member.name, member] as const)),
    };
    const context = this.#context;
    const done = (): Promise<void> => Promise.resolve();
    this.#keeper = new BookKeeper(book, { commit: done, close: done }, context, silent, log);
    this.#keeper.watch(() => this.#kick());
    const service = createPoolService({
      ...{
        keeper: this.#keeper,
        context,
        version: 'test',
        recent: new Recent(),
        capabilitySecret: randomBytes(32),
      },
      usage: (wish) => summed([], wish),
      changeConfig: () => Promise.reject(new Error('there is no Pulumi here')),
      adopt: () => Promise.resolve({ kind: 'refused', code: 'unavailable', detail: 'has no stack' }),
      services: () => [],
      consoleLog: () => Promise.resolve(''),
      history: () => Promise.resolve([]),
      flavorProcessors: () => processors,
    });
    this.#service = rule === null ? service : this.#classed(service, rule, processors);
  }

  #classed(service: PoolService, rule: ClassSettings, processors: number): PoolService {
    const pool: ClassedPool['pool'] = {
      ...{ service, metrics: () => Promise.resolve(''), notReady: () => null },
      flavor: () => ({ processors, memory: 8 * 2 ** 30 }),
      standing: (key) => standingIn(this.#keeper.durable(), key, this.#clock.now()),
      usageLines: async function* () {
        // No account is kept here.
      },
      ...{ followed: () => null, figures: () => ({ pool: rule.pool, figures: [] }) },
      ...{ configure: silent, stop: () => Promise.resolve() },
    };
    return createClassedService([{ rule, pool }], this.#clock);
  }

  /** Are jobs measured on their VMs, and what did they use, in the order in which they ended? */
  meters = false;
  readonly measured: (Measured | null)[] = [];

  /** Many changes in a row are one look. */
  #kick(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      for (const item of workOf(this.#keeper.durable(), this.#context())) void this.#do(item);
    });
  }
  async #do(item: Work): Promise<void> {
    if (item.kind === 'stage') {
      const mine = item.order.key.worker !== elsewhere;
      if (mine && this.slowStaging) return;
      if (mine) this.machine(item.member)?.stage(item.order.user, item.order.publicKey);
      if (mine && this.meters)
        this.machine(item.member)?.meter(item.order.user, limitsText(item.order.limits ?? {}));
      await this.#keeper.dispatch({ type: 'staged', lease: item.order.lease, result: { ok: true } });
    }
    if (item.kind === 'scrub') {
      const job = this.leases.find((lease) => lease.id === item.lease);
      let why: string | null = null;
      try {
        if (job !== undefined && this.meters)
          this.measured.push(parseMeasured(this.machine(item.member)?.metered() ?? ''));
        if (job !== undefined) this.machine(item.member)?.scrub(job.body.user);
      } catch (error) {
        why = String(error);
      }
      const result =
        why === null
          ? ({ ok: true } as const)
          : ({ ok: false, kind: 'unreachable', why, findings: [] } as const);
      await this.#keeper.dispatch({ type: 'scrubbed', member: item.member, bootId: null, result });
    }
  }

  /** The pool as its routes have it, with a record of what came. */
  #recorded(): PoolService {
    const service = this.#service;
    const heard = async <T>(method: string, path: string, answer: () => T | Promise<T>): Promise<T> => {
      this.calls.push({ method, path });
      return this.mute ? new Promise<T>(() => undefined) : answer();
    };
    return {
      ...service,
      request: (worker, body) =>
        heard('POST', '/v1/leases', async () => {
          const answer = await service.request(worker, body);
          if (answer.kind === 'done' && !this.leases.some((lease) => lease.id === answer.value.id))
            this.leases.push(
              new Lease(
                answer.value.id,
                body,
                (id) => service.lease(id),
                (name) => this.machine(name),
              ),
            );
          return answer;
        }),
      waitFor: (...args) =>
        heard('GET', `/v1/leases/${args[0]}?until=${args[1]}`, () =>
          this.forgotten.has(args[0]) ? null : service.waitFor(...args),
        ),
      release: (worker, body) =>
        heard('POST', '/v1/releases', () => {
          this.releases.push(body);
          return service.release(worker, body);
        }),
      sync: (worker, body) =>
        heard('POST', '/v1/sync', () => {
          this.syncs.push(body);
          return service.sync(worker, body);
        }),
      node: (worker) => this.#node ?? service.node(worker),
    };
  }

  async start(): Promise<void> {
    const sha256 = createHash('sha256').update(this.token).digest('hex');
    const config: HttpConfig = {
      listen: { host: '127.0.0.1', port: this.#port, ...(this.tls === null ? {} : { tls: this.tls }) },
      auth: { tokens: [{ name: 'worker1', role: 'worker', worker: 'worker1', sha256 }] },
      limits: { bodyBytes: 262_144, failedAuthPerMinute: 1000, maxWait: 60_000, connections: 500 },
    };
    const server = createHttpServer({
      config,
      service: this.#recorded(),
      clock: this.#clock,
      log: { ...log, warn: silent },
    });
    this.#server = server;
    const { url, port } = await server.listen();
    this.#port = port;
    this.#url = url;
    this.#timer = setInterval(() => void this.#keeper.dispatch({ type: 'tick' }), 100);
  }
  async stop(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    const server = this.#server;
    this.#server = null;
    await server?.close(0);
  }
  get url(): string {
    return this.#url;
  }

  machine(member: string): VmMachine | undefined {
    return this.vms[Number(member.replace('pool-', '')) - 1];
  }
  member(name: string): Member | undefined {
    return this.#keeper.durable().book.members.get(name);
  }
  leaseOf(job: string): Lease | undefined {
    return this.leases.findLast((lease) => lease.body.job === job);
  }
  live(job: string): Lease[] {
    return this.leases.filter((lease) => lease.body.job === job && lease.state !== 'ended');
  }
  /** The jobs of all that live. */
  liveJobs(): string[] {
    return this.leases.filter((one) => one.state !== 'ended').map((one) => one.body.job);
  }

  /** What the node check is told; null: what the pool says. */
  set node(view: NodeView | null) {
    this.#node = view;
  }

  /** Takes every VM for jobs of another worker, until `grant()`. */
  pause(): void {
    const user = { name: 'other', uid: 65_000, gid: 65_000, groups: [], home: '/', shell: '/bin/sh' };
    for (const [index] of this.vms.entries()) {
      const attempt = { start: 1, boot: 'b', pid: index + 2, ticks: 1 };
      const key = { worker: elsewhere, job: `${index}.elsewhere.${this.#taken.length}`, attempt };
      this.#taken.push(key.job);
      const ask = { key, user, publicKey: '', processors: 1, queue: '', jobName: '' };
      void this.#keeper.dispatch({ type: 'ask', ask });
    }
  }
  /** Lets who waits have the VMs, first come first served. */
  grant(): void {
    for (const job of this.#taken.splice(0))
      void this.#keeper.dispatch({
        type: 'release',
        release: { worker: elsewhere, job, attempt: null, reason: 'over', holdFor: null },
      });
  }
  makeReady(): void {
    this.slowStaging = false;
    this.#kick();
  }
  /** A VM that is given up: the engine has let go of it, and the cloud no longer has it. */
  async gone(name: string): Promise<void> {
    const member = this.member(name);
    if (member?.server === undefined || member.server === null) throw new Error(`there is no VM ${name}`);
    await this.#service.retire(name, 'it does not answer', 'tester');
    const event = { type: 'removed', cell: member.cell, member: member.name } as const;
    await this.#keeper.dispatch({ type: 'engine', event });
    await this.#keeper.dispatch({ type: 'looked', member: member.name, id: member.server.id, view: null });
  }
  /** As an operator ends it. */
  async end(lease: Lease, reason: string): Promise<void> {
    await this.#keeper.dispatch({ type: 'releaseById', id: lease.id, reason });
  }
}
