import express, { type Express, type NextFunction, type Request, type Response, type Router } from 'express';
import type { Clock } from './clock.js';
import type { Compute } from './compute/compute.js';
import { newRequestId } from './compute/compute.js';
import { microversionText, parseMicroversion, type MicroversionRange } from './compute/microversion.js';
import { computeRoutes, computeVersion } from './compute/routes.js';
import type { Faults } from './faults.js';
import { contextOf } from './http/context.js';
import { ApiError, sendError, type ServiceName } from './http/errors.js';
import type { Identity } from './identity/identity.js';
import type { CatalogPlace } from './identity/catalog.js';
import { identityRoutes, identityVersion } from './identity/routes.js';
import { imageRoutes, type Images } from './image/images.js';
import type { Journal, JournalEntry } from './journal.js';
import type { NetworkState } from './network/network.js';
import { networkRoutes } from './network/routes.js';
import { drawFrom, type Timing } from './options.js';
import { volumeRoutes, volumeVersion } from './volume/routes.js';
import type { Volumes } from './volume/volumes.js';

export interface AppParts {
  readonly clock: Clock;
  readonly random: () => number;
  readonly timing: () => Timing;
  readonly identity: Identity;
  readonly compute: Compute;
  readonly network: NetworkState;
  readonly images: Images;
  readonly volumes: Volumes;
  readonly microversions: MicroversionRange;
  readonly regions: readonly string[];
  readonly doors: boolean;
  readonly basePath: string;
  readonly faults: Faults;
  readonly journal: Journal;
  readonly control: Router;
  /** True while every call is cut off. */
  readonly isDown: () => boolean;
  /** `http://HOST:PORT` with the path before every service, known once it listens. */
  readonly origin: () => string;
}

const requestIds = new WeakMap<object, string>();

export function requestIdOf(request: object): string {
  let id = requestIds.get(request);
  if (id === undefined) {
    id = newRequestId();
    requestIds.set(request, id);
  }
  return id;
}

/** Paths that answer without a token. */
function isPublic(service: ServiceName, method: string, path: string): boolean {
  if (service === 'identity')
    return (method === 'POST' && path === '/v3/auth/tokens') || path === '/' || /^\/v3\/?$/.test(path);
  if (service === 'compute') return path === '/' || /^\/v2\.1\/?$/.test(path);
  if (service === 'network') return path === '/' || /^\/v2\.0\/?$/.test(path);
  if (service === 'volume') return path === '/' || /^\/v3\/?$/.test(path);
  return path === '/' || path === '/versions';
}

function wait(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => {
    clock.after(ms, resolve);
  });
}

/** Writes a call into the journal, and makes it late or wrong where that was ordered. */
function callLayer(parts: AppParts, service: ServiceName) {
  return async (request: Request, response: Response, next: NextFunction): Promise<void> => {
    const started = parts.clock.now();
    const call = { service, method: request.method, path: request.url };
    const context = contextOf(request);
    const door = context.door ?? '';
    const entry: JournalEntry = {
      at: started,
      ...call,
      status: 0,
      durationMs: 0,
      door,
      user: null,
      project: null,
      auth: null,
    };
    context.entry = entry;
    parts.journal.add(entry);
    response.on('finish', () => {
      entry.status = response.statusCode;
      entry.durationMs = parts.clock.now() - started;
    });
    response.set('x-openstack-request-id', requestIdOf(request));
    if (service === 'compute') response.set('x-compute-request-id', requestIdOf(request));
    if (parts.isDown() || parts.faults.strikeCall('connection-reset', call)) {
      request.socket.destroy();
      return;
    }
    const delay =
      drawFrom(parts.timing().latencyMs, parts.random) + (parts.faults.strikeCall('api-slow', call)?.ms ?? 0);
    if (delay > 0) await wait(parts.clock, delay);
    const ordered = parts.faults.strikeCall('api-error', call);
    if (ordered)
      throw new ApiError(
        ordered.status,
        ordered.message ?? 'Unexpected API Error. Please report this to the cloud’s operator.',
        'HTTPInternalServerError',
        ordered.retryAfterS === undefined ? {} : { 'Retry-After': String(ordered.retryAfterS) },
      );
    if (parts.faults.strikeCall('lost-answer', call)) {
      response.json = () => {
        request.socket.destroy();
        return response;
      };
      response.end = () => {
        request.socket.destroy();
        return response;
      };
    }
    next();
  };
}

function authLayer(parts: AppParts, service: ServiceName) {
  return (request: Request, response: Response, next: NextFunction): void => {
    if (!isPublic(service, request.method, request.path)) {
      const token = parts.identity.validate(request.get('X-Auth-Token'));
      if (!token) {
        response.set('WWW-Authenticate', `Keystone uri="${parts.origin()}/identity"`);
        throw new ApiError(401, 'The request you have made requires authentication.');
      }
      const context = contextOf(request);
      context.token = token;
      if (context.entry !== undefined) {
        context.entry.user = token.user.name;
        context.entry.project = token.project?.name ?? null;
        context.entry.auth = token.methods[0] ?? null;
      }
    }
    next();
  };
}

