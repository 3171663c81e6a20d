import { randomUUID } from 'node:crypto';
import { Router } from 'express';
import { z } from 'zod';
import { bodyOf, projectOf } from '../http/context.js';
import { conflict, notFound } from '../http/errors.js';
import { listing, renaming } from './listing.js';
import type { FloatingIp, NetworkState, Port, SecurityGroup, SecurityGroupRule } from './network.js';
import { floatingIpView, groupView, ruleView } from './views.js';

const text = z.string();
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

/** What guards and opens servers to the outside: security groups, their rules, and floating addresses. */
export function securityRoutes(state: NetworkState, origin: () => string): Router {
  const router = Router();
  const list = listing(origin);
  const rename = renaming(state);
  const ownPort = (request: object, id: string): Port => {
    const port = state.port(id);
    if (port.projectId !== projectOf(request))
      throw notFound(`Port ${id} could not be found.`, 'PortNotFound');
    return port;
  };

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

  return router;
}
