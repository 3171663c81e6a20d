import { timingSafeEqual } from 'node:crypto';
import express, { type NextFunction, type Request, type Response, type Router } from 'express';
import { z } from 'zod';
import { newRequestId, type Compute } from './compute/compute.js';
import { vmState, type Server } from './compute/model.js';
import { faultOrderSchema, glob, type Faults } from './faults.js';
import type { Identity } from './identity/identity.js';
import type { Images } from './image/images.js';
import type { Journal } from './journal.js';
import { quotasSchema, timingSchema, type Quotas, type Timing } from './options.js';

export interface ControlParts {
  readonly token: string;
  readonly compute: Compute;
  readonly identity: Identity;
  readonly images: Images;
  readonly faults: Faults;
  readonly journal: Journal;
  readonly timing: { get(): Timing; set(timing: Timing): void };
  readonly quotas: {
    get(project: string): Quotas;
    set(project: string | undefined, quotas: Partial<Quotas>): void;
  };
  /** Cuts every API call off (`reset`) or stops listening altogether (`refuse`) for a time. */
  readonly takeDown: (mode: 'reset' | 'refuse', ms: number) => void;
}

const fields = timingSchema.shape;
const timingChange = z.strictObject({
  buildMs: fields.buildMs.unwrap().optional(),
  sshMs: fields.sshMs.unwrap().optional(),
  deleteMs: fields.deleteMs.unwrap().optional(),
  latencyMs: fields.latencyMs.unwrap().optional(),
});
const QUOTA_NAMES = Object.keys(quotasSchema.shape) as (keyof Quotas)[];
const quotaChange = z.strictObject({
  project: z.string().optional(),
  quotas: z.partialRecord(z.enum(QUOTA_NAMES), z.int()),
});
const downSchema = z.strictObject({
  mode: z.enum(['reset', 'refuse']).default('reset'),
  ms: z.number().positive(),
});
const serverOrderSchema = z.discriminatedUnion('do', [
  /** The machine ends. `silent`: peers are not told. `status`: what Nova then says, ACTIVE if it has not noticed. */
  z.strictObject({
    do: z.literal('die'),
    silent: z.boolean().default(false),
    status: z.enum(['ACTIVE', 'SHUTOFF', 'ERROR']).default('ACTIVE'),
  }),
  z.strictObject({ do: z.literal('network'), mode: z.enum(['answer', 'mute', 'drop', 'refuse']) }),
  z.strictObject({ do: z.literal('host-key') }),
  z.strictObject({ do: z.literal('disk'), full: z.boolean() }),
  z.strictObject({
    do: z.literal('status'),
    status: z.enum(['ACTIVE', 'ERROR', 'SHUTOFF']),
    message: z.string().optional(),
  }),
]);
export type ServerOrder = z.input<typeof serverOrderSchema>;

class ControlError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

function parse<Schema extends z.ZodType>(schema: Schema, body: unknown): z.output<Schema> {
  const parsed = schema.safeParse(body ?? {});
  if (!parsed.success) throw new ControlError(400, z.prettifyError(parsed.error));
  return parsed.data;
}

function sameToken(given: string | undefined, wanted: string): boolean {
  const [left, right] = [Buffer.from(given ?? ''), Buffer.from(wanted)];
  return left.length === right.length && timingSafeEqual(left, right);
}

function serverSummary(server: Server): object {
  return {
    id: server.id,
    name: server.name,
    status: server.status,
    vmState: vmState(server),
    taskState: server.taskState,
    initPid: server.machine?.initPid ?? null,
    actions: server.actions.map((action) => action.action),
  };
}

