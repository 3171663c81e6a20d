import { Router } from 'express';
import { z } from 'zod';
import { isoMicros } from '../clock.js';
import { bodyOf, tokenOf } from '../http/context.js';
import { ApiError, notFound } from '../http/errors.js';
import { catalogOf, type CatalogPlace } from './catalog.js';
import type { ApplicationCredential, Identity, Token } from './identity.js';

const nameOrId = { id: z.string().optional(), name: z.string().optional() };
const domain = z.looseObject(nameOrId).optional();

const authSchema = z.looseObject({
  auth: z.looseObject({
    identity: z.looseObject({
      methods: z.array(z.string()).min(1),
      password: z
        .looseObject({ user: z.looseObject({ ...nameOrId, password: z.string(), domain }) })
        .optional(),
      token: z.looseObject({ id: z.string() }).optional(),
      application_credential: z
        .looseObject({
          ...nameOrId,
          secret: z.string(),
          user: z.looseObject({ ...nameOrId, domain }).optional(),
        })
        .optional(),
    }),
    scope: z
      .union([
        z.literal('unscoped'),
        z.looseObject({
          project: z.looseObject({ ...nameOrId, domain }).optional(),
          domain,
          system: z.unknown().optional(),
        }),
      ])
      .optional(),
  }),
});

const credentialSchema = z.looseObject({
  application_credential: z.looseObject({
    name: z.string().min(1),
    secret: z.string().optional(),
    description: z.string().nullish(),
    unrestricted: z.boolean().optional(),
    expires_at: z.string().nullish(),
  }),
});

function tokenView(token: Token, place: CatalogPlace): object {
  return {
    token: {
      methods: token.methods,
      user: {
        id: token.user.id,
        name: token.user.name,
        domain: token.user.domain,
        password_expires_at: null,
      },
      audit_ids: [token.auditId],
      expires_at: isoMicros(token.expiresAt),
      issued_at: isoMicros(token.issuedAt),
      ...(token.project && { project: token.project, is_domain: false }),
      ...(token.domain && { domain: token.domain }),
      ...((token.project ?? token.domain) && {
        roles: token.roles,
        catalog: catalogOf(place, token.project?.id ?? ''),
      }),
      ...(token.applicationCredential && {
        application_credential: {
          id: token.applicationCredential.id,
          name: token.applicationCredential.name,
          restricted: !token.applicationCredential.unrestricted,
        },
      }),
    },
  };
}

function credentialView(credential: ApplicationCredential, withSecret: boolean): object {
  const { id, name, description, roles, unrestricted, projectId, userId, expiresAt } = credential;
  return {
    id,
    name,
    description,
    roles,
    unrestricted,
    project_id: projectId,
    user_id: userId,
    expires_at: expiresAt === null ? null : isoMicros(expiresAt),
    ...(withSecret && { secret: credential.secret }),
  };
}

export function identityVersion(origin: string): object {
  return {
    id: 'v3.14',
    status: 'stable',
    updated: '2020-04-07T00:00:00Z',
    links: [{ rel: 'self', href: `${origin}/identity/v3/` }],
    'media-types': [{ base: 'application/json', type: 'application/vnd.openstack.identity-v3+json' }],
  };
}

/** Keystone v3 below /identity/v3. Authentication itself and the versions are public; the rest is behind a token. */
export function identityRoutes(identity: Identity, place: () => CatalogPlace): Router {
  const router = Router();
  const origin = (): string => place().origin;

  router.post('/auth/tokens', (request, response) => {
    const token = identity.authenticate(bodyOf(request, authSchema).auth);
    response.status(201).set('X-Subject-Token', token.value).json(tokenView(token, place()));
  });

  router.get('/auth/tokens', (request, response) => {
    const subject = identity.validate(request.get('X-Subject-Token'));
    if (!subject) throw notFound('Could not find token.');
    response.set('X-Subject-Token', subject.value).json(tokenView(subject, place()));
  });

  router.delete('/auth/tokens', (request, response) => {
    const value = request.get('X-Subject-Token');
    if (!identity.validate(value)) throw notFound('Could not find token.');
    identity.revoke(value ?? '');
    response.status(204).end();
  });

  router.get('/auth/catalog', (request, response) => {
    const { project } = tokenOf(request);
    if (!project) throw new ApiError(403, 'You are not authorized to perform the requested action.');
    response.json({
      catalog: catalogOf(place(), project.id),
      links: { self: `${origin()}/identity/v3/auth/catalog` },
    });
  });

  router.get(['/auth/projects', '/users/:user/projects', '/projects'], (request, response) => {
    const { user } = tokenOf(request);
    const projects = identity.projects.filter((project) => user.roles[project.id]);
    response.json({
      projects: projects.map((project) => ({
        id: project.id,
        name: project.name,
        domain_id: project.domain.id,
        enabled: true,
        is_domain: false,
        parent_id: project.domain.id,
        description: '',
      })),
      links: { self: `${origin()}/identity/v3/auth/projects`, previous: null, next: null },
    });
  });

  const ownCredential = (request: object, id: string): ApplicationCredential => {
    const credential = identity.applicationCredentials.get(id);
    if (!credential || credential.userId !== tokenOf(request).user.id)
      throw notFound(`Could not find Application Credential: ${id}.`);
    return credential;
  };
  const mayManage = (request: object): Token => {
    const token = tokenOf(request);
    if (token.applicationCredential && !token.applicationCredential.unrestricted)
      throw new ApiError(
        403,
        'Using method application_credential is not allowed for managing additional application credentials.',
      );
    return token;
  };

  router.get('/users/:user/application_credentials', (request, response) => {
    const { user } = tokenOf(request);
    const own = [...identity.applicationCredentials.values()].filter((each) => each.userId === user.id);
    response.json({ application_credentials: own.map((each) => credentialView(each, false)), links: {} });
  });

  router.post('/users/:user/application_credentials', (request, response) => {
    const wanted = bodyOf(request, credentialSchema).application_credential;
    const credential = identity.createApplicationCredential(mayManage(request), {
      ...wanted,
      expiresAt: wanted.expires_at == null ? null : Date.parse(wanted.expires_at),
    });
    response.status(201).json({ application_credential: credentialView(credential, true) });
  });

  router.get('/users/:user/application_credentials/:id', (request, response) => {
    response.json({
      application_credential: credentialView(ownCredential(request, request.params.id), false),
    });
  });

  router.delete('/users/:user/application_credentials/:id', (request, response) => {
    mayManage(request);
    identity.applicationCredentials.delete(ownCredential(request, request.params.id).id);
    response.status(204).end();
  });

  return router;
}
