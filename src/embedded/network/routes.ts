import { Router } from 'express';
import { z } from 'zod';
import { bodyOf, projectOf, queryAll } from '../http/context.js';
import { badRequest, conflict, notFound } from '../http/errors.js';
import type { Quotas } from '../options.js';
import { parseCidr } from './addresses.js';
import { listing, renaming } from './listing.js';
import { securityRoutes } from './security-routes.js';
import type { NetworkState, Port, Subnet } from './network.js';
import { networkView, portView, subnetView } from './views.js';

const text = z.string();
const named = { name: text.optional(), description: text.nullish() };
const fixedIps = z
  .array(z.looseObject({ subnet_id: text.optional(), ip_address: text.optional() }))
  .optional();

const networkSchema = z.looseObject({
  network: z.looseObject({
    ...named,
    admin_state_up: z.boolean().optional(),
    shared: z.boolean().optional(),
  }),
});
const subnetSchema = z.looseObject({
  subnet: z.looseObject({
    ...named,
    network_id: text,
    cidr: text,
    dns_nameservers: z.array(text).optional(),
    enable_dhcp: z.boolean().optional(),
  }),
});
const subnetUpdateSchema = z.looseObject({
  subnet: z.looseObject({
    ...named,
    dns_nameservers: z.array(text).optional(),
    enable_dhcp: z.boolean().optional(),
  }),
});
const portSchema = z.looseObject({
  port: z.looseObject({
    ...named,
    network_id: text,
    fixed_ips: fixedIps,
    security_groups: z.array(text).optional(),
    device_id: text.optional(),
    device_owner: text.optional(),
  }),
});
const portUpdateSchema = z.looseObject({
  port: z.looseObject({
    ...named,
    security_groups: z.array(text).optional(),
    device_id: text.optional(),
    device_owner: text.optional(),
    admin_state_up: z.boolean().optional(),
  }),
});

const EXTENSIONS = [
  'external-net',
  'security-group',
  'router',
  'quotas',
  'quota_details',
  'standard-attr-tag',
  'standard-attr-timestamp',
  'standard-attr-description',
  'project-id',
  'port-security',
  'binding',
  'pagination',
  'sorting',
  'extra_dhcp_opt',
  'allowed-address-pairs',
  'floating-ip-port-details' /* others are not offered */,
  'shared-security-group',
];

