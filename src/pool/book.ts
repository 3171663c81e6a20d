import type {
  Attempt,
  CellName,
  Endpoint,
  HostKey,
  InstallationId,
  JobUser,
  LeaseId,
  LeaseKey,
  MemberName,
  MemberSpec,
  Millis,
  ServerId,
  Shape,
  VmState,
} from './model.js';
import type { VmFailure } from './failures.js';
import type { JobEnd, JobLimits, Measured, TenantEnd } from './measured.js';
import { Table } from '../table.js';
import type { Policy } from './policy.js';
import type { Decided, MadeFor } from './reasons.js';
import type { QuotaSight, TightQuota } from './quota.js';

/**
 * How Pulumi holds a member.
 * - `planned`: on its cell's list, not yet known to be in the state
 * - `managed`: in the state
 * - `stateless`: its create was begun and lost; never again on a list, it ends through Nova
 * - `dropped`: in no state (any more)
 * - `adopted`: a server that the store did not know; perhaps in its cell's state, with a spec that is not known.
 *   Never on a list, only among those to go.
 */
export type EngineHold = 'planned' | 'managed' | 'stateless' | 'dropped' | 'adopted';

export interface ServerFacts {
  readonly id: ServerId;
  /** Nova's status, as last seen. */
  readonly status: string;
}

/** Whose traces are on a VM: set by a grant, cleared when the VM was scrubbed and verified. */
export interface Tenant {
  readonly lease: LeaseId;
  readonly worker: string;
  readonly job: string;
  /** Its lease has ended, and what it used is not in the account yet. */
  readonly ended?: TenantEnd | undefined;
}

/**
 * - `operator`: told to be kept
 * - `drain`: told to have no more jobs; cleaned before it is held
 * - `unknown`: ours, and the store does not know it
 * - `restored`: known from an earlier copy of the store, which may lack what came after
 * - `foreign-marker`: bears another lease than the book expects
 * - `copy-back`: a job's files could not be copied back
 */
export type HoldKind = 'operator' | 'drain' | 'unknown' | 'restored' | 'foreign-marker' | 'copy-back';

export interface Hold {
  readonly kind: HoldKind;
  readonly why: string;
  readonly at: Millis;
  /** `operator` only: held for longer than this, it is given back. Absent: until somebody does that. */
  readonly limitMs?: Millis | undefined;
  /** `restored` only: what the copy held it for, which stands again when no other job has been there since. */
  readonly before?: Omit<Hold, 'before'> | undefined;
}

export interface Member {
  readonly name: MemberName;
  readonly cell: CellName;
  readonly seq: number;
  readonly bornAt: Millis;
  /** Why it was made; absent where a version made it that did not say. */
  readonly made?: MadeFor | undefined;
  /** Of its last rebuild by our order; absent while it has the disk that it was born with. */
  readonly diskSince?: Millis | undefined;
  readonly generation: string;
  readonly spec: MemberSpec;
  readonly state: VmState;
  readonly engine: EngineHold;
  readonly server: ServerFacts | null;
  readonly endpoint: Endpoint | null;
  readonly hostKeys: readonly HostKey[];
  /** The guest's boot id at its last welcome or scrub. */
  readonly bootId: string | null;
  readonly tenant: Tenant | null;
  /** Goes when it is next Free, and why. */
  readonly retire: string | null;
  /** Set while held, and on a Busy member that is to be held when its job ends. */
  readonly hold: Hold | null;
}

export interface Request {
  readonly id: LeaseId;
  readonly key: LeaseKey;
  readonly user: JobUser;
  readonly publicKey: string;
  readonly processors: number;
  readonly queue: string;
  readonly jobName: string;
  readonly limits?: JobLimits | undefined;
  /** So long its worker waits; absent where that did not say. Told to people, never a reason to end the request. */
  readonly maxWaitMs?: Millis | undefined;
  /** Place in the line: the smaller is served first. Kept when a lease falls back into the line. */
  readonly seq: number;
  readonly askedAt: Millis;
}

export interface Lease {
  readonly request: Request;
  readonly member: MemberName;
  readonly grantedAt: Millis;
  /** Account, key, environment and marker are on the VM. */
  readonly ready: boolean;
}

/** What is remembered of a job's ended attempts, so that their late calls are refused. */
export interface EndedJob {
  readonly worker: string;
  readonly job: string;
  /** The highest start count that ended, and all attempts with that count that did. */
  readonly start: number;
  readonly attempts: readonly { readonly attempt: Attempt; readonly id: LeaseId }[];
  readonly at: Millis;
  readonly detail: string;
}

export interface Breaker {
  /** Failed creates in a row; creates begun before the last failure count with it, not again. */
  readonly failures: number;
  readonly lastFailureAt: Millis;
  /** No create before this. */
  readonly until: Millis;
  readonly why: string | null;
}

