import { createHash, randomUUID } from 'node:crypto';
import { Router } from 'express';
import { z } from 'zod';
import { isoSeconds } from '../clock.js';
import { bodyOf, projectOf, query, tokenOf } from '../http/context.js';
import { ApiError, badRequest, conflict, notFound } from '../http/errors.js';
import { nextLink, pageOf } from '../http/paging.js';
import type { Flavor } from '../options.js';
import { generateSshKey } from '../sandbox/host-key.js';
import { microversionText, type MicroversionRange } from './microversion.js';
import type { KeyPair, ServerGroup } from './model.js';
import { versionOf, type ComputeRouting } from './routing.js';
import { serverRoutes } from './server-routes.js';

export function computeVersion(origin: string, { min, max }: MicroversionRange): object {
  return {
    id: 'v2.1',
    status: 'CURRENT',
    version: microversionText(max),
    min_version: microversionText(min),
    updated: '2013-07-23T11:33:21Z',
    links: [{ rel: 'self', href: `${origin}/compute/v2.1/` }],
    'media-types': [{ base: 'application/json', type: 'application/vnd.openstack.compute+json;version=2.1' }],
  };
}

function flavorView(flavor: Flavor, version: number, origin: string, detail: boolean): object {
  return {
    id: flavor.id,
    name: flavor.name,
    links: [{ rel: 'self', href: `${origin}/compute/v2.1/flavors/${flavor.id}` }],
    ...(detail && {
      ram: flavor.ram,
      vcpus: flavor.vcpus,
      disk: flavor.disk,
      swap: version >= 275 ? 0 : '',
      'OS-FLV-EXT-DATA:ephemeral': 0,
      'OS-FLV-DISABLED:disabled': false,
      'os-flavor-access:is_public': true,
      rxtx_factor: 1.0,
      ...(version >= 255 && { description: null }),
      ...(version >= 261 && { extra_specs: flavor.extraSpecs }),
    }),
    ...(!detail && version >= 255 && { description: null }),
  };
}

function fingerprint(publicKey: string): string {
  const body = publicKey.trim().split(/\s+/)[1] ?? '';
  return createHash('md5')
    .update(Buffer.from(body, 'base64'))
    .digest('hex')
    .replace(/(..)(?=.)/g, '$1:');
}

function keyPairView(key: KeyPair, version: number, detail: boolean): object {
  return {
    name: key.name,
    public_key: key.publicKey,
    fingerprint: key.fingerprint,
    ...(version >= 202 && { type: key.type }),
    ...(detail && {
      user_id: key.userId,
      id: 1,
      created_at: isoSeconds(key.createdAt),
      deleted: false,
      deleted_at: null,
      updated_at: null,
    }),
  };
}

function groupView(group: ServerGroup, version: number): object {
  const shown = { id: group.id, name: group.name, members: group.members };
  return version >= 264
    ? {
        ...shown,
        policy: group.policy,
        rules: group.rules,
        project_id: group.projectId,
        user_id: group.userId,
      }
    : {
        ...shown,
        policies: [group.policy],
        metadata: {},
        ...(version >= 213 && { project_id: group.projectId, user_id: group.userId }),
      };
}

const keyPairSchema = z.looseObject({
  keypair: z.looseObject({
    name: z.string().min(1).max(255),
    public_key: z.string().optional(),
    type: z.enum(['ssh', 'x509']).optional(),
    user_id: z.string().optional(),
  }),
});

const groupSchema = z.looseObject({
  server_group: z.looseObject({
    name: z.string().min(1).max(255),
    policies: z.array(z.string()).optional(),
    policy: z.string().optional(),
    rules: z.record(z.string(), z.coerce.number()).optional(),
  }),
});

