import type { Cloud, FloatingIpView, Listing, ServerView } from '../../../src/cloud/port.js';
import { identityKeys } from '../../../src/cloud/port.js';
import type {
  CellState,
  CellWish,
  ConvergeResult,
  Engine,
  EngineEvent,
  PoolConfigInForce,
  PoolStackWish,
  PublishedMember,
  ServiceWish,
} from '../../../src/engine/port.js';
import type { Guest, GuestTarget, Marker, StageOrder } from '../../../src/guest/port.js';
import type { Book } from '../../../src/pool/book.js';
import type { Measured } from '../../../src/pool/measured.js';
import type { MemberName, ServerId } from '../../../src/pool/model.js';
import type { Log } from '../../../src/service/log.js';
import type { History, Store } from '../../../src/store/port.js';
import type { AccountLine, UsageJournal } from '../../../src/usage/journal.js';
import { StoreError } from '../../../src/store/port.js';
import { unlimitedQuota, viewOf } from '../pool/fixture.js';
import type { Deferred } from './manual-clock.js';
import { deferred } from './manual-clock.js';

/** Commits at once, on the test's order, or not at all. Those that wait become durable together, as on a disk. */
export class FakeStore implements Store<Book> {
  readonly committed: Book[] = [];
  holding = false;
  refusing = false;
  closed = false;
  private waiting: { readonly book: Book; readonly outcome: Deferred<void> }[] = [];

  commit(book: Book): Promise<void> {
    if (this.refusing) return Promise.reject(new StoreError('the disk is full', 'ENOSPC'));
    if (!this.holding) {
      this.committed.push(book);
      return Promise.resolve();
    }
    const outcome = deferred<void>();
    this.waiting.push({ book, outcome });
    return outcome.promise;
  }

  get held(): number {
    return this.waiting.length;
  }

  letGo(): void {
    this.holding = false;
    const group = this.waiting;
    this.waiting = [];
    const newest = group.at(-1);
    if (newest !== undefined) this.committed.push(newest.book);
    for (const { outcome } of group) outcome.resolve();
  }

  close(): Promise<void> {
    this.closed = true;
    return Promise.resolve();
  }
}

export class FakeHistory implements History {
  readonly entries: { readonly at: number; readonly kind: string; readonly [key: string]: unknown }[] = [];
  closed = false;

  append(entry: { readonly at: number; readonly kind: string }): void {
    this.entries.push(entry);
  }

  close(): Promise<void> {
    this.closed = true;
    return Promise.resolve();
  }
}

/** The account of ended leases, in memory. */
export class FakeUsage implements UsageJournal {
  readonly lines: AccountLine[] = [];
  closed = false;

  append(line: AccountLine): void {
    this.lines.push(line);
  }

  async *read(since: number, until: number): AsyncIterable<AccountLine> {
    await Promise.resolve();
    yield* this.lines.filter(({ at }) => at >= since && at < until);
  }

  close(): Promise<void> {
    this.closed = true;
    return Promise.resolve();
  }
}

/** Servers in memory. A test puts a function in the place of what is to go otherwise. */
export class FakeCloud implements Cloud {
  readonly servers = new Map<ServerId, ServerView>();
  readonly deleted: ServerId[] = [];
  readonly rebuilt: ServerId[] = [];
  /** What every console log says. */
  console = '';
  consoleReads = 0;
  onConsole: () => Promise<string> = () => Promise.resolve(this.console);
  processors = 4;
  absent = new Set<string>();
  onList: () => Promise<Listing> = () =>
    Promise.resolve({ servers: [...this.servers.values()], complete: true });
  onServer: (id: ServerId, signal: AbortSignal) => Promise<ServerView | null> = (id) =>
    Promise.resolve(this.servers.get(id) ?? null);
  onDelete: (id: ServerId) => Promise<void> = (id) => {
    this.servers.delete(id);
    return Promise.resolve();
  };

  /** Ids of images by name, where they differ. */
  readonly imageIds = new Map<string, string>();
  imageStatus = 'active';
  onChanged: () => Promise<Listing> = () => this.onList();

  listOurs(): Promise<Listing> {
    return this.onList();
  }

  listChanged(): Promise<Listing> {
    return this.onChanged();
  }

  server(id: ServerId, signal: AbortSignal): Promise<ServerView | null> {
    return this.onServer(id, signal);
  }

  deleteServer(id: ServerId): Promise<void> {
    this.deleted.push(id);
    return this.onDelete(id);
  }

  rebuildServer(id: ServerId): Promise<void> {
    this.rebuilt.push(id);
    return Promise.resolve();
  }

