import { Router, type Request } from 'express';
import { z } from 'zod';
import { isoSeconds } from '../clock.js';
import { bodyOf, projectOf, query, queryAll } from '../http/context.js';
import { badRequest, conflict, notFound } from '../http/errors.js';
import { nextLink, pageOf } from '../http/paging.js';
import { actOn } from './actions.js';
import { wantedServer } from './create-body.js';
import { labelRoutes } from './label-routes.js';
import { callerOf, isAdmin, serverOf, versionOf, type ComputeRouting } from './routing.js';
import { newPassword } from './compute.js';
import { vmState, type Server, type ServerAction } from './model.js';
import { addressesView, briefView, serverView } from './server-view.js';

const text = z.string();

const updateSchema = z.looseObject({
  server: z.looseObject({
    name: text.trim().min(1).max(255).optional(),
    description: text.max(255).nullish(),
  }),
});

function listed(routing: ComputeRouting, request: Request, version: number): Server[] {
  const { compute } = routing;
  const { faults } = compute.parts;
  const project = projectOf(request);
  const allTenants =
    isAdmin(request) && ['1', 'true', 'True', ''].includes(query(request, 'all_tenants') ?? 'no');
  let servers = [...compute.servers.values()];
  const changesSince = query(request, 'changes-since');
  if (changesSince !== undefined) {
    const since = Date.parse(changesSince);
    if (Number.isNaN(since)) throw badRequest('Invalid changes-since value');
    servers = [...servers, ...compute.gone.values()].filter(
      (each) => (each.terminatedAt ?? each.updatedAt) >= since,
    );
  }
  const before = query(request, 'changes-before');
  if (before !== undefined && version >= 266)
    servers = servers.filter((each) => each.updatedAt <= Date.parse(before));
  const stale = faults
    .list()
    .some((fault) => fault.effect.kind === 'listing' && fault.effect.mode !== 'omit');
  const listing = stale ? faults.strikeServer('listing', '') : undefined;
  if (listing?.mode === 'empty') servers = [];
  if (listing?.mode === 'stale') servers = [...compute.staleListing];
  if (!stale) servers = servers.filter((each) => faults.strikeServer('listing', each.name) === undefined);
  const name = query(request, 'name');
  const matching = name === undefined ? undefined : new RegExp(name);
  const status = queryAll(request, 'status').map((each) => each.toUpperCase());
  const tagList = (key: string): string[] | undefined =>
    version >= 226 ? query(request, key)?.split(',') : undefined;
  const [tags, anyTag, notTags, notAny] = ['tags', 'tags-any', 'not-tags', 'not-tags-any'].map(tagList);
  const exact: readonly [string, (server: Server) => string | null][] = [
    ['image', (each) => each.imageId],
    ['flavor', (each) => each.flavor.id],
    ['key_name', (each) => each.keyName],
    ['uuid', (each) => each.id],
    ['vm_state', (each) => vmState(each)],
    ['task_state', (each) => each.taskState],
    ['user_id', (each) => each.userId],
    ['availability_zone', (each) => each.availabilityZone],
  ];
  return servers
    .filter(
      (each) =>
        (allTenants || each.projectId === project) &&
        (!matching || matching.test(each.name)) &&
        (status.length === 0 || status.includes(each.status)) &&
        (!tags || tags.every((tag) => each.tags.includes(tag))) &&
        (!anyTag || anyTag.some((tag) => each.tags.includes(tag))) &&
        (!notTags || !notTags.every((tag) => each.tags.includes(tag))) &&
        (!notAny || !notAny.some((tag) => each.tags.includes(tag))) &&
        exact.every(([key, value]) => {
          const wanted = query(request, key);
          return wanted === undefined || value(each) === wanted;
        }),
    )
    .sort((left, right) => right.createdAt - left.createdAt || (left.id < right.id ? -1 : 1));
}

function actionView(server: Server, action: ServerAction, version: number): object {
  return {
    instance_uuid: server.id,
    action: action.action,
    request_id: action.requestId,
    user_id: action.userId,
    project_id: action.projectId,
    start_time: isoSeconds(action.startAt).replace('Z', '.000000'),
    message: action.message,
    ...(version >= 258 && { updated_at: isoSeconds(action.updatedAt).replace('Z', '.000000') }),
  };
}

