import type { QuotaView, ServerView } from '../../src/cloud/port.js';
import { identityKeys } from '../../src/cloud/port.js';
import type { LeaseId, MemberName, ServerId } from '../../src/pool/model.js';
import type { Marker } from '../../src/guest/port.js';
import type { CellMember } from '../../src/engine/port.js';
import type { Agenda } from './agenda.js';
import type { Faults } from './faults.js';
import { Random, seedFor } from './random.js';

/** What is really on a VM. */
export interface SimGuest {
  answers: boolean;
  silentUntil: number;
  unfit: boolean;
  boot: number;
  hostKey: string;
  baseline: boolean;
  marker: Marker | null;
  /** The lease whose key opens the account. */
  staged: LeaseId | null;
  /** Leases that left accounts, files or keys. */
  traces: Set<LeaseId>;
  /** Attempts whose processes run there. */
  running: Map<LeaseId, { readonly job: string; readonly start: number }>;
}

export interface SimServer {
  readonly id: ServerId;
  readonly member: MemberName;
  readonly host: string;
  readonly createdAt: number;
  readonly metadata: Readonly<Record<string, string>>;
  status: string;
  fault: string | null;
  gone: boolean;
  guest: SimGuest;
}

export type CreateAnswer =
  | { readonly ok: true; readonly server: SimServer }
  | { readonly ok: false; readonly message: string; readonly whole: boolean };

/** An OpenStack with everything that is wrong with real ones. */
export class SimCloud {
  readonly servers = new Map<ServerId, SimServer>();
  readonly byHost = new Map<string, SimServer>();
  private readonly random: Random;
  private made = 0;
  private downUntil = 0;
  private restUntil = 0;
  private quota = Number.POSITIVE_INFINITY;
  private readonly snapshots: { at: number; views: ServerView[] }[] = [];
  /** Called before a server is deleted, by whomever. */
  onDelete: (server: SimServer, by: string) => void = () => undefined;
  /** Called with what the engine asks for, and with whether it got it. */
  onCreate: (member: CellMember, cell: string) => void = () => undefined;
  onAnswer: (ok: boolean) => void = () => undefined;

  constructor(
    private readonly agenda: Agenda,
    private readonly faults: Faults,
    seed: number,
    private readonly installation: string,
    private readonly pool: string,
  ) {
    this.random = new Random(seedFor(seed, 'cloud'));
  }

  live(): SimServer[] {
    return [...this.servers.values()].filter((s) => !s.gone);
  }

  setQuota(max: number): void {
    this.quota = this.faults.strikes('quota-low') ? Math.max(1, max - 2) : Number.POSITIVE_INFINITY;
  }

  /** How long it still asks to be left alone, as its answer to a call says; null when it does not. */
  restMs(): number | null {
    const rest = this.faults.over ? 0 : this.restUntil - this.agenda.now;
    return rest > 0 ? rest : null;
  }

  /** What it tells of the number of servers, true or not; null when the call fails. */
  readQuota(): QuotaView | null {
    if (!this.up()) return null;
    const limit = this.faults.over || this.quota === Number.POSITIVE_INFINITY ? null : this.quota;
    const used = this.live().length;
    const plenty = { used: 0, limit: null };
    const instances = this.faults.strikes('quota-misread')
      ? { used: this.random.between(0, used + 2), limit: this.random.between(0, 8) }
      : { used, limit };
    const none = { ports: null, floatingIps: null, volumes: null, volumeGiB: null };
    return { instances, cores: plenty, ramMiB: plenty, ...none };
  }

  /** Null when a call fails. */
  private up(): boolean {
    if (this.faults.over) return true;
    if (this.agenda.now < Math.max(this.downUntil, this.restUntil)) return false;
    if (this.faults.strikes('rate-limited')) {
      this.restUntil = this.agenda.now + this.random.between(1_000, 900_000);
      return false;
    }
    if (this.faults.strikes('cloud-down')) {
      this.downUntil = this.agenda.now + this.random.between(5_000, 120_000);
      return false;
    }
    return !this.faults.strikes('cloud-call-fails');
  }

  create(member: CellMember, cell: string): CreateAnswer {
    this.onCreate(member, cell);
    const answer = this.createOrRefuse(member, cell);
    this.onAnswer(answer.ok);
    return answer;
  }

  private createOrRefuse(member: CellMember, cell: string): CreateAnswer {
    if (!this.up()) return { ok: false, message: '503 from Nova', whole: true };
    if (!this.faults.over && this.live().length >= this.quota)
      return { ok: false, message: '403 quota exceeded', whole: false };
    if (this.faults.strikes('no-valid-host'))
      return { ok: false, message: 'no valid host was found', whole: false };
    const server = this.make(member, cell);
    if (this.faults.strikes('create-twice')) this.make(member, cell);
    return { ok: true, server };
  }

  private make(member: CellMember, cell: string): SimServer {
    this.made += 1;
    const n = this.made;
    const host = `10.0.${n >> 8}.${n & 255}`;
    const server: SimServer = {
      id: `server-${n}` as ServerId,
      member: member.name,
      host,
      createdAt: this.agenda.now,
      metadata: {
        [identityKeys.installation]: this.installation,
        [identityKeys.pool]: this.pool,
        [identityKeys.member]: member.name,
        [identityKeys.cell]: cell,
        [identityKeys.generation]: member.generation,
      },
      status: 'BUILD',
      fault: null,
      gone: false,
      guest: blank(`key-${n}`),
    };
    this.servers.set(server.id, server);
    this.byHost.set(host, server);
    if (this.faults.strikes('boot-stuck')) return server;
    const bootMs = this.random.between(1_000, 20_000);
    const fails = this.faults.strikes('boot-error');
    const silent = this.faults.strikes('boot-silent');
    server.guest.unfit = this.faults.strikes('boot-unfit');
    this.agenda.after(bootMs, () => {
      if (server.gone) return;
      if (fails) {
        server.status = 'ERROR';
        server.fault = 'no valid host was found';
        return;
      }
      server.status = 'ACTIVE';
      if (!silent) this.agenda.after(this.random.between(200, 8_000), () => (server.guest.answers = true));
    });
    return server;
  }