  consoleLog(): Promise<string> {
    this.consoleReads += 1;
    return this.onConsole();
  }

  quota(): ReturnType<Cloud['quota']> {
    return Promise.resolve(unlimitedQuota);
  }

  /** Floating IPs with this installation's description. */
  readonly addresses = new Map<string, FloatingIpView>();
  addressListings = 0;

  floatingIps(): ReturnType<Cloud['floatingIps']> {
    this.addressListings += 1;
    return Promise.resolve([...this.addresses.values()]);
  }

  floatingIp(id: string): ReturnType<Cloud['floatingIp']> {
    return Promise.resolve(this.addresses.get(id) ?? null);
  }

  releaseFloatingIp(id: string): Promise<void> {
    this.addresses.delete(id);
    return Promise.resolve();
  }

  actions(): ReturnType<Cloud['actions']> {
    return Promise.resolve([]);
  }

  private found<T>(
    name: string,
    value: T,
  ): Promise<{ found: true; value: T } | { found: false; why: string }> {
    return Promise.resolve(
      this.absent.has(name) ? { found: false, why: `there is no ${name}` } : { found: true, value },
    );
  }

  tagsAtCreate(): Promise<boolean> {
    return Promise.resolve(true);
  }

  flavor(name: string): ReturnType<Cloud['flavor']> {
    return this.found(name, { id: name, name, vcpus: this.processors, ramMiB: 1024 });
  }

  image(name: string): ReturnType<Cloud['image']> {
    return this.found(name, { id: this.imageIds.get(name) ?? name, name, status: this.imageStatus });
  }

  network(name: string): ReturnType<Cloud['network']> {
    return this.found(name, { id: name, name });
  }
}

export interface Run {
  readonly wish: CellWish;
  readonly emit: (event: EngineEvent) => void;
  readonly signal: AbortSignal;
  readonly end: (result: ConvergeResult) => void;
  readonly fail: (error: Error) => void;
}

/** Each converge is a `Run` that the test ends, or that ends by itself with what it was asked for (`automatic`). */
export class FakeEngine implements Engine {
  readonly runs: Run[] = [];
  readonly published: (readonly PublishedMember[])[] = [];
  automatic = false;
  outputs: unknown = null;
  closed = false;
  publishFailure: Error | null = null;
  /** What it finds in its backend. */
  found: Awaited<ReturnType<Engine['cells']>> | Error = [];
  looks = 0;
  private made = 0;

  constructor(private readonly cloud: FakeCloud) {}

  converge(wish: CellWish, emit: (event: EngineEvent) => void, signal: AbortSignal): Promise<ConvergeResult> {
    const outcome = deferred<ConvergeResult>();
    const run: Run = { wish, emit, signal, end: outcome.resolve, fail: outcome.reject };
    this.runs.push(run);
    if (this.automatic) this.finish(run);
    return outcome.promise;
  }

  /** Does what the run was asked for. */
  finish({ wish, emit, end }: Run): void {
    const { cell } = wish;
    const instances: CellState['instances'] = wish.members.map(({ name }) => ({
      member: name,
      serverId: this.serverOf(name) ?? this.make(name, cell),
    }));
    for (const { member, serverId } of instances)
      emit({ type: 'created', cell, member, serverId, addresses: {} });
    for (const member of wish.retire) {
      const id = this.serverOf(member);
      if (id !== null) this.cloud.servers.delete(id);
      emit({ type: 'removed', cell, member });
    }
    end({ ok: true, state: { instances, lostCreates: [], unlisted: [] } });
  }

  serverOf(member: MemberName): ServerId | null {
    const all = [...this.cloud.servers.values()];
    return all.find((server) => server.metadata[identityKeys.member] === member)?.id ?? null;
  }

  private make(member: MemberName, cell: string): ServerId {
    this.made += 1;
    const view = viewOf(member, `server-${String(this.made)}`, { cell });
    this.cloud.servers.set(view.id, view);
    return view.id;
  }

  poolOutputs(): Promise<unknown> {
    return this.outputs instanceof Error ? Promise.reject(this.outputs) : Promise.resolve(this.outputs);
  }

  cells(): ReturnType<Engine['cells']> {
    this.looks += 1;
    return this.found instanceof Error ? Promise.reject(this.found) : Promise.resolve(this.found);
  }

  /** As Pulumi would: an update changes what is in force; the outputs are the test's. */
  config: PoolConfigInForce | null = null;
  onUpdatePool: (wish: PoolStackWish) => Promise<void> = (wish) => {
    this.config = { config: wish.config, encrypted: [], message: wish.message, at: `${String(this.made++)}` };
    return Promise.resolve();
  };
  poolConfig(): Promise<PoolConfigInForce | null> {
    return Promise.resolve(this.config);
  }