/** Nova below /compute/v2.1. */
export function computeRoutes(routing: ComputeRouting): Router {
  const { compute, origin } = routing;
  const router = Router();
  router.use(serverRoutes(routing));

  const flavor = (id: string): Flavor => {
    const found = compute.flavor(id);
    if (!found) throw notFound(`Flavor ${id} could not be found.`);
    return found;
  };
  router.get(['/flavors', '/flavors/detail'], (request, response) => {
    const detail = request.path.endsWith('/detail');
    const minRam = Number(query(request, 'minRam') ?? 0);
    const minDisk = Number(query(request, 'minDisk') ?? 0);
    const fitting = compute.parts.flavors.filter((each) => each.ram >= minRam && each.disk >= minDisk);
    const page = pageOf(fitting, query(request, 'limit'), query(request, 'marker'));
    response.json({
      flavors: page.items.map((each) => flavorView(each, versionOf(request), origin(), detail)),
      ...(page.next !== undefined && {
        flavors_links: [{ rel: 'next', href: nextLink(origin(), request.originalUrl, page.next) }],
      }),
    });
  });
  router.get('/flavors/:id', (request, response) => {
    response.json({ flavor: flavorView(flavor(request.params.id), versionOf(request), origin(), true) });
  });
  router.get('/flavors/:id/os-extra_specs', (request, response) => {
    response.json({ extra_specs: flavor(request.params.id).extraSpecs });
  });

  router.get('/os-keypairs', (request, response) => {
    const own = [...compute.keyPairs.values()].filter((key) => key.userId === tokenOf(request).user.id);
    const page = pageOf(
      own.map((key) => ({ ...key, id: key.name })),
      query(request, 'limit'),
      query(request, 'marker'),
    );
    response.json({
      keypairs: page.items.map((key) => ({ keypair: keyPairView(key, versionOf(request), false) })),
    });
  });
  router.post('/os-keypairs', (request, response) => {
    const wanted = bodyOf(request, keyPairSchema).keypair;
    const userId = tokenOf(request).user.id;
    const limit = compute.parts.quotasOf(projectOf(request)).key_pairs;
    if (compute.keyPairs.has(`${userId}/${wanted.name}`))
      throw conflict(`Key pair '${wanted.name}' already exists.`);
    if (limit >= 0 && [...compute.keyPairs.values()].filter((key) => key.userId === userId).length >= limit)
      throw new ApiError(403, 'Quota exceeded, too many key pairs.');
    if (
      wanted.public_key !== undefined &&
      !/^(ssh-|ecdsa-|sk-)\S+ [A-Za-z0-9+/]+=*( .*)?\s*$/.test(wanted.public_key)
    )
      throw badRequest('Keypair data is invalid: failed to generate fingerprint');
    const generated = wanted.public_key === undefined ? generateSshKey('Generated-by-Nova') : undefined;
    const publicKey = wanted.public_key ?? generated?.publicLine ?? '';
    const key: KeyPair = {
      name: wanted.name,
      userId,
      type: wanted.type ?? 'ssh',
      publicKey,
      fingerprint: fingerprint(publicKey),
      createdAt: compute.parts.clock.now(),
    };
    compute.keyPairs.set(`${userId}/${key.name}`, key);
    const version = versionOf(request);
    response.status(version >= 202 ? 201 : 200).json({
      keypair: {
        ...keyPairView(key, version, false),
        user_id: userId,
        ...(generated && { private_key: generated.privateKey }),
      },
    });
  });
  router.get('/os-keypairs/:name', (request, response) => {
    const key = compute.keyPairs.get(`${tokenOf(request).user.id}/${request.params.name}`);
    if (!key) throw notFound(`Keypair ${request.params.name} not found for user ${tokenOf(request).user.id}`);
    response.json({ keypair: keyPairView(key, versionOf(request), true) });
  });
  router.delete('/os-keypairs/:name', (request, response) => {
    if (!compute.keyPairs.delete(`${tokenOf(request).user.id}/${request.params.name}`))
      throw notFound(`Keypair ${request.params.name} not found for user ${tokenOf(request).user.id}`);
    response.status(versionOf(request) >= 202 ? 204 : 202).end();
  });

  const ownGroups = (request: object): ServerGroup[] =>
    [...compute.groups.values()].filter((group) => group.projectId === projectOf(request));
  const group = (request: object, id: string): ServerGroup => {
    const found = ownGroups(request).find((each) => each.id === id);
    if (!found) throw notFound(`Instance group ${id} could not be found.`);
    return found;
  };
  router.get('/os-server-groups', (request, response) => {
    const page = pageOf(ownGroups(request), query(request, 'limit'), undefined);
    response.json({ server_groups: page.items.map((each) => groupView(each, versionOf(request))) });
  });
  router.post('/os-server-groups', (request, response) => {
    const version = versionOf(request);
    const wanted = bodyOf(request, groupSchema).server_group;
    const policy = version >= 264 ? wanted.policy : wanted.policies?.[0];
    const known = [
      'affinity',
      'anti-affinity',
      ...(version >= 215 ? ['soft-affinity', 'soft-anti-affinity'] : []),
    ];
    if (policy === undefined || !known.includes(policy) || (version < 264 && wanted.policies?.length !== 1))
      throw badRequest(
        `Invalid input for field/attribute ${version >= 264 ? 'policy' : 'policies'}. Value: ${JSON.stringify(version >= 264 ? wanted.policy : wanted.policies)}.`,
      );
    const limit = compute.parts.quotasOf(projectOf(request)).server_groups;
    if (limit >= 0 && ownGroups(request).length >= limit)
      throw new ApiError(403, 'Quota exceeded, too many server groups.');
    const made: ServerGroup = {
      id: randomUUID(),
      name: wanted.name,
      policy,
      rules: wanted.rules ?? {},
      projectId: projectOf(request),
      userId: tokenOf(request).user.id,
      members: [],
    };
    compute.groups.set(made.id, made);
    response.json({ server_group: groupView(made, version) });
  });
  router.get('/os-server-groups/:id', (request, response) => {
    response.json({ server_group: groupView(group(request, request.params.id), versionOf(request)) });
  });
  router.delete('/os-server-groups/:id', (request, response) => {
    compute.groups.delete(group(request, request.params.id).id);
    response.status(204).end();
  });

  router.get('/limits', (request, response) => {
    const project = projectOf(request);
    const quotas = compute.parts.quotasOf(project);
    const used = compute.usage(project);
    response.json({
      limits: {
        rate: [],
        absolute: {
          maxTotalInstances: quotas.instances,
          maxTotalCores: quotas.cores,
          maxTotalRAMSize: quotas.ram,
          maxTotalKeypairs: quotas.key_pairs,
          maxServerMeta: quotas.metadata_items,
          maxServerGroups: quotas.server_groups,
          maxServerGroupMembers: quotas.server_group_members,
          totalInstancesUsed: used.instances,
          totalCoresUsed: used.cores,
          totalRAMUsed: used.ram,
          totalServerGroupsUsed: ownGroups(request).length,
        },
      },
    });
  });
  const quotaSet = (project: string): Record<string, number> => {
    const { instances, cores, ram, key_pairs, server_groups, server_group_members, metadata_items } =
      compute.parts.quotasOf(project);
    return { instances, cores, ram, key_pairs, server_groups, server_group_members, metadata_items };
  };
  for (const path of ['/os-quota-sets/:project', '/os-quota-sets/:project/defaults'] as const)
    router.get(path, (request, response) => {
      response.json({ quota_set: { id: request.params.project, ...quotaSet(request.params.project) } });
    });
  router.get('/os-quota-sets/:project/detail', (request, response) => {
    const { project } = request.params;
    const used: Record<string, number> = { ...compute.usage(project) };
    const detail = Object.entries(quotaSet(project)).map(
      ([name, limit]) => [name, { limit, in_use: used[name] ?? 0, reserved: 0 }] as const,
    );
    response.json({ quota_set: { id: project, ...Object.fromEntries(detail) } });
  });

  router.get(['/os-availability-zone', '/os-availability-zone/detail'], (_request, response) => {
    response.json({
      availabilityZoneInfo: compute.parts.zones.map((zoneName) => ({
        zoneName,
        zoneState: { available: true },
        hosts: null,
      })),
    });
  });
  router.get('/extensions', (_request, response) => {
    response.json({ extensions: [] });
  });

  return router;
}
