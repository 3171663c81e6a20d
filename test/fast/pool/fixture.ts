import type { QuotaView, ServerView } from '../../../src/cloud/port.js';
import { identityKeys } from '../../../src/cloud/port.js';
import type { CellState, CellWish } from '../../../src/engine/port.js';
import type { Book, Context, Member, Note, State } from '../../../src/pool/book.js';
import { emptyBook, emptySight } from '../../../src/pool/book.js';
import { leaseIdOf } from '../../../src/pool/ids.js';
import type { Ask } from '../../../src/pool/leases.js';
import type { Measured } from '../../../src/pool/measured.js';
import type {
  Attempt,
  CellName,
  InstallationId,
  LeaseId,
  LeaseKey,
  MemberName,
  MemberSpec,
  ServerId,
  Shape,
} from '../../../src/pool/model.js';
import { placeOf } from '../../../src/pool/members.js';
import type { Policy } from '../../../src/pool/policy.js';
import { defaultPolicy } from '../../../src/pool/policy.js';
import { decisions, type Decision } from '../../../src/pool/reasons.js';
import { decisionReasons } from '../../../src/reference/states.js';
import type { Outcome, PoolEvent } from '../../../src/pool/step.js';
import { step } from '../../../src/pool/step.js';
import type { Work } from '../../../src/pool/work.js';
import { bringsWork, workOf } from '../../../src/pool/work.js';

export const epoch = 1_000_000;

export function specOf(generation: string): MemberSpec {
  return {
    flavor: generation,
    image: 'image',
    networks: ['net0'],
    sshNetwork: 'net0',
    siteNetwork: 'net0',
    securityGroups: [],
    availabilityZones: [],
    userData: '#',
    metadata: {},
    configDrive: false,
    bootVolumeGiB: null,
    floatingIpPool: null,
    serverGroupPolicy: null,
  };
}

export function shapeOf(patch: Partial<Shape> = {}): Shape {
  const generation = patch.generation ?? 'g1';
  return { min: 0, max: 4, spare: 0, maxAgeMs: null, spec: specOf(generation), generation, ...patch };
}

export function attempt(start: number, pid = start): Attempt {
  return { start, boot: 'boot', pid, ticks: pid };
}

export function keyOf(job: string, a: Attempt = attempt(1), worker = 'w1'): LeaseKey {
  return { worker, job, attempt: a };
}

const user = { name: 'u', uid: 1000, gid: 1000, groups: [], home: '/home/u', shell: '/bin/sh' };

export function askOf(key: LeaseKey): Ask {
  return { key, user, publicKey: 'ssh-ed25519 A', processors: 1, queue: 'batch', jobName: 'j' };
}

export function viewOf(
  member: string,
  id: string,
  patch: Partial<Omit<ServerView, 'id'>> & { cell?: string; pool?: string } = {},
): ServerView {
  const { cell, pool, ...rest } = patch;
  return {
    id: id as ServerId,
    name: member,
    status: 'ACTIVE',
    taskState: null,
    addresses: { net0: [{ address: `10.0.0.${id.length}`, version: 4, type: 'fixed' }] },
    metadata: {
      [identityKeys.pool]: pool ?? 'p',
      [identityKeys.member]: member,
      ...(cell === '' ? {} : { [identityKeys.cell]: cell ?? 'c001' }),
      [identityKeys.generation]: 'g1',
    },
    fault: null,
    createdAt: new Date(epoch).toISOString(),
    ...rest,
  };
}

/** What a cloud tells that has Nova alone and sets no limit. */
export const unlimitedQuota: QuotaView = {
  instances: { used: 0, limit: null },
  cores: { used: 0, limit: null },
  ramMiB: { used: 0, limit: null },
  ports: null,
  floatingIps: null,
  volumes: null,
  volumeGiB: null,
};