  updatePool(wish: PoolStackWish): Promise<void> {
    return this.onUpdatePool(wish);
  }

  publishSummary(members: readonly PublishedMember[]): Promise<void> {
    if (this.publishFailure !== null) return Promise.reject(this.publishFailure);
    this.published.push(members);
    return Promise.resolve();
  }

  readonly serviceWishes: ServiceWish[] = [];
  readonly removedServices: string[] = [];
  existingServices: readonly string[] = [];
  /** Answers the next updates of services; by default each is done at once. */
  onService: (wish: ServiceWish, signal: AbortSignal) => Promise<void> = () => Promise.resolve();

  updateService(wish: ServiceWish, signal: AbortSignal): Promise<void> {
    this.serviceWishes.push(wish);
    return this.onService(wish, signal);
  }

  removeService(service: string): Promise<void> {
    this.removedServices.push(service);
    return Promise.resolve();
  }

  listServices(): Promise<readonly string[]> {
    return Promise.resolve(this.existingServices);
  }

  preview(): ReturnType<Engine['preview']> {
    return Promise.resolve({ changes: {}, text: '' });
  }

  close(): Promise<void> {
    this.closed = true;
    return Promise.resolve();
  }
}

/** VMs that always answer and keep their markers, until a test says otherwise. */
export class FakeGuest implements Guest {
  readonly calls: string[] = [];
  readonly markers = new Map<MemberName, Marker>();
  closed = false;
  onKnock: (target: GuestTarget, signal: AbortSignal) => ReturnType<Guest['knock']> = () =>
    Promise.resolve({ ok: true });
  onProbe: (target: GuestTarget, signal: AbortSignal) => ReturnType<Guest['probe']> = ({ member }) =>
    Promise.resolve({
      ok: true,
      hostKeys: ['ssh-ed25519 AAAA'],
      marker: this.markers.get(member) ?? null,
      bootId: 'boot',
    });
  onStage: (target: GuestTarget, order: StageOrder, signal: AbortSignal) => ReturnType<Guest['stage']> = (
    { member },
    { lease, key, user },
  ) => {
    this.markers.set(member, { lease, key, user, authentic: true });
    return Promise.resolve({ ok: true });
  };
  onScrub: (target: GuestTarget, signal: AbortSignal) => ReturnType<Guest['scrub']> = ({ member }) => {
    this.markers.delete(member);
    return Promise.resolve({ ok: true });
  };

  /** What every job has used. */
  measured: Measured | null = null;

  private called(what: string, member: string): void {
    this.calls.push(`${what} ${member}`);
  }

  count(what: string): number {
    return this.calls.filter((call) => call.startsWith(`${what} `)).length;
  }

  probe(target: GuestTarget, signal: AbortSignal): ReturnType<Guest['probe']> {
    this.called('probe', target.member);
    return this.onProbe(target, signal);
  }

  knock(target: GuestTarget, signal: AbortSignal): ReturnType<Guest['knock']> {
    this.called('knock', target.member);
    return this.onKnock(target, signal);
  }

  contract(target: GuestTarget): ReturnType<Guest['contract']> {
    this.called('contract', target.member);
    return Promise.resolve({ ok: true });
  }

  takeBaseline(target: GuestTarget): ReturnType<Guest['takeBaseline']> {
    this.called('baseline', target.member);
    return Promise.resolve({ ok: true });
  }

  stage(target: GuestTarget, order: StageOrder, signal: AbortSignal): ReturnType<Guest['stage']> {
    this.called('stage', target.member);
    return this.onStage(target, order, signal);
  }

  scrub(target: GuestTarget, _lease: unknown, signal: AbortSignal): ReturnType<Guest['scrub']> {
    this.called('scrub', target.member);
    return this.onScrub(target, signal);
  }

  measure(target: GuestTarget): ReturnType<Guest['measure']> {
    this.called('measure', target.member);
    return Promise.resolve(this.measured);
  }

  forget(member: MemberName): Promise<void> {
    this.called('forget', member);
    return Promise.resolve();
  }

  keepOnly(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.closed = true;
    return Promise.resolve();
  }
}

export interface FakeLog extends Log {
  readonly lines: string[];
}

export function fakeLog(): FakeLog {
  const lines: string[] = [];
  const write =
    (level: string) =>
    (fields: object, message: string): void => {
      lines.push(`${level} ${message} ${JSON.stringify(fields)}`);
    };
  return { lines, debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };
}
