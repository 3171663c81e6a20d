import { createHmac } from 'node:crypto';
import type {
  LeaseRequest,
  LeaseView,
  NodeView,
  ReleaseAnswer,
  ReleaseRequest,
  ServiceView,
  StatusView,
  SyncAnswer,
  SyncRequest,
} from '../http/api.js';
import type { HistoryEntry } from '../http/detail-api.js';
import type { Book, Context } from '../pool/book.js';
import { memberDetail } from '../pool/detail-view.js';
import { planOf } from '../pool/plan.js';
import type { ServerId } from '../pool/model.js';
import type { Outcome } from '../pool/step.js';
import { leaseView, nodeVerdict, statusView } from '../pool/views.js';
import { errorText } from '../store/files.js';
import type { HistoryLine, HistoryWish } from '../store/history-read.js';
import type { BookKeeper } from './book-keeper.js';
import { serviceProblems } from './followers.js';
import type { Answer, PoolService, WaitUntil } from './port.js';
import type { Recent } from './recent.js';

export interface ServiceParts {
  readonly keeper: BookKeeper;
  readonly context: () => Context;
  readonly version: string;
  /** The last events and counts. */
  readonly recent: Recent;
  readonly capabilitySecret: Buffer;
  /** Reads the pool stack's outputs now. */
  readonly adopt: () => Promise<Answer<{ detail: string }>>;
  readonly changeConfig: PoolService['changeConfig'];
  /** Processors of the pool's flavor, once known. */
  readonly flavorProcessors: () => number | null;
  /** The last lines of a server's console. */
  readonly consoleLog: (server: ServerId, signal: AbortSignal) => Promise<string>;
  /** Lines of the history files, oldest first. */
  readonly history: (wish: HistoryWish, signal: AbortSignal) => Promise<readonly HistoryLine[]>;
  readonly usage: PoolService['usage'];
  /** Services of the site that follow the nodes. */
  readonly services: () => ServiceView[];
}

function unexpected(outcome: Outcome): never {
  throw new Error(`the core answered ${outcome.type} where another outcome belongs`);
}

/** Asked by every long poll at every change: looks the id up and no more. */
function holds(book: Book, id: string, until: WaitUntil): boolean {
  if (book.requests.get(id) !== undefined) return false;
  const lease = book.leases.get(id);
  return lease === undefined || until === 'granted' || lease.ready;
}

