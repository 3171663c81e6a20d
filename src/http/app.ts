import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import express, { type NextFunction, type Request, type Response } from 'express';
import helmet from 'helmet';
import type { Log } from '../service/log.js';
import type { PoolService } from '../service/port.js';
import { problemCodes, type ProblemCode } from './api.js';
import { authenticate, type Identity, type KnownToken } from './authenticate.js';
import type { FailedAuthLimit } from './failed-auth-limit.js';
import { HttpProblem, problemOf, sendProblem } from './problem.js';
import type { Ids, Route } from './route.js';

export interface AppParts {
  readonly routes: readonly Route[];
  readonly service: PoolService;
  readonly log: Log;
  readonly bodyBytes: number;
  readonly failedAuth: FailedAuthLimit;
  readonly newRequestId: () => string;
  /** Read at each request: they change on reload. */
  readonly tokens: () => readonly KnownToken[];
  readonly maxWaitMs: () => number;
  readonly notReady: () => string | null;
  readonly metrics: () => Promise<string>;
  /** Is told of each problem that is answered; the route is empty where there is none. */
  readonly onProblem: (route: string, code: ProblemCode) => void;
  /** Fires when the service stops. */
  readonly stopping: AbortSignal;
}

/** What is known of a request while it is answered. */
interface Context {
  readonly id: string;
  identity: Identity | null;
  /** Null where there is none at the address. */
  route: Route | null;
  readonly about: Ids;
}

const contexts = new WeakMap<Request, Context>();
const contextOf = (request: Request): Context => {
  const found = contexts.get(request);
  if (found !== undefined) return found;
  throw new Error('a request without a context');
};

/** Express, with its routes registered from the table and nothing else. Holds no state of the pool. */
export const createApp = (parts: AppParts): express.Express => {
  const app = express();
  app.disable('x-powered-by').disable('etag');
  // Addresses are those of the connection: X-Forwarded-* is anybody's word.
  app.set('trust proxy', false).set('query parser', 'simple').set('case sensitive routing', true);
  app.use(begin(parts));
  app.use(helmet());

  const readBody = ({ bodyBytes }: Route): express.RequestHandler =>
    express.json({ limit: Math.max(parts.bodyBytes, bodyBytes), inflate: false, type: () => true });
  const methods = new Map<string, string[]>();
  for (const route of parts.routes) {
    methods.set(route.path, [...(methods.get(route.path) ?? []), route.method]);
    const steps = [
      allow(parts, route),
      ...(route.body === null ? [] : [requireJson, readBody(route)]),
      answer(parts, route),
    ];
    if (route.method === 'GET') app.get(route.path, ...steps);
    else if (route.method === 'POST') app.post(route.path, ...steps);
    else app.delete(route.path, ...steps);
  }
  for (const [path, known] of methods) {
    const allowed = known.flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method])).join(', ');
    app.all(path, () => {
      throw new HttpProblem(problemCodes.methodNotAllowed, `Use ${allowed}.`, {
        headers: { Allow: allowed },
      });
    });
  }
  app.use(() => {
    throw new HttpProblem(problemCodes.notFound, 'There is nothing at this address.');
  });
  app.use(fail(parts));
  return app;
};

const begin =
  ({ log, newRequestId, stopping }: AppParts) =>
  (request: Request, response: Response, next: NextFunction): void => {
    const context: Context = { id: newRequestId(), identity: null, route: null, about: {} };
    contexts.set(request, context);
    const started = performance.now();
    response.setHeader('X-Request-Id', context.id);
    response.setHeader('Cache-Control', 'no-store');
    if (stopping.aborted) response.setHeader('Connection', 'close');
    response.once('close', () => {
      const route = context.route?.path ?? '';
      const fields = {
        requestId: context.id,
        method: request.method,
        route,
        status: response.writableFinished ? response.statusCode : null,
        ms: Math.round(performance.now() - started),
        who: context.identity?.name ?? null,
        address: request.socket.remoteAddress ?? null,
        ...context.about,
      };
      // What monitoring asks every few seconds would drown the rest.
      if (route.endsWith('z')) log.debug(fields, 'answered');
      else log.info(fields, response.writableFinished ? 'answered' : 'the client left before the answer');
    });
    next();
  };

