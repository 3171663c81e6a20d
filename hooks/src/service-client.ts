import { request as httpRequest, type IncomingMessage } from 'node:http';
import { readFileSync } from 'node:fs';
// Types alone: the schemas behind them would bring zod into every hook.
import type {
  LeaseAnswer,
  LeaseRequest,
  LeaseView,
  NodeView,
  Problem,
  ProblemCode,
  ReleaseAnswer,
  ReleaseRequest,
  SyncAnswer,
  SyncRequest,
} from '../../src/http/api.js';

/** What the hooks use of the API's own views: a field that is renamed or changed there does not compile here. */
export type VmView = Readonly<
  Pick<NonNullable<LeaseView['vm']>, 'member' | 'host' | 'port' | 'hostKeys' | 'user'>
>;

export interface Lease extends Readonly<Pick<LeaseView, 'id' | 'state' | 'detail' | 'ready' | 'position'>> {
  readonly vm: VmView | null;
  /** Only in the answer to the worker's own request. */
  readonly capability: LeaseAnswer['capability'] | null;
}

export type Answer<T> =
  | { readonly kind: 'done'; readonly value: T }
  /**
   * The service answered and says no. `code` is the last part of the problem's type; a newer service may have codes
   * that are not known here, which are equal to none of these.
   */
  | { readonly kind: 'problem'; readonly status: number; readonly code: ProblemCode; readonly detail: string }
  | { readonly kind: 'unreachable'; readonly why: string };

interface Raw {
  readonly status: number;
  readonly body: unknown;
}
/** What came by the wire where a `T` should: its fields, each of them anything. */
type Wire<T> = { readonly [Field in keyof T]?: unknown };
const fieldsOf = <T>(value: unknown): Wire<T> | null =>
  typeof value === 'object' && value !== null ? value : null;
const leaseStates: Readonly<Record<Lease['state'], true>> = { waiting: true, granted: true, ended: true };
const isLeaseState = (value: unknown): value is Lease['state'] =>
  typeof value === 'string' && Object.hasOwn(leaseStates, value);
const textOr = (value: unknown, fallback: string): string => (typeof value === 'string' ? value : fallback);

const maxBody = 4 * 1024 * 1024;
const hostKeyLine = /^[a-z0-9@.-]+ [A-Za-z0-9+/]+=*$/i;

/** What the hooks need of a lease's JSON, or null if it is not one. Nothing in it is trusted as a path or option. */
export function readLease(body: unknown): Lease | null {
  const wire = fieldsOf<LeaseAnswer>(body);
  if (wire === null) return null;
  const { id, state, position } = wire;
  const vm = fieldsOf<VmView>(wire.vm);
  if (typeof id !== 'string' || !/^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$/.test(id)) return null;
  if (!isLeaseState(state)) return null;
  let view: VmView | null = null;
  if (vm !== null) {
    const keys: readonly unknown[] = Array.isArray(vm.hostKeys) ? vm.hostKeys : [];
    const hostKeys = keys.filter((key): key is string => typeof key === 'string' && hostKeyLine.test(key));
    const { host, port, user, member } = vm;
    if (typeof host !== 'string' || !/^[A-Za-z0-9][A-Za-z0-9.:-]*$/.test(host)) return null;
    if (typeof user !== 'string' || !/^[a-z_][a-z0-9_.-]*\$?$/i.test(user)) return null;
    if (typeof port !== 'number' || !Number.isInteger(port) || port < 1 || port > 65_535) return null;
    view = { member: textOr(member, ''), host, port, hostKeys, user };
  }
  return {
    id,
    state,
    detail: textOr(wire.detail, ''),
    ready: wire.ready === true,
    position: typeof position === 'number' ? position : null,
    vm: view,
    capability: typeof wire.capability === 'string' ? wire.capability : null,
  };
}

/** A service of before the field refuses it, and the job must not hang on that: what can be done without is left out. */
async function orWithout<T>(asked: Promise<Answer<T>>, again: () => Promise<Answer<T>>): Promise<Answer<T>> {
  const answer = await asked;
  return answer.kind === 'problem' && answer.code === 'invalid-input' ? again() : answer;
}

/** The lease service as the hooks see it. Every call has a time limit of its own and opens no lasting connection. */
export class ServiceClient {
  readonly #url: URL;
  constructor(
    url: string,
    private readonly caFile: string | null,
    private readonly token: string,
  ) {
    this.#url = new URL(url);
  }

