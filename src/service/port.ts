import type {
  EventView,
  LeaseRequest,
  LeaseView,
  NodeView,
  ReleaseAnswer,
  ReleaseRequest,
  StatusView,
  SyncAnswer,
  SyncRequest,
  TrendPoint,
} from '../http/api.js';
import type { ConfigAnswer } from '../http/config-api.js';
import type { ConsoleView, HistoryEntry, HistoryQuery, MemberDetail } from '../http/detail-api.js';
import type { PlanView } from '../http/plan-api.js';
import type { UsageView } from '../http/usage-api.js';
import type { UsageWish } from '../usage/sum.js';
import type { ConfigWish } from './config-changes.js';

export type Refusal = {
  readonly kind: 'refused';
  readonly code:
    | 'stale-attempt'
    | 'rival-attempt'
    | 'unsatisfiable'
    | 'no-class-fits'
    | 'not-found'
    | 'conflict'
    | 'inconsistent-input'
    | 'unavailable';
  readonly detail: string;
};

export type Answer<T> = { readonly kind: 'done'; readonly value: T } | Refusal;

/** Until when a long poll waits: `granted` (or ended), `ready` (staged, or ended). */
export type WaitUntil = 'granted' | 'ready';

/**
 * What the HTTP routes may ask of the pool. Every promise resolves only when the change it reports is
 * durable. Who may ask is the routes' business; whose the thing is, is told by `LeaseView.worker`.
 */
export interface PoolService {
  /** Idempotent by (worker, job, attempt). */
  request(worker: string, body: LeaseRequest): Promise<Answer<LeaseView>>;
  /** The lease, request or recently ended one with that id; null when never known here. */
  lease(id: string): LeaseView | null;
  /**
   * Resolves when the condition holds, the time is over or the signal fires: with the view of that moment.
   * `asOwner`: the job's side asks, which shows that the request is still wanted; a bystander's look does not.
   */
  waitFor(
    id: string,
    until: WaitUntil,
    ms: number,
    signal: AbortSignal,
    asOwner: boolean,
  ): Promise<LeaseView | null>;
  release(worker: string, body: ReleaseRequest): Promise<Answer<ReleaseAnswer>>;
  /** Release by lease id, from the job's side or an operator. */
  releaseById(id: string, reason: string): Promise<Answer<ReleaseAnswer>>;
  sync(worker: string, body: SyncRequest): Promise<Answer<SyncAnswer>>;
  node(worker: string): NodeView;
  status(): StatusView;
  /** Called after each change of what `status` tells; returns the way to stop it. */
  watch(callback: () => void): () => void;
  /** The last events after the one with that number, oldest first; only so many are kept. */
  events(after: number): readonly EventView[];
  /** How the counts went since the service started, oldest first. */
  trend(): readonly TrendPoint[];
  /** One VM whole; null when there is none of that name. */
  member(name: string): MemberDetail | null;
  /** The end of its console log, from the cloud. */
  console(member: string, signal: AbortSignal): Promise<Answer<ConsoleView>>;
  /** What is to be done in the cloud, and why. */
  plan(): PlanView;
  /** From the history files, oldest first. */
  history(query: HistoryQuery, signal: AbortSignal): Promise<readonly HistoryEntry[]>;
  /** Ended leases, summed up. */
  usage(wish: UsageWish, signal: AbortSignal): Promise<UsageView>;
  /** Orders of an operator; `by` is whose, for the history. A hold without limit (null) lasts until somebody gives the VM back. */
  hold(
    member: string,
    reason: string,
    limitMs: number | null,
    by: string,
  ): Promise<Answer<{ detail: string }>>;
  drain(member: string, reason: string, by: string): Promise<Answer<{ detail: string }>>;
  kill(member: string, reason: string, by: string): Promise<Answer<{ detail: string }>>;
  /** No changes of the cloud for so long. */
  pause(reason: string, forMs: number, by: string): Promise<Answer<{ detail: string }>>;
  resume(by: string): Promise<Answer<{ detail: string }>>;
  unhold(member: string, by: string): Promise<Answer<{ detail: string }>>;
  retire(member: string, reason: string, by: string): Promise<Answer<{ detail: string }>>;
  /** Reads the pool stack's outputs now instead of at the next period. */
  adopt(): Promise<Answer<{ detail: string }>>;
  /** Brings the pool's stack up with a changed config and adopts it. */
  changeConfig(wish: ConfigWish): Promise<Answer<ConfigAnswer>>;
  /** The service of that pool alone; null when it is none of this service. */
  only(pool: string): PoolService | null;
  /** Capability of a lease: an HMAC over its id (which covers worker, job and attempt). */
  capability(id: string): string;
}
