import { z } from 'zod';
import { documentPage } from './document-page.js';
import { openApiDocument, type OpenApiDocument } from './openapi.js';
import { route, type Route } from './route.js';

/**
 * The description of the API, as a document and as a page. Open to everyone: it says nothing that the published
 * sources do not, and a tool that is given a token only for it would be a reason to hand one out.
 *
 * @param routes all of them, these two included; read at the first call
 */
export const documentRoutes = (routes: () => readonly Route[]): readonly Route[] => {
  let document: OpenApiDocument | null = null;
  let page: string | null = null;
  const made = (): OpenApiDocument => (document ??= openApiDocument(routes()));
  return [
    route({
      method: 'GET',
      path: '/v1/openapi.json',
      roles: [],
      summary: 'This description, OpenAPI 3.1.',
      answers: { 200: z.looseObject({ openapi: z.string() }).describe('An OpenAPI document.') },
      handle: () => ({ status: 200, body: made() }),
    }),
    route({
      method: 'GET',
      path: '/v1/docs',
      roles: [],
      summary: 'This description as a page to read.',
      produces: 'text/html; charset=utf-8',
      answers: { 200: z.string().describe('HTML.') },
      handle: () => ({ status: 200, body: (page ??= documentPage(made())) }),
    }),
  ];
};