  async #call(
    method: string,
    path: string,
    body: unknown,
    limitMs: number,
    signal?: AbortSignal,
  ): Promise<Raw | string> {
    const secure = this.#url.protocol === 'https:';
    const limit = AbortSignal.timeout(Math.max(1, Math.ceil(limitMs)));
    const text = body === undefined ? undefined : JSON.stringify(body);
    // Loaded only where it is needed: it costs a prologue several milliseconds.
    const request = secure ? (await import('node:https')).request : httpRequest;
    try {
      const response = await new Promise<IncomingMessage>((resolve, reject) => {
        const outgoing = request(
          new URL(path, this.#url),
          {
            method,
            agent: false,
            signal: signal === undefined ? limit : AbortSignal.any([limit, signal]),
            headers: {
              authorization: `Bearer ${this.token}`,
              accept: 'application/json',
              ...(text === undefined
                ? {}
                : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
            },
            ...(secure && this.caFile !== null ? { ca: readFileSync(this.caFile) } : {}),
          },
          resolve,
        );
        outgoing.once('error', reject);
        outgoing.end(text);
      });
      const parts: Buffer[] = [];
      let size = 0;
      for await (const part of response as AsyncIterable<Buffer>) {
        size += part.length;
        if (size > maxBody) return `its answer is larger than ${maxBody} bytes`;
        parts.push(part);
      }
      const answer = Buffer.concat(parts).toString('utf8');
      return {
        status: response.statusCode ?? 0,
        body: answer === '' ? null : (JSON.parse(answer) as unknown),
      };
    } catch (error) {
      if (limit.aborted) return `no answer within ${Math.round(limitMs / 100) / 10} s`;
      return error instanceof Error ? error.message : String(error);
    }
  }

  async #ask<T>(
    method: string,
    path: string,
    body: unknown,
    limitMs: number,
    read: (body: unknown) => T | null,
    signal?: AbortSignal,
  ): Promise<Answer<T>> {
    const raw = await this.#call(method, path, body, limitMs, signal);
    const where = this.#url.host;
    if (typeof raw === 'string') return { kind: 'unreachable', why: `service at ${where}: ${raw}` };
    if (raw.status >= 200 && raw.status < 300) {
      const value = read(raw.body);
      return value === null
        ? { kind: 'unreachable', why: `service at ${where} answered something that is not its API` }
        : { kind: 'done', value };
    }
    const problem = fieldsOf<Problem>(raw.body) ?? {};
    const name = textOr(problem.type, '').replace(/^urn:vmpool:problem:/, '');
    const code = name as ProblemCode;
    const detail = textOr(problem.detail, textOr(problem.title, `HTTP status ${raw.status}`));
    // Overload and restarts pass; so does whatever stands between and does not speak the API.
    if (raw.status >= 500 || raw.status === 429 || code === 'unavailable' || name === '')
      return { kind: 'unreachable', why: `service at ${where}: ${detail} (HTTP ${raw.status})` };
    return { kind: 'problem', status: raw.status, code, detail };
  }

  request(body: LeaseRequest, waitMs: number, limitMs: number, signal?: AbortSignal): Promise<Answer<Lease>> {
    const wait = Math.floor(waitMs / 1000);
    const path = `/v1/leases?wait=${wait}&until=granted`;
    const ask = (given: LeaseRequest): Promise<Answer<Lease>> =>
      this.#ask('POST', path, given, limitMs, readLease, signal);
    // The newest first: a service that knows the limits of a job keeps them, also where it does not know the rest.
    const { maxWaitSeconds, ...known } = body;
    const { limits, ...oldest } = known;
    const withLimits = (): Promise<Answer<Lease>> =>
      limits === undefined ? ask(known) : orWithout(ask(known), () => ask(oldest));
    return maxWaitSeconds === undefined ? withLimits() : orWithout(ask(body), withLimits);
  }

  /** `waitMs` is the long poll's; the answer is given `graceMs` on top. */
  lease(
    id: string,
    waitMs: number,
    until: 'granted' | 'ready',
    signal?: AbortSignal,
    graceMs = 10_000,
  ): Promise<Answer<Lease>> {
    const path = `/v1/leases/${encodeURIComponent(id)}?wait=${Math.floor(waitMs / 1000)}&until=${until}`;
    return this.#ask('GET', path, undefined, waitMs + graceMs, readLease, signal);
  }

  release(body: ReleaseRequest, limitMs: number): Promise<Answer<ReleaseAnswer['detail']>> {
    const tell = (given: ReleaseRequest): Promise<Answer<ReleaseAnswer['detail']>> =>
      this.#ask('POST', '/v1/releases', given, limitMs, (answer) => {
        const released = fieldsOf<ReleaseAnswer>(answer);
        return released === null ? null : textOr(released.detail, '');
      });
    const { exit, ...rest } = body;
    return exit === undefined ? tell(body) : orWithout(tell(body), () => tell(rest));
  }

  sync(body: SyncRequest, limitMs: number): Promise<Answer<Readonly<SyncAnswer['ended']>>> {
    return this.#ask('POST', '/v1/sync', body, limitMs, (answer) => {
      const ended = fieldsOf<SyncAnswer>(answer)?.ended;
      if (!Array.isArray(ended)) return null;
      return ended.filter((job: unknown): job is string => typeof job === 'string');
    });
  }

  node(limitMs: number): Promise<Answer<Readonly<NodeView>>> {
    return this.#ask('GET', '/v1/node', undefined, limitMs, (answer): NodeView | null => {
      const node = fieldsOf<NodeView>(answer);
      if (typeof node?.ok !== 'boolean') return null;
      return { ok: node.ok, detail: textOr(node.detail, '') };
    });
  }
}