/** The routes' side of the pool: every answer is given from what is durable. */
export function createPoolService(parts: ServiceParts): PoolService {
  const { keeper, context } = parts;
  const view = (id: string): LeaseView | null => leaseView(keeper.durable(), id);

  const operator = async (
    event: Parameters<BookKeeper['dispatch']>[0],
  ): Promise<Answer<{ detail: string }>> => {
    const outcome = await keeper.dispatch(event);
    if (outcome.type !== 'operator') return unexpected(outcome);
    const { outcome: result } = outcome;
    return result.kind === 'done' ? { kind: 'done', value: { detail: result.detail } } : result;
  };

  const releaseOutcome = (outcome: Outcome): Answer<ReleaseAnswer> => {
    if (outcome.type !== 'release') return unexpected(outcome);
    const ended = outcome.outcome.ended.length > 0;
    return {
      kind: 'done',
      value: { outcome: ended ? 'ended' : 'nothing-to-end', detail: outcome.outcome.detail },
    };
  };

  const service: PoolService = {
    async request(worker: string, body: LeaseRequest): Promise<Answer<LeaseView>> {
      const processors = parts.flavorProcessors();
      if (processors !== null && body.processors > processors) {
        return {
          kind: 'refused',
          code: 'unsatisfiable',
          detail: `the job asks for ${body.processors} processors on one node, this pool's VMs have ${processors}`,
        };
      }
      const key = { worker, job: body.job, attempt: body.attempt };
      const { user, publicKey, queue, jobName, limits, maxWaitSeconds } = body;
      const outcome = await keeper.dispatch({
        type: 'ask',
        ask: {
          ...{ key, user, publicKey, processors: body.processors, queue, jobName },
          ...(limits === undefined ? {} : { limits }),
          ...(maxWaitSeconds === undefined ? {} : { maxWaitMs: maxWaitSeconds * 1000 }),
        },
      });
      if (outcome.type !== 'ask') return unexpected(outcome);
      if (outcome.outcome.kind === 'refused') return outcome.outcome;
      const now = view(outcome.outcome.id);
      if (now === null)
        return { kind: 'refused', code: 'unavailable', detail: 'the request was ended while it was made' };
      return { kind: 'done', value: now };
    },

    lease: view,

    waitFor(
      id: string,
      until: WaitUntil,
      ms: number,
      signal: AbortSignal,
      asOwner: boolean,
    ): Promise<LeaseView | null> {
      if (asOwner) void keeper.dispatch({ type: 'poll', id }).catch(() => undefined);
      const over = (): boolean => holds(keeper.durable().book, id, until);
      if (over() || ms <= 0 || signal.aborted) return Promise.resolve(view(id));
      return new Promise((resolve) => {
        const end = (): void => {
          clearTimeout(timer);
          unwatch();
          signal.removeEventListener('abort', end);
          resolve(view(id));
        };
        const unwatch = keeper.watch(() => {
          if (over()) end();
        });
        const timer = setTimeout(end, ms);
        signal.addEventListener('abort', end, { once: true });
      });
    },

    async release(worker: string, body: ReleaseRequest): Promise<Answer<ReleaseAnswer>> {
      return releaseOutcome(
        await keeper.dispatch({
          type: 'release',
          release: {
            worker,
            job: body.job,
            attempt: body.attempt ?? null,
            reason: body.reason,
            holdFor: body.holdFor ?? null,
            exit: body.exit ?? null,
          },
        }),
      );
    },

    async releaseById(id: string, reason: string): Promise<Answer<ReleaseAnswer>> {
      return releaseOutcome(await keeper.dispatch({ type: 'releaseById', id, reason }));
    },

    async sync(worker: string, body: SyncRequest): Promise<Answer<SyncAnswer>> {
      const outcome = await keeper.dispatch({ type: 'sync', worker, jobs: body.jobs, ageMs: body.ageMs });
      if (outcome.type !== 'sync') return unexpected(outcome);
      return { kind: 'done', value: { ended: [...outcome.ended] } };
    },

    node(): NodeView {
      const problem = keeper.storeProblem();
      if (problem !== null) return { ok: false, detail: `the service cannot write its store: ${problem}` };
      return nodeVerdict(keeper.durable(), context());
    },

    status(): StatusView {
      const services = parts.services();
      const core = statusView(keeper.durable(), context(), parts.version);
      const status = { ...core, services, problems: [...core.problems, ...serviceProblems(services)] };
      const problem = keeper.storeProblem();
      return problem === null
        ? status
        : { ...status, problems: [`the store refuses to commit: ${problem}`, ...status.problems] };
    },

    watch: (callback) => keeper.watch(callback),
    events: (after) => parts.recent.events(after),
    trend: () => parts.recent.trend(),

    member: (name) => memberDetail(keeper.durable(), name),
    async console(name, signal) {
      const member = keeper.durable().book.members.get(name);
      if (member === undefined)
        return { kind: 'refused', code: 'not-found', detail: `there is no VM ${name} in this pool` };
      if (member.server === null)
        return { kind: 'refused', code: 'conflict', detail: `${name} has no server in the cloud yet` };
      try {
        return { kind: 'done', value: { text: await parts.consoleLog(member.server.id, signal) } };
      } catch (error) {
        return {
          kind: 'refused',
          code: 'unavailable',
          detail: `the cloud does not give the console of ${name}: ${errorText(error)}`,
        };
      }
    },
    usage: parts.usage,
    plan: () => planOf(keeper.durable(), context()),
    history: async (query, signal) => (await parts.history(query, signal)).map(historyEntryOf),

    hold: (member, why, limitMs, by) => operator({ type: 'hold', member, why, limitMs, by }),
    drain: (member, why, by) => operator({ type: 'drain', member, why, by }),
    kill: (member, why, by) => operator({ type: 'kill', member, why, by }),
    pause: (why, forMs, by) => operator({ type: 'pause', why, forMs, by }),
    resume: (by) => operator({ type: 'resume', by }),
    unhold: (member, by) => operator({ type: 'unhold', member, by }),
    retire: (member, why, by) => operator({ type: 'retire', member, why, by }),
    adopt: parts.adopt,
    changeConfig: parts.changeConfig,
    only: (pool) => (pool === keeper.durable().book.pool ? service : null),
    capability: (id) => capabilityOf(parts.capabilitySecret, id),
  };
  return service;
}

function historyEntryOf(line: HistoryLine): HistoryEntry {
  return {
    at: new Date(line.at).toISOString(),
    kind: line.kind,
    detail: line.detail,
    vm: line.member ?? null,
    lease: line.lease ?? null,
    job: line.job ?? null,
    user: line.user ?? null,
    from: line.from ?? null,
    to: line.to ?? null,
    ms: line.ms ?? null,
    ...(line.decision === undefined ? {} : { decision: line.decision }),
    ...(line.reason === undefined ? {} : { reason: line.reason }),
  };
}

/** HMAC over the lease's id, which is a hash of worker, job and attempt: nothing of it is stored. */
export function capabilityOf(secret: Buffer, id: string): string {
  return createHmac('sha256', secret).update(`lease:${id}`).digest('base64url');
}
