import { randomUUID } from 'node:crypto';
import { Router, type Request } from 'express';
import { z } from 'zod';
import { bodyOf, projectOf, query, queryAll } from '../http/context.js';
import { badRequest, conflict, notFound } from '../http/errors.js';
import { nextLink, pageOf } from '../http/paging.js';
import type { Quotas } from '../options.js';
import { parseCidr } from './addresses.js';
import type { FloatingIp, NetworkState, Port, SecurityGroup, SecurityGroupRule, Subnet } from './network.js';
import { floatingIpView, groupView, networkView, portView, ruleView, subnetView } from './views.js';

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
const groupSchema = z.looseObject({
  security_group: z.looseObject({ name: text.optional(), description: text.nullish() }),
});
const port16 = z.coerce.number().int().min(-1).max(65535).nullish();
const ruleSchema = z.looseObject({
  security_group_rule: z.looseObject({
    security_group_id: text,
    direction: z.enum(['ingress', 'egress']),
    ethertype: z.enum(['IPv4', 'IPv6']).default('IPv4'),
    protocol: z.coerce.string().nullish(),
    port_range_min: port16,
    port_range_max: port16,
    remote_ip_prefix: text.nullish(),
    remote_group_id: text.nullish(),
    description: text.nullish(),
  }),
});
const floatingSchema = z.looseObject({
  floatingip: z.looseObject({
    floating_network_id: text,
    port_id: text.nullish(),
    fixed_ip_address: text.nullish(),
    description: text.nullish(),
  }),
});
const floatingUpdateSchema = z.looseObject({
  floatingip: z.looseObject({
    port_id: text.nullish(),
    fixed_ip_address: text.nullish(),
    description: text.nullish(),
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

/** Words that steer a list and are no filters. */
const STEERING = new Set([
  'limit',
  'marker',
  'page_reverse',
  'sort_key',
  'sort_dir',
  'fields',
  'tags',
  'tags-any',
  'not-tags',
  'not-tags-any',
  'fixed_ips',
]);

/** Neutron filters by equality with any field that is shown; several values are alternatives. */
function matches(view: Record<string, unknown>, request: Request): boolean {
  for (const key of Object.keys(request.query)) {
    if (STEERING.has(key) || !(key in view)) continue;
    const wanted = queryAll(request, key);
    if (wanted.length > 0 && !wanted.some((value) => value.toLowerCase() === String(view[key]).toLowerCase()))
      return false;
  }
  const tags = query(request, 'tags');
  const own: unknown = view['tags'];
  return tags === undefined || (Array.isArray(own) && tags.split(',').every((tag) => own.includes(tag)));
}

/** Neutron v2.0 below /network/v2.0. */
export function networkRoutes(state: NetworkState, origin: () => string): Router {
  const router = Router();

  const list = (request: Request, name: string, views: readonly Record<string, unknown>[]): object => {
    const found = views
      .filter((view) => matches(view, request))
      .map((view) => ({ id: String(view['id']), view }));
    const page = pageOf(found, query(request, 'limit'), query(request, 'marker'));
    return {
      [name]: page.items.map((item) => item.view),
      ...(page.next !== undefined && {
        [`${name}_links`]: [{ rel: 'next', href: nextLink(origin(), request.originalUrl, page.next) }],
      }),
    };
  };
  const rename = (
    thing: { name: string; description: string; updatedAt: number },
    wanted: { name?: string | undefined; description?: string | null | undefined },
  ): void => {
    if (wanted.name !== undefined) thing.name = wanted.name;
    if (wanted.description != null) thing.description = wanted.description;
    thing.updatedAt = state.clock.now();
  };

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

  const group = (request: object, id: string): SecurityGroup => {
    const found = state.groups.get(id);
    if (!found || found.projectId !== projectOf(request))
      throw notFound(`Security group ${id} does not exist`, 'SecurityGroupNotFound');
    return found;
  };
  const ownGroups = (request: object): SecurityGroup[] => {
    state.defaultGroup(projectOf(request));
    return [...state.groups.values()].filter((each) => each.projectId === projectOf(request));
  };
  router.get('/security-groups', (request, response) => {
    response.json(list(request, 'security_groups', ownGroups(request).map(groupView)));
  });
  router.post('/security-groups', (request, response) => {
    const wanted = bodyOf(request, groupSchema).security_group;
    if (wanted.name === 'default')
      throw conflict('Default security group already exists.', 'SecurityGroupDefaultAlreadyExists');
    response.status(201).json({
      security_group: groupView(
        state.createGroup(wanted.name ?? '', wanted.description ?? '', projectOf(request)),
      ),
    });
  });
  router.get('/security-groups/:id', (request, response) => {
    response.json({ security_group: groupView(group(request, request.params.id)) });
  });
  router.put('/security-groups/:id', (request, response) => {
    const found = group(request, request.params.id);
    rename(found, bodyOf(request, groupSchema).security_group);
    response.json({ security_group: groupView(found) });
  });
  router.delete('/security-groups/:id', (request, response) => {
    const found = group(request, request.params.id);
    if (found.name === 'default')
      throw conflict('Removing default security group not allowed.', 'SecurityGroupCannotRemoveDefault');
    if ([...state.ports.values()].some((port) => port.securityGroups.includes(found.id)))
      throw conflict(`Security Group ${found.id} in use.`, 'SecurityGroupInUse');
    state.groups.delete(found.id);
    response.status(204).end();
  });

  const rules = (request: object): SecurityGroupRule[] => ownGroups(request).flatMap((each) => each.rules);
  const rule = (request: object, id: string): SecurityGroupRule => {
    const found = rules(request).find((each) => each.id === id);
    if (!found) throw notFound(`Security group rule ${id} does not exist`, 'SecurityGroupRuleNotFound');
    return found;
  };
  router.get('/security-group-rules', (request, response) => {
    response.json(list(request, 'security_group_rules', rules(request).map(ruleView)));
  });
  router.post('/security-group-rules', (request, response) => {
    const wanted = bodyOf(request, ruleSchema).security_group_rule;
    const owner = group(request, wanted.security_group_id);
    state.checkQuota('security_group_rule', projectOf(request));
    const made: SecurityGroupRule = {
      id: randomUUID(),
      groupId: owner.id,
      projectId: owner.projectId,
      direction: wanted.direction,
      ethertype: wanted.ethertype,
      protocol: wanted.protocol ?? null,
      portMin: wanted.port_range_min ?? null,
      portMax: wanted.port_range_max ?? null,
      remotePrefix: wanted.remote_ip_prefix ?? null,
      remoteGroup: wanted.remote_group_id ?? null,
      description: wanted.description ?? '',
    };
    const same = (each: SecurityGroupRule): boolean =>
      (
        ['direction', 'ethertype', 'protocol', 'portMin', 'portMax', 'remotePrefix', 'remoteGroup'] as const
      ).every((key) => each[key] === made[key]);
    const existing = owner.rules.find(same);
    if (existing)
      throw conflict(
        `Security group rule already exists. Rule id is ${existing.id}.`,
        'SecurityGroupRuleExists',
      );
    owner.rules.push(made);
    response.status(201).json({ security_group_rule: ruleView(made) });
  });
  router.get('/security-group-rules/:id', (request, response) => {
    response.json({ security_group_rule: ruleView(rule(request, request.params.id)) });
  });
  router.delete('/security-group-rules/:id', (request, response) => {
    const found = rule(request, request.params.id);
    const owner = group(request, found.groupId);
    owner.rules.splice(owner.rules.indexOf(found), 1);
    response.status(204).end();
  });

  const floating = (request: object, id: string): FloatingIp => {
    const found = state.floatingIps.get(id);
    if (!found || found.projectId !== projectOf(request))
      throw notFound(`Floating IP ${id} could not be found`, 'FloatingIPNotFound');
    return found;
  };
  router.get('/floatingips', (request, response) => {
    const own = [...state.floatingIps.values()].filter((each) => each.projectId === projectOf(request));
    response.json(
      list(
        request,
        'floatingips',
        own.map((each) => floatingIpView(state, each)),
      ),
    );
  });
  router.post('/floatingips', (request, response) => {
    const wanted = bodyOf(request, floatingSchema).floatingip;
    if (wanted.port_id != null) ownPort(request, wanted.port_id);
    const made = state.createFloatingIp(
      wanted.floating_network_id,
      projectOf(request),
      wanted.description ?? '',
    );
    if (wanted.port_id != null) state.associate(made, wanted.port_id, wanted.fixed_ip_address ?? undefined);
    response.status(201).json({ floatingip: floatingIpView(state, made) });
  });
  router.get('/floatingips/:id', (request, response) => {
    response.json({ floatingip: floatingIpView(state, floating(request, request.params.id)) });
  });
  router.put('/floatingips/:id', (request, response) => {
    const found = floating(request, request.params.id);
    const wanted = bodyOf(request, floatingUpdateSchema).floatingip;
    if (wanted.port_id !== undefined) {
      if (wanted.port_id !== null) ownPort(request, wanted.port_id);
      state.associate(found, wanted.port_id, wanted.fixed_ip_address ?? undefined);
    }
    if (wanted.description != null) found.description = wanted.description;
    response.json({ floatingip: floatingIpView(state, found) });
  });
  router.delete('/floatingips/:id', (request, response) => {
    state.releaseFloatingIp(floating(request, request.params.id));
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