/** What a step decided of the VMs, by the book alone: `made p-0001-a`. */
function decidedIn(before: State, after: State): string[] {
  return after.book.members.values().flatMap((member): string[] => {
    const old = before.book.members.get(member.name);
    const made = old === undefined ? [`made ${member.name}`] : [];
    const place = placeOf(member.state);
    if (old !== undefined && placeOf(old.state) === place && old.tenant?.lease === member.tenant?.lease)
      return made;
    const what: Partial<Record<string, Decision>> = {
      Busy: 'leased',
      scrubbing: 'scrubbed',
      deleting: 'ended',
    };
    const decision = what[place];
    return decision === undefined ? made : [...made, `${decision} ${member.name}`];
  });
}

/** Whatever made, leased, scrubbed or ended a VM is noted as a decision, with a reason that the reference explains. */
function expectReasons(before: State, after: State, notes: readonly Note[]): void {
  const told = notes.flatMap((note) =>
    note.decision === undefined ? [] : [{ ...note, decision: note.decision }],
  );
  for (const { decision, reason, member, detail } of told) {
    const words = decisions.includes(decision) ? Object.entries<string>(decisionReasons[decision]) : [];
    if (member === undefined || detail === '' || !words.some(([word, why]) => word === reason && why !== ''))
      throw new Error(`${decision} ${member ?? '?'} for no known reason: ${reason ?? ''}: ${detail}`);
  }
  const known = new Set(told.map(({ decision, member }) => `${decision} ${member ?? ''}`));
  const untold = decidedIn(before, after).filter((decision) => !known.has(decision));
  if (untold.length > 0) throw new Error(`no reason is told of: ${untold.join(', ')}`);
}

/** A pool in a test: one state, one clock, and the core's own steps. */
export class Pool {
  state: State;
  now = epoch;
  policy: Policy;
  workers: string[] = ['w1'];
  notes: Note[] = [];
  private suffixes = 0;

  constructor(shape: Shape | null = shapeOf(), policy: Partial<Policy> = {}) {
    // A test that says how large a cell is means every cell.
    const { cellSize: bulkCellSize } = { ...defaultPolicy, ...policy };
    this.policy = { ...defaultPolicy, bulkCellSize, ...policy };
    this.state = { book: emptyBook('i' as InstallationId, 'p', this.now), sight: emptySight };
    if (shape !== null) this.adopt(shape);
  }

  get book(): Book {
    return this.state.book;
  }

  context(): Context {
    return {
      now: this.now,
      suffix: () => `s${(this.suffixes += 1)}`,
      policy: this.policy,
      workers: this.workers,
    };
  }

  event(event: PoolEvent): Outcome {
    const before = this.state;
    const stepped = step(before, event, this.context());
    this.state = stepped.state;
    this.expectNothingMissed(before, event);
    expectReasons(before, stepped.state, stepped.notes);
    this.notes.push(...stepped.notes);
    return stepped.outcome;
  }

  /** The service does not look for work after what is said to bring none. */
  private expectNothingMissed(before: State, event: PoolEvent): void {
    if (bringsWork(before, this.state)) return;
    const known = new Set(workOf(before, this.context()).map(({ kind, key }) => `${kind} ${key}`));
    const missed = this.work().filter(({ kind, key }) => !known.has(`${kind} ${key}`));
    if (missed.length > 0)
      throw new Error(`${event.type} brought ${missed.map(({ key }) => key).join()} unnoticed`);
  }

  pass(ms: number): this {
    this.now += ms;
    this.event({ type: 'tick' });
    return this;
  }

  adopt(shape: Shape): void {
    this.event({ type: 'adopt', shape });
  }

  ask(key: LeaseKey): LeaseId {
    this.event({ type: 'ask', ask: askOf(key) });
    return leaseIdOf(key);
  }

  asked(key: LeaseKey): string {
    const outcome = this.event({ type: 'ask', ask: askOf(key) });
    if (outcome.type !== 'ask') throw new Error(outcome.type);
    return outcome.outcome.kind === 'accepted' ? 'accepted' : outcome.outcome.code;
  }

  release(key: LeaseKey, holdFor: string | null = null): readonly string[] {
    const outcome = this.event({
      type: 'release',
      release: { worker: key.worker, job: key.job, attempt: key.attempt, reason: 'done', holdFor },
    });
    if (outcome.type !== 'release') throw new Error(outcome.type);
    return outcome.outcome.ended;
  }

