import { Agent, request as plainRequest, type IncomingMessage } from 'node:http';
import { Agent as TlsAgent, request as tlsRequest } from 'node:https';
import { z } from 'zod';
import * as api from './api.js';
import * as config from './config-api.js';
import * as detail from './detail-api.js';
import * as plan from './plan-api.js';
import * as usage from './usage-api.js';

export interface ClientOptions {
  /** `http://127.0.0.1:8470` */
  readonly url: string;
  /** A token or a capability. */
  readonly token: string;
  /** PEM of the CA that signed the service's certificate; the system's CAs otherwise. */
  readonly ca?: string;
  /** Where the service has several: only this pool, in every call that is not of one VM, lease or worker. */
  readonly pool?: string;
  /** Limit of one call beyond what it waits by its own wish, milliseconds. */
  readonly timeoutMs?: number;
}

/** The service answered, with a problem. */
export class ProblemError extends Error {
  constructor(readonly problem: api.Problem) {
    super(`${problem.title}: ${problem.detail}`);
    this.name = 'ProblemError';
  }

  /** `stale-attempt` and so on; empty for a problem without a type of ours. */
  get code(): string {
    return /^urn:vmpool:problem:(.+)$/.exec(this.problem.type)?.[1] ?? '';
  }
}

/** The service could not be reached, or what answered is not VM Pool. */
export class UnreachableError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'UnreachableError';
  }
}

export interface WaitOptions {
  readonly waitSeconds?: number;
  readonly until?: 'granted' | 'ready';
  readonly signal?: AbortSignal;
}

/** Of one VM, of one job, or of all: the newest `most`. */
export interface HistoryOf {
  readonly vm?: string;
  readonly job?: string;
  /** Only decisions: of this kind, or `any`. */
  readonly decision?: string;
  readonly most?: number;
}

/** Ended leases of the last 30 days by user, or otherwise as said here. */
export interface UsageOf {
  /** A date, or a date with a time, ISO 8601. */
  readonly since?: string;
  readonly until?: string;
  readonly by?: readonly usage.UsageGroup[];
  readonly user?: string;
  readonly queue?: string;
}

/** The HTTP API as functions. All throw `ProblemError` or `UnreachableError`; all may be repeated safely. */
export interface Client {
  request(body: z.input<typeof api.leaseRequest>, wait?: WaitOptions): Promise<api.LeaseAnswer>;
  lease(id: string, wait?: WaitOptions): Promise<api.LeaseView>;
  releaseLease(id: string, signal?: AbortSignal): Promise<api.ReleaseAnswer>;
  release(body: z.input<typeof api.releaseRequest>, signal?: AbortSignal): Promise<api.ReleaseAnswer>;
  sync(body: z.input<typeof api.syncRequest>, signal?: AbortSignal): Promise<api.SyncAnswer>;
  node(signal?: AbortSignal): Promise<api.NodeView>;
  status(signal?: AbortSignal): Promise<api.StatusView>;
  hold(member: string, order: z.input<typeof api.holdOrder>, signal?: AbortSignal): Promise<api.Done>;
  drain(member: string, reason: string, signal?: AbortSignal): Promise<api.Done>;
  kill(member: string, reason: string, signal?: AbortSignal): Promise<api.Done>;
  pause(order: z.input<typeof api.pauseOrder>, signal?: AbortSignal): Promise<api.Done>;
  resume(signal?: AbortSignal): Promise<api.Done>;
  unhold(member: string, signal?: AbortSignal): Promise<api.Done>;
  retire(member: string, reason: string, signal?: AbortSignal): Promise<api.Done>;
  adopt(signal?: AbortSignal): Promise<api.Done>;
  scale(order: config.ScaleOrder, signal?: AbortSignal): Promise<config.ConfigAnswer>;
  changeConfig(order: config.ConfigOrder, signal?: AbortSignal): Promise<config.ConfigAnswer>;
  member(name: string, signal?: AbortSignal): Promise<detail.MemberDetail>;
  console(member: string, signal?: AbortSignal): Promise<detail.ConsoleView>;
  plan(signal?: AbortSignal): Promise<plan.PlanView>;
  history(of: HistoryOf, signal?: AbortSignal): Promise<readonly detail.HistoryEntry[]>;
  usage(of: UsageOf, signal?: AbortSignal): Promise<usage.UsageView>;
  /** The last events after the one with that number, oldest first. */
  events(after: number, signal?: AbortSignal): Promise<readonly api.EventView[]>;
  close(): void;
}