/** Neutron v2.0 below /network/v2.0. */
export function networkRoutes(state: NetworkState, origin: () => string): Router {
  const router = Router();

  const list = listing(origin);
  const rename = renaming(state);

  router.get('/extensions', (_request, response) => {
    response.json({
      extensions: EXTENSIONS.map((alias) => ({
        alias,
        name: alias,
        description: '',
        links: [],
        updated: '2020-01-01T00:00:00-00:00',
      })),
    });
  });
  router.get('/extensions/:alias', (request, response) => {
    if (!EXTENSIONS.includes(request.params.alias))
      throw notFound(`Extension with alias ${request.params.alias} does not exist`, 'HTTPNotFound');
    response.json({
      extension: {
        alias: request.params.alias,
        name: request.params.alias,
        description: '',
        links: [],
        updated: '2020-01-01T00:00:00-00:00',
      },
    });
  });

  router.get('/networks', (request, response) => {
    const visible = [...state.networks.values()].filter(
      (each) => each.shared || each.projectId === projectOf(request),
    );
    response.json(
      list(
        request,
        'networks',
        visible.map((each) => networkView(state, each)),
      ),
    );
  });
  router.post('/networks', (request, response) => {
    const wanted = bodyOf(request, networkSchema).network;
    state.checkQuota('network', projectOf(request));
    const network = {
      ...state.base(wanted.name ?? '', projectOf(request)),
      description: wanted.description ?? '',
      external: false,
      shared: wanted.shared ?? false,
      adminStateUp: wanted.admin_state_up ?? true,
    };
    state.networks.set(network.id, network);
    response.status(201).json({ network: networkView(state, network) });
  });
  router.get('/networks/:id', (request, response) => {
    response.json({ network: networkView(state, state.network(request.params.id)) });
  });
  router.put('/networks/:id', (request, response) => {
    const network = state.network(request.params.id);
    const wanted = bodyOf(request, networkSchema).network;
    rename(network, wanted);
    network.adminStateUp = wanted.admin_state_up ?? network.adminStateUp;
    network.shared = wanted.shared ?? network.shared;
    response.json({ network: networkView(state, network) });
  });
  router.delete('/networks/:id', (request, response) => {
    const network = state.network(request.params.id);
    if ([...state.ports.values()].some((port) => port.networkId === network.id))
      throw conflict(
        `Unable to complete operation on network ${network.id}. There are one or more ports still in use on the network.`,
        'NetworkInUse',
      );
    for (const subnet of state.subnetsOf(network.id)) state.subnets.delete(subnet.id);
    state.networks.delete(network.id);
    response.status(204).end();
  });

  const subnet = (id: string): Subnet => {
    const found = state.subnets.get(id);
    if (!found) throw notFound(`Subnet ${id} could not be found.`, 'SubnetNotFound');
    return found;
  };
  router.get('/subnets', (request, response) => {
    response.json(
      list(
        request,
        'subnets',
        [...state.subnets.values()].map((each) => subnetView(state, each)),
      ),
    );
  });
  router.post('/subnets', (request, response) => {
    const wanted = bodyOf(request, subnetSchema).subnet;
    const cidr = parseCidr(wanted.cidr);
    if (!cidr || cidr.size < 16)
      throw badRequest(`Invalid input for cidr. Reason: '${wanted.cidr}' is not a valid IP subnet.`);
    state.checkQuota('subnet', projectOf(request));
    const made = state.addSubnet(
      state.network(wanted.network_id),
      cidr,
      wanted.name ?? '',
      projectOf(request),
    );
    made.dns = wanted.dns_nameservers ?? [];
    made.enableDhcp = wanted.enable_dhcp ?? true;
    made.description = wanted.description ?? '';
    response.status(201).json({ subnet: subnetView(state, made) });
  });
  router.get('/subnets/:id', (request, response) => {
    response.json({ subnet: subnetView(state, subnet(request.params.id)) });
  });
  router.put('/subnets/:id', (request, response) => {
    const found = subnet(request.params.id);
    const wanted = bodyOf(request, subnetUpdateSchema).subnet;
    rename(found, wanted);
    found.dns = wanted.dns_nameservers ?? found.dns;
    found.enableDhcp = wanted.enable_dhcp ?? found.enableDhcp;
    response.json({ subnet: subnetView(state, found) });
  });
  router.delete('/subnets/:id', (request, response) => {
    const found = subnet(request.params.id);
    if ([...state.ports.values()].some((port) => port.fixedIps.some((ip) => ip.subnetId === found.id)))
      throw conflict(
        `Unable to complete operation on subnet ${found.id}: One or more ports have an IP allocation from this subnet.`,
        'SubnetInUse',
      );
    state.subnets.delete(found.id);
    response.status(204).end();
  });

  const ownPort = (request: object, id: string): Port => {
    const port = state.port(id);
    if (port.projectId !== projectOf(request))
      throw notFound(`Port ${id} could not be found.`, 'PortNotFound');
    return port;
  };
  router.get('/ports', (request, response) => {
    const own = [...state.ports.values()].filter((port) => port.projectId === projectOf(request));
    const byIp = queryAll(request, 'fixed_ips')
      .filter((each) => each.startsWith('ip_address='))
      .map((each) => each.slice('ip_address='.length));
    const shown = own.filter(
      (port) => byIp.length === 0 || port.fixedIps.some((ip) => byIp.includes(ip.address)),
    );
    response.json(list(request, 'ports', shown.map(portView)));
  });
  router.post('/ports', (request, response) => {
    const wanted = bodyOf(request, portSchema).port;
    const port = state.createPort({
      networkId: wanted.network_id,
      projectId: projectOf(request),
      name: wanted.name,
      description: wanted.description ?? undefined,
      fixedIps: wanted.fixed_ips?.map((ip) => ({ subnetId: ip.subnet_id, address: ip.ip_address })),
      securityGroups: wanted.security_groups,
      deviceId: wanted.device_id,
      deviceOwner: wanted.device_owner,
    });
    response.status(201).json({ port: portView(port) });
  });
  router.get('/ports/:id', (request, response) => {
    response.json({ port: portView(ownPort(request, request.params.id)) });
  });
  router.put('/ports/:id', (request, response) => {
    const port = ownPort(request, request.params.id);
    const wanted = bodyOf(request, portUpdateSchema).port;
    rename(port, wanted);
    port.securityGroups = wanted.security_groups ?? port.securityGroups;
    port.deviceId = wanted.device_id ?? port.deviceId;
    port.deviceOwner = wanted.device_owner ?? port.deviceOwner;
    port.adminStateUp = wanted.admin_state_up ?? port.adminStateUp;
    response.json({ port: portView(port) });
  });
  router.delete('/ports/:id', (request, response) => {
    state.deletePort(ownPort(request, request.params.id));
    response.status(204).end();
  });

  const tagged = (kind: string, id: string): { tags: string[] } => {
    const kinds: Record<string, Map<string, { tags: string[] }>> = {
      networks: state.networks,
      subnets: state.subnets,
      ports: state.ports,
      'security-groups': state.groups,
      floatingips: state.floatingIps,
    };
    const found = kinds[kind]?.get(id);
    if (!found) throw notFound(`Resource ${id} could not be found.`, 'TagResourceNotFound');
    return found;
  };
  router.get('/:kind/:id/tags', (request, response) => {
    response.json({ tags: tagged(request.params.kind, request.params.id).tags });
  });
  router.put('/:kind/:id/tags', (request, response) => {
    const thing = tagged(request.params.kind, request.params.id);
    thing.tags = bodyOf(request, z.looseObject({ tags: z.array(text) })).tags;
    response.json({ tags: thing.tags });
  });

  router.use(securityRoutes(state, origin));

  const COUNTED = [
    'network',
    'subnet',
    'port',
    'floatingip',
    'security_group',
    'security_group_rule',
  ] as const;
  router.get('/quotas/:project', (request, response) => {
    const quotas: Quotas = state.quotasOf(request.params.project);
    response.json({
      quota: { ...Object.fromEntries(COUNTED.map((each) => [each, quotas[each]])), router: quotas.router },
    });
  });
  for (const path of ['/quotas/:project/details', '/quotas/:project/details.json'] as const)
    router.get(path, (request, response) => {
      const { project } = request.params;
      const quotas: Quotas = state.quotasOf(project);
      response.json({
        quota: {
          ...Object.fromEntries(
            COUNTED.map((each) => [
              each,
              { limit: quotas[each], used: state.used(each, project), reserved: 0 },
            ]),
          ),
          router: { limit: quotas.router, used: 0, reserved: 0 },
        },
      });
    });
  router.get('/routers', (_request, response) => {
    response.json({ routers: [] });
  });

  return router;
}