function microversionLayer(range: MicroversionRange) {
  return (request: Request, response: Response, next: NextFunction): void => {
    const version = parseMicroversion(
      request.get('OpenStack-API-Version'),
      request.get('X-OpenStack-Nova-API-Version'),
      range,
    );
    contextOf(request).microversion = version;
    response.set({
      'OpenStack-API-Version': `compute ${microversionText(version)}`,
      'X-OpenStack-Nova-API-Version': microversionText(version),
      Vary: 'OpenStack-API-Version, X-OpenStack-Nova-API-Version',
    });
    next();
  };
}

function errorLayer(service: ServiceName) {
  return (error: unknown, _request: Request, response: Response, _next: NextFunction): void => {
    if (response.headersSent) {
      response.destroy();
      return;
    }
    if (error instanceof ApiError) sendError(response, service, error);
    else if (error instanceof SyntaxError)
      sendError(response, service, new ApiError(400, 'Malformed request body'));
    else {
      const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
      sendError(response, service, new ApiError(500, `Unexpected API Error. ${text}`));
    }
  };
}

function service(parts: AppParts, name: ServiceName, build: (router: Router) => void): Router {
  const router = express.Router();
  router.use(callLayer(parts, name));
  if (name === 'compute') router.use(microversionLayer(parts.microversions));
  router.use(express.json({ limit: '4mb', type: () => true, strict: false }));
  router.use(authLayer(parts, name));
  build(router);
  router.use(() => {
    throw new ApiError(404, 'The resource could not be found.', 'HTTPNotFound');
  });
  router.use(errorLayer(name));
  return router;
}

/** Each service under a path of its own, as the catalog says. */
function services(parts: AppParts): Router {
  const { origin, microversions } = parts;
  const place = (): CatalogPlace => ({ origin: origin(), regions: parts.regions, doors: parts.doors });
  const all = express.Router();
  all.use(
    '/identity',
    service(parts, 'identity', (router) => {
      router.get('/', (_request, response) => {
        response.status(300).json({ versions: { values: [identityVersion(origin())] } });
      });
      router.get('/v3', (_request, response) => {
        response.json({ version: identityVersion(origin()) });
      });
      router.use('/v3', identityRoutes(parts.identity, place));
    }),
  );
  all.use(
    '/compute',
    service(parts, 'compute', (router) => {
      router.get('/', (_request, response) => {
        response.json({ versions: [computeVersion(origin(), microversions)] });
      });
      router.get('/v2.1', (_request, response) => {
        response.json({ version: computeVersion(origin(), microversions) });
      });
      router.use('/v2.1', computeRoutes({ compute: parts.compute, origin, requestIdOf }));
    }),
  );
  all.use(
    '/network',
    service(parts, 'network', (router) => {
      router.get('/', (_request, response) => {
        response.json({
          versions: [
            { id: 'v2.0', status: 'CURRENT', links: [{ rel: 'self', href: `${origin()}/network/v2.0/` }] },
          ],
        });
      });
      router.get('/v2.0', (_request, response) => {
        response.json({ resources: [] });
      });
      router.use('/v2.0', networkRoutes(parts.network, origin));
    }),
  );
  all.use(
    '/image',
    service(parts, 'image', (router) => {
      router.get(['/', '/versions'], (_request, response) => {
        response.status(300).json({
          versions: [
            { id: 'v2.9', status: 'CURRENT', links: [{ rel: 'self', href: `${origin()}/image/v2/` }] },
          ],
        });
      });
      router.use('/v2', imageRoutes(parts.images));
    }),
  );
  all.use(
    '/volume',
    service(parts, 'volume', (router) => {
      const { volumes, images } = parts;
      router.get(['/', '/v3'], (_request, response) => {
        response.json({ versions: [volumeVersion(origin())] });
      });
      router.use('/v3/:project', volumeRoutes({ volumes, images, origin, zones: parts.compute.parts.zones }));
    }),
  );
  return all;
}

/** The whole cloud behind one listener. */
export function createApp(parts: AppParts): Express {
  const { origin } = parts;
  const whole = express.Router();
  const all = services(parts);
  whole.use('/_control', parts.control);
  whole.use('/at/:region/:interface', (request, _response, next) => {
    contextOf(request).door = `${request.params.region}/${request.params.interface}`;
    next();
  });
  whole.use('/at/:region/:interface', all);
  whole.use(all);
  whole.get('/', (_request, response) => {
    response.json({
      embedded: true,
      identity: `${origin()}/identity/v3`,
      compute: microversionText(parts.microversions.min),
    });
  });

  const app = express();
  app.disable('x-powered-by');
  app.set('etag', false);
  app.set('query parser', 'simple');
  app.use(parts.basePath || '/', whole);
  return app;
}