interface Ask<T> {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
  readonly answer: z.ZodType<T>;
  readonly body?: unknown;
  readonly waitSeconds?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

interface RawAnswer {
  readonly status: number;
  readonly text: string;
}

const largestAnswer = 64 * 1024 * 1024;

const readAll = async (message: IncomingMessage): Promise<string> => {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of message as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > largestAnswer) throw new Error('the answer is too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
};

const waitPath = (path: string, { waitSeconds = 0, until = 'granted' }: WaitOptions): string =>
  `${path}?wait=${String(Math.max(0, Math.min(waitSeconds, 86_400)))}&until=${until}`;

const parsedJson = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

/** A client with connections of its own, kept alive until `close`. */
export const createClient = ({ url, token, ca, pool, timeoutMs = 15_000 }: ClientOptions): Client => {
  const base = new URL(url);
  const secure = base.protocol === 'https:';
  const agent = secure
    ? new TlsAgent({ keepAlive: true, ...(ca === undefined ? {} : { ca }) })
    : new Agent({ keepAlive: true });

  const send = (ask: Ask<unknown>, signal: AbortSignal): Promise<RawAnswer> =>
    new Promise((resolve, reject) => {
      const body = ask.body === undefined ? null : JSON.stringify(ask.body);
      const outgoing = (secure ? tlsRequest : plainRequest)(
        new URL(ask.path, base),
        {
          method: ask.method,
          agent,
          signal,
          headers: {
            Authorization: `Bearer ${token}`,
            Accept: 'application/json, application/problem+json',
            ...(body === null
              ? {}
              : { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) }),
          },
        },
        (message) => {
          readAll(message).then((text) => {
            resolve({ status: message.statusCode ?? 0, text });
          }, reject);
        },
      );
      outgoing.on('error', (error: NodeJS.ErrnoException) => {
        // The service closed an idle connection just as it was used again: nothing was received there.
        if (outgoing.reusedSocket && error.code === 'ECONNRESET') send(ask, signal).then(resolve, reject);
        else reject(error);
      });
      outgoing.end(body ?? undefined);
    });

  const call = async <T>(ask: Ask<T>): Promise<T> => {
    const limitMs = timeoutMs + (ask.waitSeconds ?? 0) * 1000;
    const limit = AbortSignal.timeout(limitMs);
    let raw: RawAnswer;
    try {
      raw = await send(ask, ask.signal === undefined ? limit : AbortSignal.any([limit, ask.signal]));
    } catch (error) {
      if (ask.signal?.aborted === true) throw error;
      const why = limit.aborted ? `no answer within ${String(limitMs / 1000)} s` : String(error);
      throw new UnreachableError(`VM Pool at ${base.origin} cannot be reached: ${why}`, { cause: error });
    }
    const json = parsedJson(raw.text);
    if (raw.status >= 400) {
      const problem = api.problem.safeParse(json);
      if (problem.success) throw new ProblemError(problem.data);
      throw new UnreachableError(`${base.origin} answered ${String(raw.status)}, not as VM Pool does`);
    }
    const parsed = ask.answer.safeParse(json);
    if (parsed.success) return parsed.data;
    throw new UnreachableError(
      `${base.origin} does not answer ${ask.path} as VM Pool does: ${parsed.error.message}`,
    );
  };

  const inPool = (path: string): string =>
    pool === undefined ? path : `${path}${path.includes('?') ? '&' : '?'}pool=${encodeURIComponent(pool)}`;
  const leasePath = (id: string): string => `/v1/leases/${encodeURIComponent(id)}`;
  const member = (
    name: string,
    order: string,
    signal: AbortSignal | undefined,
    body: object = {},
  ): Promise<api.Done> =>
    call({
      method: 'POST',
      path: `/v1/members/${encodeURIComponent(name)}/${order}`,
      answer: api.done,
      body,
      signal,
    });