const allow =
  (parts: AppParts, route: Route) =>
  (request: Request, _response: Response, next: NextFunction): void => {
    const context = contextOf(request);
    context.route = route;
    if (route.roles.length > 0) {
      const { authorization } = request.headers;
      context.identity = authenticate(authorization, parts.tokens(), (id) => parts.service.capability(id));
      if (context.identity === null) {
        const wait = parts.failedAuth.fail(request.socket.remoteAddress ?? '');
        if (wait !== null) {
          throw new HttpProblem(problemCodes.tooMany, 'Too many failed authentications from this address.', {
            headers: { 'Retry-After': String(wait) },
          });
        }
        throw new HttpProblem(
          problemCodes.unauthorised,
          authorization === undefined
            ? 'Send a token: Authorization: Bearer ...'
            : 'This token is not known here.',
          { headers: { 'WWW-Authenticate': 'Bearer realm="vmpool"' } },
        );
      }
      if (!route.roles.includes(context.identity.role)) {
        throw new HttpProblem(problemCodes.forbidden, `The role ${context.identity.role} may not do this.`);
      }
      if (parts.stopping.aborted) {
        throw new HttpProblem(problemCodes.unavailable, 'The service is stopping. Try again.', {
          headers: { 'Retry-After': '5' },
        });
      }
    }
    next();
  };

const requireJson = (request: Request, _response: Response, next: NextFunction): void => {
  const [type = ''] = (request.headers['content-type'] ?? '').split(';');
  const hasBody =
    request.headers['transfer-encoding'] !== undefined ||
    !['0', undefined].includes(request.headers['content-length']);
  if (hasBody && type.trim().toLowerCase() !== 'application/json') {
    throw new HttpProblem(problemCodes.unsupportedMediaType, 'Send the body as application/json.');
  }
  next();
};

const answer =
  (parts: AppParts, route: Route) =>
  async (request: Request, response: Response): Promise<void> => {
    const context = contextOf(request);
    const left = new AbortController();
    const leave = (): void => {
      left.abort();
    };
    response.once('close', leave);
    try {
      const reply = await route.handle({
        service: parts.service,
        identity: context.identity,
        params: Object.fromEntries(
          Object.entries(request.params).map(([name, value]) => [name, String(value)]),
        ),
        // No body at all is the empty object: whatever is required is then named as missing.
        body: (request.body as unknown) ?? {},
        query: { ...request.query },
        maxWaitMs: parts.maxWaitMs(),
        signal: () => AbortSignal.any([left.signal, parts.stopping]),
        notReady: parts.notReady,
        metrics: parts.metrics,
        about: (ids) => void Object.assign(context.about, ids),
      });
      if (response.destroyed) return;
      if (parts.stopping.aborted) response.setHeader('Connection', 'close');
      for (const [name, value] of Object.entries(reply.headers ?? {})) response.setHeader(name, value);
      if (isStream(reply.body)) {
        response.status(reply.status).type(route.produces);
        await pipeline(Readable.from(reply.body), response);
        return;
      }
      const text = route.produces === 'application/json' ? JSON.stringify(reply.body) : String(reply.body);
      response.status(reply.status).type(route.produces).send(text);
    } catch (error) {
      // Who leaves in the middle of a stream has seen enough of it.
      if (!left.signal.aborted || !response.headersSent) throw error;
    } finally {
      response.removeListener('close', leave);
    }
  };

const isStream = (body: unknown): body is AsyncIterable<string> =>
  typeof body === 'object' && body !== null && Symbol.asyncIterator in body;

const fail =
  ({ log, onProblem }: AppParts) =>
  (error: unknown, request: Request, response: Response, _next: NextFunction): void => {
    const problem = problemOf(error);
    const { id, route: known } = contextOf(request);
    const route = known?.path ?? '';
    if (problem.code === problemCodes.internal) {
      log.error({ requestId: id, route, err: error }, 'a request failed in the service');
    } else if (!(error instanceof HttpProblem) && problem.code === problemCodes.unavailable) {
      log.warn({ requestId: id, route, err: error }, 'a request could not be answered');
    }
    if (response.headersSent || response.destroyed) {
      response.destroy();
      return;
    }
    onProblem(known === null ? '' : `${known.method} ${known.path}`, problem.code);
    sendProblem(response, problem, id);
  };