/** The control API below /_control: its own JSON, outside OpenStack. */
export function controlRoutes(parts: ControlParts): Router {
  const { compute, faults, journal } = parts;
  const router = express.Router();
  router.use((request, _response, next) => {
    if (!sameToken(request.get('X-Control-Token'), parts.token))
      throw new ControlError(401, 'the control token is missing or wrong (header X-Control-Token)');
    next();
  });
  router.use(express.json({ limit: '1mb' }));

  router.get('/timing', (_request, response) => {
    response.json(parts.timing.get());
  });
  router.put('/timing', (request, response) => {
    const changes = Object.fromEntries(
      Object.entries(parse(timingChange, request.body)).filter(([, value]) => value !== undefined),
    );
    parts.timing.set({ ...parts.timing.get(), ...changes });
    response.json(parts.timing.get());
  });
  router.put('/quotas', (request, response) => {
    const { project, quotas } = parse(quotaChange, request.body);
    const changed: Partial<Quotas> = {};
    for (const name of QUOTA_NAMES) if (quotas[name] !== undefined) changed[name] = quotas[name];
    parts.quotas.set(project === undefined ? undefined : parts.identity.project(project).id, changed);
    response.status(204).end();
  });

  router.get('/faults', (_request, response) => {
    response.json({ faults: faults.list() });
  });
  router.post('/faults', (request, response) => {
    const order = parse(faultOrderSchema, request.body);
    if (order.effect.kind === 'listing' && order.effect.mode === 'stale')
      compute.staleListing = [...compute.servers.values()].map((server) => ({ ...server }));
    response.status(201).json(faults.order(order));
  });
  router.delete('/faults', (_request, response) => {
    faults.clear();
    response.status(204).end();
  });
  router.delete('/faults/:id', (request, response) => {
    faults.clear(request.params.id);
    response.status(204).end();
  });

  router.post('/down', (request, response) => {
    const { mode, ms } = parse(downSchema, request.body);
    response.on('finish', () => parts.takeDown(mode, ms));
    response.status(204).end();
  });

  router.get('/journal', (request, response) => {
    const text = (name: string): string | undefined => {
      const value = request.query[name];
      return typeof value === 'string' ? value : undefined;
    };
    const [method, service, path] = [text('method'), text('service'), text('path')];
    response.json({
      calls: journal.list({
        ...(method && { method }),
        ...(service && { service }),
        ...(path && { path: glob(path) }),
      }),
    });
  });
  router.delete('/journal', (_request, response) => {
    journal.clear();
    response.status(204).end();
  });

  router.post('/tokens/revoke', (_request, response) => {
    parts.identity.revokeAll();
    response.status(204).end();
  });
  router.post('/tokens', (request, response) => {
    const { user, project } = parse(
      z.strictObject({ user: z.string(), project: z.string().default('demo') }),
      request.body,
    );
    const token = parts.identity.issueTo(user, project);
    response
      .status(201)
      .json({ token: token.value, userId: token.user.id, projectId: token.project?.id ?? '' });
  });
  router.post('/tokens/valid', (request, response) => {
    const { token } = parse(z.strictObject({ token: z.string() }), request.body);
    response.json({ valid: parts.identity.validate(token) !== undefined });
  });
  router.put('/tokens/lifetime', (request, response) => {
    parts.identity.tokenLifetimeMs =
      parse(z.strictObject({ seconds: z.number().positive() }), request.body).seconds * 1000;
    response.status(204).end();
  });
  router.post('/application-credentials', (request, response) => {
    const wanted = parse(
      z.strictObject({
        user: z.string().default('demo'),
        project: z.string().default('demo'),
        name: z.string(),
        unrestricted: z.boolean().default(false),
      }),
      request.body,
    );
    const user = parts.identity.users.find((each) => each.name === wanted.user);
    if (!user) throw new ControlError(404, `there is no user ${wanted.user}`);
    const project = parts.identity.project(wanted.project);
    const { id, secret } = parts.identity.createApplicationCredential(
      { user, project, roles: user.roles[project.id] ?? [] },
      wanted,
    );
    response.status(201).json({ id, secret });
  });

  router.put('/images/:image', (request, response) => {
    const image = parts.images.all.find(
      (each) => each.id === request.params.image || each.name === request.params.image,
    );
    if (!image) throw new ControlError(404, `there is no image ${request.params.image}`);
    image.status = parse(
      z.strictObject({ status: z.enum(['active', 'deactivated', 'deleted']) }),
      request.body,
    ).status;
    response.status(204).end();
  });

  const server = (nameOrId: string): Server => {
    const found =
      compute.servers.get(nameOrId) ?? [...compute.servers.values()].find((each) => each.name === nameOrId);
    if (!found) throw new ControlError(404, `there is no server ${nameOrId}`);
    return found;
  };
  router.get('/servers', (_request, response) => {
    response.json({ servers: [...compute.servers.values()].map(serverSummary) });
  });
  router.delete('/servers/:server', (request, response) => {
    const found = server(request.params.server);
    found.locked = false;
    compute.delete(found, { userId: 'operator', projectId: found.projectId, requestId: newRequestId() });
    response.status(204).end();
  });
  router.post('/servers/:server', async (request, response) => {
    const found = server(request.params.server);
    const order = parse(serverOrderSchema, request.body);
    switch (order.do) {
      case 'die':
        await found.machine?.stop(order.silent ? 'drop' : 'refuse');
        compute.change(found, order.status, null);
        break;
      case 'network':
        await found.machine?.network(order.mode);
        break;
      case 'host-key':
        await found.machine?.changeHostKey();
        break;
      case 'disk':
        await found.machine?.fillDisk(order.full);
        break;
      case 'status':
        if (order.message !== undefined)
          found.fault = { message: order.message, code: 500, created: compute.parts.clock.now() };
        compute.change(found, order.status, null);
        break;
    }
    response.json(serverSummary(found));
  });

  router.use(() => {
    throw new ControlError(404, 'the control API has no such call');
  });
  router.use((error: unknown, _request: Request, response: Response, _next: NextFunction) => {
    const status = error instanceof ControlError ? error.status : error instanceof SyntaxError ? 400 : 500;
    response.status(status).json({ error: error instanceof Error ? error.message : String(error) });
  });
  return router;
}