export interface WorkerFacts {
  readonly syncedAt: Millis;
  readonly jobs: readonly string[];
}

/** A server of ours with a member's name that is not that member's server. */
export interface Stray {
  readonly server: ServerId;
  readonly name: MemberName;
  readonly firstSeen: Millis;
}

/** Nothing is made, ended or updated in the cloud while it stands; jobs go on and are served by what there is. */
export interface Pause {
  readonly why: string;
  readonly since: Millis;
  /** It ends by itself: a forgotten one would starve the pool. */
  readonly until: Millis;
}

/** The durable state of one pool. Plain JSON, with tables where there may be thousands of entries. */
export interface Book {
  readonly installation: InstallationId;
  readonly pool: string;
  /** The newest pool time that the book has seen; the clock starts from it. */
  readonly at: Millis;
  readonly seq: number;
  readonly shape: Shape | null;
  readonly members: Table<Member>;
  readonly requests: Table<Request>;
  readonly leases: Table<Lease>;
  /** By job; or by worker, a blank and job where only that worker's word is known. */
  readonly ended: Table<EndedJob>;
  readonly cells: readonly CellName[];
  readonly breaker: Breaker;
  readonly workers: Readonly<Record<string, WorkerFacts>>;
  /** Names that the store itself retired, and when: servers that turn up under them are deleted. */
  readonly retired: Table<Millis>;
  readonly strays: Readonly<Record<string, Stray>>;
  readonly paused?: Pause | undefined;
}

/**
 * What the service sees at the moment and need not remember: lost at a restart without harm, because every
 * decision is made again from what is.
 */
export interface Sight {
  /** When this service began to look: what was not looked at since has not been too long in its state. */
  readonly startedAt: Millis;
  /** When each member was last checked (probe, welcome, scrub, look), and how often in a row it failed. */
  readonly checked: Table<{ readonly at: Millis; readonly failures: number }>;
  /** What the lease of a Busy member had used when its VM was last probed. */
  readonly using: Table<Using>;
  /** When each member's server was last looked at by id. */
  readonly looked: Readonly<Record<string, Millis>>;
  /** Of those, when the last look showed the server in BUILD. A listing's word does not count here: it can be stale. */
  readonly inBuild: Readonly<Record<string, Millis>>;
  /** Busy members that do not answer, and since when. */
  readonly silent: Readonly<Record<string, { readonly since: Millis; readonly why: string }>>;
  /** Members that a complete listing did not show, and since when. */
  readonly unlisted: Readonly<Record<string, Millis>>;
  /** When each waiting request was last asked for. */
  readonly polled: Table<Millis>;
  /** Leases and requests whose job a sync did not list, and since when. */
  readonly missing: Readonly<Record<string, Millis>>;
  /** When what may be forgotten was last looked for. */
  readonly forgotAt: Millis;
  readonly cells: Readonly<Record<string, CellSight>>;
  /** Cells whose stack holds what the book does not know, or nobody knows what: each is run until that is known. */
  readonly unexplored: readonly CellName[];
  /** Retired names that the state of a cell holds again, because an earlier one was put back. */
  readonly resurfaced: Readonly<Record<string, readonly MemberName[]>>;
  readonly lastListing: { readonly at: Millis; readonly complete: boolean } | null;
  readonly cloudProblem: string | null;
  /** The cloud asked to be left alone until then (429, Retry-After): creates are calls, too. */
  readonly restUntil: Millis | null;
  readonly shapeProblem: string | null;
  /** The project's quota as last read; null before that, and for clouds that do not tell. */
  readonly quota: QuotaSight | null;
  /** The quota for want of which fewer members are made than are wanted. */
  readonly heldBack: TightQuota | null;
  /** How long the last VMs took from their decision to Free: what is usual here now. */
  readonly boots: readonly Millis[];
  /** Markers read on held VMs: lease marker or null for none. */
  readonly markers: Readonly<Record<string, MarkerSeen>>;
}

export interface Using extends Pick<Measured, 'cpuSeconds' | 'memoryBytes' | 'wallSeconds'> {
  readonly lease: LeaseId;
  readonly at: Millis;
}

export interface MarkerSeen {
  readonly marker: {
    readonly lease: LeaseId;
    readonly key: LeaseKey;
    readonly user: JobUser;
    /** Sealed by this service for this VM; anything else can be the work of a job that became root. */
    readonly authentic: boolean;
  } | null;
  readonly at: Millis;
}

export interface CellSight {
  readonly running: boolean;
  /** When the last run began. */
  readonly beganAt: Millis;
  readonly failures: number;
  /** After a failed run: not before this. */
  readonly notBefore: Millis;
  readonly error: string | null;
}

export interface State {
  readonly book: Book;
  readonly sight: Sight;
}

