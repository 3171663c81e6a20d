import { z } from 'zod';
import type { Answer, PoolService } from '../service/port.js';
import { problemCodes, type ProblemCode } from './api.js';
import type { Identity, Role } from './authenticate.js';
import type { PoolQuery } from './class-api.js';
import { HttpProblem } from './problem.js';

export interface Reply {
  readonly status: number;
  /** Sent as JSON; of a route that `produces` something else a string as it is, or its pieces as they come. */
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What a request is about, for the log. */
export interface Ids {
  readonly lease?: string | undefined;
  readonly job?: string | undefined;
  readonly vm?: string | undefined;
}

/** What a handler gets: everything validated. */
export interface Call<B, Q> {
  readonly service: PoolService;
  readonly identity: Identity | null;
  readonly params: Readonly<Record<string, string>>;
  readonly body: B;
  readonly query: Q;
  /** Longest long poll, milliseconds. */
  readonly maxWaitMs: number;
  /** Fires when the client is gone or the service stops. Made when asked for: most answers need none, and it is dear. */
  readonly signal: () => AbortSignal;
  /** Null when ready, else why not. */
  readonly notReady: () => string | null;
  /** The figures for Prometheus. */
  readonly metrics: () => Promise<string>;
  /** Adds to what the log says of this request, whatever comes of it. */
  readonly about: (ids: Ids) => void;
}

/** One row of the table from which routes, access tests and the API's description come. */
export interface Route {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** As Express reads it: `/v1/leases/:id`. */
  readonly path: string;
  /** Who may call; empty for everyone, without a token. */
  readonly roles: readonly Role[];
  /** Those of them that reach only what is theirs: another's looks like what does not exist. */
  readonly ownOnly: readonly Role[];
  readonly summary: string;
  /** Of the path's parameters by name. What does not match is not found. */
  readonly params: Readonly<Record<string, z.ZodType<string>>>;
  /** Null when the route takes no body. */
  readonly body: z.ZodType | null;
  /** Largest body, bytes, where it is more than `limits.bodyBytes`: it is read only once the token was found good. */
  readonly bodyBytes: number;
  readonly query: z.ZodType;
  /** Bodies of the answers by status; problems are not listed. */
  readonly answers: Readonly<Record<number, z.ZodType>>;
  /** Problems that only this route's handler answers; those that any route may answer are not listed. */
  readonly refusals: readonly ProblemCode[];
  /** Media type of the answers. */
  readonly produces: string;
  readonly handle: (call: Call<unknown, unknown>) => Promise<Reply>;
}

const check = <T>(schema: z.ZodType<T>, value: unknown, where: 'body' | 'query'): T => {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const errors = parsed.error.issues.slice(0, 50).map((issue) => ({
    path: [where, ...issue.path.map(String)].join('.').slice(0, 300),
    message: issue.message.slice(0, 300),
  }));
  // Rules of our own (refine) are beyond what the described schema can say.
  const described = parsed.error.issues.some(({ code }) => code !== 'custom');
  throw new HttpProblem(
    described ? problemCodes.invalid : problemCodes.inconsistent,
    `The ${where} is not valid: see errors.`,
    { errors },
  );
};

/** Declares a route whose handler is typed by its schemas. */
export const route = <B = undefined, Q = Record<string, never>>(declared: {
  readonly method: Route['method'];
  readonly path: string;
  readonly roles: readonly Role[];
  readonly ownOnly?: readonly Role[];
  readonly summary: string;
  readonly params?: Route['params'];
  readonly body?: z.ZodType<B>;
  readonly bodyBytes?: number;
  readonly query?: z.ZodType<Q>;
  readonly answers: Route['answers'];
  readonly refusals?: Route['refusals'];
  readonly produces?: string;
  readonly handle: (call: Call<B, Q>) => Promise<Reply> | Reply;
}): Route => {
  const { method, path, roles, ownOnly = [], summary, answers, handle } = declared;
  const { params = {}, refusals = [], bodyBytes = 0, produces = 'application/json' } = declared;
  const inPath = [...path.matchAll(/:([A-Za-z]+)/g)].map(([, name]) => name);
  if (inPath.toString() !== Object.keys(params).toString()) {
    throw new Error(`${method} ${path}: declare each parameter of the path in params, in its order`);
  }
  const body = declared.body ?? null;
  // A declaration without a query takes none, and its handler's type says so.
  const query = declared.query ?? (z.strictObject({}) as unknown as z.ZodType<Q>);
  return {
    method,
    path,
    roles,
    ownOnly,
    summary,
    body,
    bodyBytes,
    query,
    params,
    answers,
    refusals,
    produces,
    handle: async (call) => {
      for (const [name, schema] of Object.entries(params)) {
        if (!schema.safeParse(call.params[name]).success) {
          throw new HttpProblem(problemCodes.notFound, `There is nothing of that ${name}.`);
        }
      }
      call.about({ lease: call.params['id'], vm: call.params['name'] });
      const checked = body === null ? (undefined as B) : check(body, call.body, 'body');
      if (typeof checked === 'object' && checked !== null && 'job' in checked)
        call.about({ job: String(checked.job) });
      return handle({ ...call, query: check(query, call.query, 'query'), body: checked });
    },
  };
};

/** The name of the token that the call came with. */
export const whoOf = ({ identity }: Call<unknown, unknown>): string => identity?.name ?? '';

/** The value of an answer; a refusal becomes the problem of the same code. */
export const valueOf = <T>(answer: Answer<T>): T => {
  if (answer.kind === 'done') return answer.value;
  throw new HttpProblem(answer.code, answer.detail, {
    ...(answer.code === 'unavailable' ? { headers: { 'Retry-After': '5' } } : {}),
  });
};

/** The service, or that of the one pool which the query names. */
export const servedPool = ({ service, query }: Call<unknown, PoolQuery>): PoolService => {
  if (query.pool === undefined) return service;
  const only = service.only(query.pool);
  if (only === null) throw new HttpProblem(problemCodes.notFound, `There is no pool ${query.pool} here.`);
  return only;
};
