import { Router } from 'express';
import { z } from 'zod';
import { bodyOf } from '../http/context.js';
import { ApiError, badRequest, notFound } from '../http/errors.js';
import type { Server } from './model.js';
import { serverOf, versionOf, type ComputeRouting } from './routing.js';

const text = z.string();
export const metadataSchema = z.record(text.min(1).max(255), text.max(255));
export const tagsSchema = z.array(text.min(1).max(60)).max(50);

/** Metadata and tags of a server. */
export function labelRoutes(routing: ComputeRouting): Router {
  const { compute } = routing;
  const router = Router();
  const find = (request: object, id: string): Server => serverOf(routing, request, id);

  const checkCount = (metadata: Record<string, string>): Record<string, string> => {
    const limit = compute.parts.quotasOf('').metadata_items;
    if (limit >= 0 && Object.keys(metadata).length > limit)
      throw new ApiError(403, 'Maximum number of metadata items exceeds');
    return metadata;
  };

  router.get('/servers/:id/metadata', (request, response) => {
    response.json({ metadata: find(request, request.params.id).metadata });
  });
  router.put('/servers/:id/metadata', (request, response) => {
    const server = find(request, request.params.id);
    server.metadata = checkCount(bodyOf(request, z.looseObject({ metadata: metadataSchema })).metadata);
    response.json({ metadata: server.metadata });
  });
  router.post('/servers/:id/metadata', (request, response) => {
    const server = find(request, request.params.id);
    server.metadata = checkCount({
      ...server.metadata,
      ...bodyOf(request, z.looseObject({ metadata: metadataSchema })).metadata,
    });
    response.json({ metadata: server.metadata });
  });
  router.get('/servers/:id/metadata/:key', (request, response) => {
    const value = find(request, request.params.id).metadata[request.params.key];
    if (value === undefined) throw notFound('Metadata item was not found');
    response.json({ meta: { [request.params.key]: value } });
  });
  router.put('/servers/:id/metadata/:key', (request, response) => {
    const server = find(request, request.params.id);
    const { meta } = bodyOf(request, z.looseObject({ meta: metadataSchema }));
    const value = meta[request.params.key];
    if (value === undefined) throw badRequest('Request body and URI mismatch');
    server.metadata = checkCount({ ...server.metadata, [request.params.key]: value });
    response.json({ meta: { [request.params.key]: value } });
  });
  router.delete('/servers/:id/metadata/:key', (request, response) => {
    const server = find(request, request.params.id);
    if (server.metadata[request.params.key] === undefined) throw notFound('Metadata item was not found');
    const { [request.params.key]: _gone, ...rest } = server.metadata;
    server.metadata = rest;
    response.status(204).end();
  });

  const needTags = (request: object): void => {
    if (versionOf(request) < 226) throw notFound('The resource could not be found.');
  };
  router.get('/servers/:id/tags', (request, response) => {
    needTags(request);
    response.json({ tags: find(request, request.params.id).tags });
  });
  router.put('/servers/:id/tags', (request, response) => {
    needTags(request);
    const server = find(request, request.params.id);
    server.tags = [...new Set(bodyOf(request, z.looseObject({ tags: tagsSchema })).tags)];
    response.json({ tags: server.tags });
  });
  router.delete('/servers/:id/tags', (request, response) => {
    needTags(request);
    find(request, request.params.id).tags = [];
    response.status(204).end();
  });
  router.put('/servers/:id/tags/:tag', (request, response) => {
    needTags(request);
    const server = find(request, request.params.id);
    const known = server.tags.includes(request.params.tag);
    if (!known) server.tags = [...server.tags, request.params.tag];
    response.status(known ? 204 : 201).end();
  });
  router.delete('/servers/:id/tags/:tag', (request, response) => {
    needTags(request);
    const server = find(request, request.params.id);
    if (!server.tags.includes(request.params.tag))
      throw notFound(`Instance ${server.id} has no tag '${request.params.tag}'`);
    server.tags = server.tags.filter((tag) => tag !== request.params.tag);
    response.status(204).end();
  });

  return router;
}