export const emptySight: Sight = {
  startedAt: 0,
  checked: Table.of(),
  using: Table.of(),
  looked: {},
  inBuild: {},
  silent: {},
  unlisted: {},
  polled: Table.of(),
  missing: {},
  forgotAt: 0,
  cells: {},
  unexplored: [],
  resurfaced: {},
  lastListing: null,
  cloudProblem: null,
  restUntil: null,
  shapeProblem: null,
  quota: null,
  heldBack: null,
  boots: [],
  markers: {},
};

export function emptyBook(installation: InstallationId, pool: string, now: Millis): Book {
  return {
    installation,
    pool,
    at: now,
    seq: 0,
    shape: null,
    members: Table.of(),
    requests: Table.of(),
    leases: Table.of(),
    ended: Table.of(),
    cells: [],
    breaker: { failures: 0, lastFailureAt: 0, until: 0, why: null },
    workers: {},
    retired: Table.of(),
    strays: {},
  };
}

/** Time, ids and rules for one step: the core has none of its own. */
export interface Context {
  readonly now: Millis;
  /** A short random string of lower-case letters and digits for a new member's name. */
  readonly suffix: () => string;
  readonly policy: Policy;
  /** Workers that the configuration knows: all of them must have synced before an unknown VM is explained. */
  readonly workers: readonly string[];
}

/** What is known of a lease when it ends, besides who had it. */
export interface LeaseFacts {
  readonly jobName: string;
  readonly processors: number;
  readonly flavor: string;
  readonly askedAt: Millis;
  readonly grantedAt: Millis;
}

/** How a job ended and what it used on its VM. */
export interface Spent extends TenantEnd {
  readonly end: JobEnd;
  /** Null: not measured. */
  readonly measured: Measured | null;
}

/** One line of history: what happened, and of a decision which one it is and why. */
export interface Note extends Partial<Decided> {
  readonly at: Millis;
  readonly kind: string;
  readonly member?: string;
  readonly lease?: string;
  readonly job?: string;
  readonly user?: string;
  /** Of a move in the life cycle: where the VM was and is. */
  readonly from?: string;
  readonly to?: string;
  /** Of an order: the name of the token that gave it. */
  readonly by?: string;
  /** Of a move that a fault has caused. */
  readonly failure?: VmFailure;
  /** How long that took, in milliseconds: a grant its wait, a staging its work, a first Free its boot. */
  readonly ms?: Millis;
  /** Of the end of a lease or request: where the job came from. */
  readonly worker?: string;
  readonly queue?: string;
  /** Of the end of a lease, for the account of who used what. */
  readonly used?: LeaseFacts;
  /** Of what it used on its VM, told when that was asked or can be asked no more. */
  readonly spent?: Spent;
  readonly detail: string;
}

export function membersOf(book: Book): readonly Member[] {
  return book.members.values();
}

/** Held because the store cannot say whether a job runs there: it does not know the VM, or not what came after a copy. */
export function isUnexplained(member: Member): boolean {
  return member.hold?.kind === 'unknown' || member.hold?.kind === 'restored';
}

/** Held until it is explained, and not yet made as far as Nova and the store can tell. */
export function isUnknownInBuild(member: Member): boolean {
  return isUnexplained(member) && member.bootId === null && member.server?.status === 'BUILD';
}

export function isDeleting(member: Member): boolean {
  return member.state.kind === 'Unusable' && member.state.reason === 'deleting';
}

export function isUnusable(
  member: Member,
  reason: Extract<VmState, { kind: 'Unusable' }>['reason'],
): boolean {
  return member.state.kind === 'Unusable' && member.state.reason === reason;
}

/** What `record` itself has at `key`: a name from outside may be one that every object inherits (`constructor`). */
export function entryAt<T>(record: Readonly<Record<string, T>>, key: string): T | undefined {
  // Nearly always there is nothing, and this finds that out sooner than `hasOwn`.
  const value = record[key];
  return value !== undefined && Object.hasOwn(record, key) ? value : undefined;
}

/**
 * A copy of `record` without `key`; the same object when it was not there. A loop, because `{ [key]: _, ...rest }` takes
 * V8 some ten times as long for a thousand keys, and this runs several times in every step.
 */
export function without<T>(record: Readonly<Record<string, T>>, key: string): Readonly<Record<string, T>> {
  if (!Object.hasOwn(record, key)) return record;
  const rest: Record<string, T> = {};
  for (const [name, value] of Object.entries(record)) if (name !== key) put(rest, name, value);
  return rest;
}

/** As an own entry, whatever its name: assigned, `__proto__` would be none. */
function put<T>(record: Record<string, T>, name: string, value: T): void {
  if (name === '__proto__')
    Object.defineProperty(record, name, { value, enumerable: true, writable: true, configurable: true });
  else record[name] = value;
}