  const configCall = (
    path: 'scale' | 'config',
    body: object,
    signal: AbortSignal | undefined,
  ): Promise<config.ConfigAnswer> =>
    call({
      method: 'POST',
      path: inPool(`/v1/pool/${path}`),
      answer: config.configAnswer,
      body,
      // An update of the stack is waited for.
      waitSeconds: 240,
      signal,
    });

  return {
    request: (body, wait = {}) =>
      call({
        method: 'POST',
        path: waitPath('/v1/leases', wait),
        answer: api.leaseAnswer,
        body,
        waitSeconds: wait.waitSeconds,
        signal: wait.signal,
      }),
    lease: (id, wait = {}) =>
      call({
        method: 'GET',
        path: waitPath(leasePath(id), wait),
        answer: api.leaseView,
        waitSeconds: wait.waitSeconds,
        signal: wait.signal,
      }),
    releaseLease: (id, signal) =>
      call({ method: 'DELETE', path: leasePath(id), answer: api.releaseAnswer, signal }),
    release: (body, signal) =>
      call({ method: 'POST', path: '/v1/releases', answer: api.releaseAnswer, body, signal }),
    sync: (body, signal) => call({ method: 'POST', path: '/v1/sync', answer: api.syncAnswer, body, signal }),
    node: (signal) => call({ method: 'GET', path: '/v1/node', answer: api.nodeView, signal }),
    status: (signal) => call({ method: 'GET', path: inPool('/v1/status'), answer: api.statusView, signal }),
    hold: (name, order, signal) => member(name, 'hold', signal, order),
    drain: (name, reason, signal) => member(name, 'drain', signal, { reason }),
    kill: (name, reason, signal) => member(name, 'kill', signal, { reason }),
    pause: (order, signal) =>
      call({ method: 'POST', path: inPool('/v1/pool/pause'), answer: api.done, body: order, signal }),
    resume: (signal) => call({ method: 'POST', path: inPool('/v1/pool/resume'), answer: api.done, signal }),
    unhold: (name, signal) => member(name, 'unhold', signal),
    retire: (name, reason, signal) => member(name, 'retire', signal, { reason }),
    adopt: (signal) => call({ method: 'POST', path: inPool('/v1/pool/adopt'), answer: api.done, signal }),
    scale: (order, signal) => configCall('scale', order, signal),
    changeConfig: (order, signal) => configCall('config', order, signal),
    member: (name, signal) =>
      call({
        method: 'GET',
        path: `/v1/members/${encodeURIComponent(name)}`,
        answer: detail.memberDetail,
        signal,
      }),
    console: (name, signal) =>
      call({
        method: 'GET',
        path: `/v1/members/${encodeURIComponent(name)}/console`,
        answer: detail.consoleView,
        // The service waits for the cloud.
        waitSeconds: 20,
        signal,
      }),
    plan: (signal) => call({ method: 'GET', path: inPool('/v1/plan'), answer: plan.planView, signal }),
    history: async ({ vm, job, decision, most }, signal) => {
      const query = new URLSearchParams({
        ...(vm === undefined ? {} : { vm }),
        ...(job === undefined ? {} : { job }),
        ...(decision === undefined ? {} : { decision }),
        ...(most === undefined ? {} : { most: String(most) }),
      });
      const answer = z.object({ entries: z.array(detail.historyEntry) });
      // Files of many megabytes are read for it.
      return (
        await call({
          method: 'GET',
          path: inPool(`/v1/history?${query.toString()}`),
          answer,
          waitSeconds: 60,
          signal,
        })
      ).entries;
    },
    usage: ({ by, ...of }, signal) => {
      const query = new URLSearchParams({ ...of, ...(by === undefined ? {} : { by: by.join(',') }) });
      return call({
        method: 'GET',
        path: inPool(`/v1/usage?${query.toString()}`),
        answer: usage.usageView,
        // Files of many megabytes are read for it.
        waitSeconds: 60,
        signal,
      });
    },
    events: async (after, signal) => {
      const answer = z.object({ events: z.array(api.eventView) });
      return (
        await call({ method: 'GET', path: inPool(`/v1/events?after=${String(after)}`), answer, signal })
      ).events;
    },
    close: () => {
      agent.destroy();
    },
  };
};