  private view(server: SimServer): ServerView {
    return {
      id: server.id,
      name: server.member,
      status: server.status,
      taskState: null,
      addresses: { net0: [{ address: server.host, version: 4, type: 'fixed' }] },
      metadata: server.metadata,
      fault: server.fault,
      createdAt: new Date(server.createdAt).toISOString(),
    };
  }

  /** Null when the call fails. */
  list(): { servers: ServerView[]; complete: boolean } | null {
    if (!this.up()) return null;
    const views = this.live().map((s) => this.view(s));
    this.snapshots.push({ at: this.agenda.now, views });
    if (this.snapshots.length > 12) this.snapshots.shift();
    if (this.faults.strikes('list-empty')) return { servers: [], complete: true };
    if (this.faults.strikes('list-stale'))
      return { servers: this.random.pick(this.snapshots)?.views ?? views, complete: true };
    if (this.faults.strikes('list-lies'))
      return { servers: views.filter(() => this.random.chance(0.6)), complete: true };
    if (this.faults.strikes('list-incomplete'))
      return { servers: views.filter(() => this.random.chance(0.6)), complete: false };
    return { servers: views, complete: true };
  }

  /** Undefined when the call fails, null for 404. */
  look(id: ServerId): ServerView | null | undefined {
    if (!this.up()) return undefined;
    const server = this.servers.get(id);
    return server === undefined || server.gone ? null : this.view(server);
  }

  /** False when the call fails. */
  delete(id: ServerId, by: string): boolean {
    if (!this.up()) return false;
    const server = this.servers.get(id);
    if (server === undefined || server.gone) return true;
    this.onDelete(server, by);
    // Nova takes its time, and shows the server meanwhile.
    this.agenda.after(this.random.between(100, 5_000), () => this.vanish(server));
    return true;
  }

  vanish(server: SimServer): void {
    server.gone = true;
    server.guest.answers = false;
    server.guest.running.clear();
    server.guest.traces.clear();
  }

  rebuild(id: ServerId): boolean {
    const server = this.servers.get(id);
    if (!this.up() || server === undefined || server.gone) return false;
    this.onDelete(server, 'rebuild');
    server.status = 'REBUILD';
    server.guest = { ...blank(`${server.guest.hostKey}r`), boot: server.guest.boot + 1 };
    this.agenda.after(this.random.between(2_000, 20_000), () => {
      if (server.gone) return;
      server.status = 'ACTIVE';
      this.agenda.after(this.random.between(200, 5_000), () => (server.guest.answers = true));
    });
    return true;
  }

  /** Once a second: what strikes machines that run. */
  misfortune(): void {
    for (const server of this.live()) {
      if (server.status !== 'ACTIVE' || !server.guest.answers) continue;
      const { guest } = server;
      if (this.faults.strikes('guest-silent'))
        guest.silentUntil = this.agenda.now + this.random.between(3_000, 400_000);
      if (this.faults.strikes('guest-reboots')) {
        guest.boot += 1;
        guest.running.clear();
        guest.silentUntil = this.agenda.now + 15_000;
      }
      if (this.faults.strikes('guest-foreign-marker') && guest.marker === null) {
        guest.marker = strangeMarker(this.random.between(1, 1e9));
      }
      if (this.faults.strikes('guest-forges-marker')) {
        // A job that became root writes the marker of another one that it has seen, seal and all: the seal is of another VM.
        const seen = this.live().flatMap((other) => (other === server ? [] : (other.guest.marker ?? [])));
        const [copied] = seen;
        if (guest.running.size > 0 && copied !== undefined) guest.marker = { ...copied, authentic: false };
      }
      if (this.faults.strikes('server-error')) {
        server.status = 'ERROR';
        server.fault = 'the hypervisor is gone';
        // Some servers in ERROR go on answering: a failed migration does that.
        if (this.random.chance(0.5)) this.stop(server);
      } else if (this.faults.strikes('server-stopped')) {
        server.status = 'SHUTOFF';
        this.stop(server);
      } else if (this.faults.strikes('server-vanishes')) this.vanish(server);
    }
  }

  private stop(server: SimServer): void {
    server.guest.silentUntil = Number.POSITIVE_INFINITY;
    server.guest.running.clear();
  }

  /** The guest behind an address, when it answers. */
  reach(host: string): SimGuest | null {
    const server = this.byHost.get(host);
    if (server === undefined || server.gone || !server.guest.answers) return null;
    return server.guest.silentUntil > this.agenda.now ? null : server.guest;
  }
}

function blank(hostKey: string): SimGuest {
  return {
    answers: false,
    silentUntil: 0,
    unfit: false,
    boot: 1,
    hostKey,
    baseline: false,
    marker: null,
    staged: null,
    traces: new Set(),
    running: new Map(),
  };
}

function strangeMarker(n: number): Marker {
  const user = { name: 'nobody', uid: 1, gid: 1, groups: [], home: '/', shell: '/bin/sh' };
  return {
    lease: `stranger-${n}` as LeaseId,
    key: { worker: 'elsewhere', job: `strange-${n}`, attempt: { start: 1, boot: 'x', pid: 1, ticks: 1 } },
    user,
    authentic: false,
  };
}