/** /servers and what hangs on one server. */
export function serverRoutes(routing: ComputeRouting): Router {
  const { compute, origin } = routing;
  const router = Router();
  const find = (request: object, id: string): Server => serverOf(routing, request, id);

  router.post('/servers', (request, response) => {
    const server = compute.create(wantedServer(request, versionOf(request)), callerOf(routing, request));
    response
      .status(202)
      .location(`${origin()}/compute/v2.1/servers/${server.id}`)
      .json({
        server: {
          ...briefView(server, origin()),
          'OS-DCF:diskConfig': 'MANUAL',
          security_groups: server.securityGroups.map((id) => ({
            name: compute.parts.network.groups.get(id)?.name ?? id,
          })),
          adminPass: newPassword(),
        },
      });
  });

  router.get(['/servers', '/servers/detail'], (request, response) => {
    const version = versionOf(request);
    const detail = request.path.endsWith('/detail');
    const page = pageOf(listed(routing, request, version), query(request, 'limit'), query(request, 'marker'));
    response.json({
      servers: page.items.map((server) =>
        detail ? serverView(compute, server, version, origin()) : briefView(server, origin()),
      ),
      ...(page.next !== undefined && {
        servers_links: [{ rel: 'next', href: nextLink(origin(), request.originalUrl, page.next) }],
      }),
    });
  });

  router.get('/servers/:id', (request, response) => {
    response.json({
      server: serverView(compute, find(request, request.params.id), versionOf(request), origin()),
    });
  });

  router.put('/servers/:id', (request, response) => {
    const server = find(request, request.params.id);
    const { server: wanted } = bodyOf(request, updateSchema);
    if (wanted.name !== undefined) server.name = wanted.name;
    if (wanted.description !== undefined) {
      if (versionOf(request) < 219)
        throw badRequest("Additional properties are not allowed ('description' was unexpected)");
      server.description = wanted.description;
    }
    server.updatedAt = compute.parts.clock.now();
    response.json({ server: serverView(compute, server, versionOf(request), origin()) });
  });

  router.delete('/servers/:id', (request, response) => {
    compute.delete(find(request, request.params.id), callerOf(routing, request));
    response.status(204).end();
  });

  router.post('/servers/:id/action', async (request, response) => {
    const server = find(request, request.params.id);
    const answer = await actOn(
      compute,
      server,
      bodyOf(request, z.record(text, z.unknown())),
      callerOf(routing, request),
    );
    response.status(answer.status);
    if (answer.body && 'rebuilt' in answer.body)
      response.location(`${origin()}/compute/v2.1/servers/${server.id}`).json({
        server: { ...serverView(compute, server, versionOf(request), origin()), adminPass: newPassword() },
      });
    else if (answer.body) response.json(answer.body);
    else response.end();
  });

  router.use(labelRoutes(routing));

  /** Action logs outlive their servers since 2.21. */
  const withActions = (request: object, id: string): Server => {
    const gone = compute.gone.get(id);
    if (gone && versionOf(request) >= 221 && (isAdmin(request) || gone.projectId === projectOf(request)))
      return gone;
    return find(request, id);
  };
  router.get('/servers/:id/os-instance-actions', (request, response) => {
    const server = withActions(request, request.params.id);
    response.json({
      instanceActions: server.actions.map((action) => actionView(server, action, versionOf(request))),
    });
  });
  router.get('/servers/:id/os-instance-actions/:request', (request, response) => {
    const server = withActions(request, request.params.id);
    const action = server.actions.find((each) => each.requestId === request.params.request);
    if (!action)
      throw notFound(`Action for request_id ${request.params.request} on instance ${server.id} not found`);
    response.json({
      instanceAction: {
        ...actionView(server, action, versionOf(request)),
        events: action.events.map((event) => ({
          event: event.event,
          start_time: isoSeconds(event.startAt).replace('Z', '.000000'),
          finish_time: event.finishAt === null ? null : isoSeconds(event.finishAt).replace('Z', '.000000'),
          result: event.result,
          traceback: null,
        })),
      },
    });
  });

  router.get('/servers/:id/ips', (request, response) => {
    response.json({ addresses: addressesView(compute, find(request, request.params.id)) });
  });
  router.get('/servers/:id/os-security-groups', (request, response) => {
    const server = find(request, request.params.id);
    response.json({
      security_groups: server.securityGroups.map((id) => {
        const group = compute.parts.network.groups.get(id);
        return {
          id,
          name: group?.name ?? id,
          description: group?.description ?? '',
          tenant_id: server.projectId,
          rules: [],
        };
      }),
    });
  });
  router.get('/servers/:id/os-volume_attachments', (request, response) => {
    const server = find(request, request.params.id);
    response.json({
      volumeAttachments: compute.parts.volumes.attachedTo(server.id).map((volume) => ({
        id: volume.id,
        volumeId: volume.id,
        serverId: server.id,
        device: volume.attachment?.device ?? '',
      })),
    });
  });

  const interfaceView = (server: Server): object[] =>
    compute.parts.network.portsOf(server.id).map((port) => ({
      net_id: port.networkId,
      port_id: port.id,
      mac_addr: port.mac,
      port_state: 'ACTIVE',
      fixed_ips: port.fixedIps.map((ip) => ({ subnet_id: ip.subnetId, ip_address: ip.address })),
    }));
  router.get('/servers/:id/os-interface', (request, response) => {
    response.json({ interfaceAttachments: interfaceView(find(request, request.params.id)) });
  });
  router.post('/servers/:id/os-interface', (request, response) => {
    const server = find(request, request.params.id);
    const wanted = bodyOf(
      request,
      z.looseObject({
        interfaceAttachment: z.looseObject({ port_id: text.optional(), net_id: text.optional() }).optional(),
      }),
    ).interfaceAttachment;
    const { network } = compute.parts;
    let port;
    if (wanted?.port_id !== undefined) {
      port = network.port(wanted.port_id);
      if (port.deviceId) throw conflict(`Port ${port.id} is still in use.`);
      port.deviceId = server.id;
      port.deviceOwner = 'compute:nova';
    } else {
      port = network.createPort({
        networkId: wanted?.net_id ?? '',
        projectId: server.projectId,
        deviceId: server.id,
        deviceOwner: 'compute:nova',
        ownedByServer: true,
      });
    }
    compute.log(server, 'attach_interface', callerOf(routing, request), 'compute_attach_interface')();
    network.onAddressesChanged(server.id);
    const id = port.id;
    response.json({
      interfaceAttachment: interfaceView(server).find((each) => 'port_id' in each && each.port_id === id),
    });
  });
  router.delete('/servers/:id/os-interface/:port', (request, response) => {
    const server = find(request, request.params.id);
    const port = compute.parts.network.portsOf(server.id).find((each) => each.id === request.params.port);
    if (!port) throw notFound(`Port id ${request.params.port} could not be found.`);
    compute.log(server, 'detach_interface', callerOf(routing, request), 'compute_detach_interface')();
    if (port.ownedByServer) compute.parts.network.deletePort(port);
    else port.deviceId = port.deviceOwner = '';
    compute.parts.network.onAddressesChanged(server.id);
    response.status(202).end();
  });

  return router;
}