  work(kind?: Work['kind']): Work[] {
    const all = workOf(this.state, this.context());
    return kind === undefined ? all : all.filter((w) => w.kind === kind);
  }

  members(): Member[] {
    return this.book.members.values().toSorted((a, b) => a.seq - b.seq);
  }

  member(index = 0): Member {
    const member = this.members()[index];
    if (member === undefined) throw new Error(`there is no member ${index}`);
    return member;
  }

  places(): string[] {
    return this.members().map((m) => (m.state.kind === 'Unusable' ? m.state.reason : m.state.kind));
  }

  place(name: string): string {
    const state = this.book.members.get(name)?.state;
    return state === undefined ? 'gone' : state.kind === 'Unusable' ? state.reason : state.kind;
  }

  /** Nova shows every member that is not on its way out, under the server `s-<name>`. */
  list(patch: Record<string, Partial<Omit<ServerView, 'id'>>> = {}, complete = true): void {
    const servers = this.members().map((m) => viewOf(m.name, m.server?.id ?? `s-${m.name}`, patch[m.name]));
    this.event({ type: 'listed', servers, complete });
  }

  welcome(name: MemberName): void {
    this.event({
      type: 'welcomed',
      member: name,
      result: { kind: 'welcomed', hostKeys: ['k'], bootId: 'b1' },
    });
  }

  /** Everything that is being built comes up. */
  boot(): this {
    this.list();
    for (const m of this.members()) {
      if (this.place(m.name) !== 'building') continue;
      const serverId = m.server?.id ?? (`s-${m.name}` as ServerId);
      this.event({
        type: 'engine',
        event: { type: 'created', cell: m.cell, member: m.name, serverId, addresses: {} },
      });
      this.welcome(m.name);
    }
    return this;
  }

  probe(
    name: MemberName,
    marker: LeaseKey | null = null,
    bootId = 'b1',
    authentic = true,
    measured: Measured | null = null,
  ): void {
    this.event({
      type: 'probed',
      member: name,
      result: {
        ok: true,
        hostKeys: ['k'],
        ...{ bootId, measured },
        marker: marker === null ? null : { lease: leaseIdOf(marker), key: marker, user, authentic },
      },
    });
  }

  silence(name: MemberName, step: 'tcp' | 'host-key' = 'tcp'): void {
    this.event({ type: 'probed', member: name, result: { ok: false, step, why: 'no answer' } });
  }

  stage(lease: LeaseId): void {
    this.event({ type: 'staged', lease, result: { ok: true } });
  }

  scrub(name: MemberName): void {
    this.event({ type: 'scrubbed', member: name, result: { ok: true }, bootId: 'b1' });
  }

  look(name: MemberName, view: ServerView | null): void {
    const id = this.book.members.get(name)?.server?.id;
    if (id === undefined) throw new Error(`${name} has no server`);
    this.event({ type: 'looked', member: name, id, view });
  }

  sync(jobs: readonly string[], worker = 'w1', ageMs = 0): readonly string[] {
    const outcome = this.event({ type: 'sync', worker, jobs, ageMs });
    if (outcome.type !== 'sync') throw new Error(outcome.type);
    return outcome.ended;
  }

  /** The engine and Nova end everything that is on its way out. */
  end(): void {
    for (const m of this.members()) {
      if (this.place(m.name) !== 'deleting') continue;
      this.event({ type: 'engine', event: { type: 'removed', cell: m.cell, member: m.name } });
      const now = this.book.members.get(m.name);
      if (now?.server !== null && now !== undefined) this.look(m.name, null);
    }
  }

  runEnded(wish: CellWish, state: CellState | null, message: string | null = null): void {
    this.event({ type: 'runEnded', wish, result: { ok: message === null, state, message } });
  }

  /** A restart: what is only seen is lost. */
  restart(): void {
    this.state = { book: this.book, sight: { ...emptySight, startedAt: this.now } };
  }
}

/** A pool with `count` Free VMs. */
export function ready(count: number, shape: Partial<Shape> = {}, policy: Partial<Policy> = {}): Pool {
  return new Pool(shapeOf({ min: count, max: Math.max(count, 4), ...shape }), policy).boot();
}

export function cell(name: string): CellName {
  return name as CellName;
}
