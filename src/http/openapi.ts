import { z } from 'zod';
import {
  createDocument,
  type ZodOpenApiOperationObject,
  type ZodOpenApiPathItemObject,
  type ZodOpenApiResponseObject,
  type ZodOpenApiResponsesObject,
} from 'zod-openapi';
import { version } from '../version.js';
import { problem, problemCodes, type ProblemCode } from './api.js';
import type { Role } from './authenticate.js';
import { problemKinds } from './problem.js';
import type { Route } from './route.js';

/** The document as it is served: an OpenAPI 3.1 object. */
export type OpenApiDocument = ReturnType<typeof createDocument>;

/** Which tokens there are, by the role that a route names. */
const schemes: Readonly<Record<Role, { readonly name: string; readonly description: string }>> = {
  worker: {
    name: 'workerToken',
    description: 'A token of the configuration with the role `worker`: it acts for the worker that it names.',
  },
  operator: { name: 'operatorToken', description: 'A token of the configuration with the role `operator`.' },
  viewer: { name: 'viewerToken', description: 'A token of the configuration with the role `viewer`.' },
  capability: {
    name: 'leaseCapability',
    description: 'The capability that came with a lease: for that lease alone.',
  },
};

/** Express' `/v1/leases/:id` as OpenAPI writes it. */
export const documentPath = (path: string): string => path.replace(/:([A-Za-z]+)/g, '{$1}');

/** A name for the operation that stays when routes are added: `postLeases`, `getLeasesId`. */
export const operationId = ({ method, path }: Pick<Route, 'method' | 'path'>): string =>
  method.toLowerCase() +
  path
    .replace(/^\/v1/, '')
    .split(/[^A-Za-z0-9]+/)
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join('');

/** Problems that a route may answer whatever it does, from how it is served. */
const usualProblems = (route: Route): readonly ProblemCode[] => [
  problemCodes.invalid,
  problemCodes.inconsistent,
  ...(route.roles.length === 0
    ? []
    : [problemCodes.unauthorised, problemCodes.forbidden, problemCodes.tooMany, problemCodes.unavailable]),
  ...(Object.keys(route.params).length === 0 ? [] : [problemCodes.notFound]),
  ...(route.body === null ? [] : [problemCodes.tooLarge, problemCodes.unsupportedMediaType]),
  problemCodes.internal,
];

/** Everything that a route may refuse with. */
export const problemsOfRoute = (route: Route): readonly ProblemCode[] => [
  ...new Set([...usualProblems(route), ...route.refusals]),
];

const requestIdHeader = z.uuid().describe('Names this request, as the log and `instance` of a problem do.');
const headersFor = (status: number): Readonly<Record<string, z.ZodType>> => ({
  'X-Request-Id': requestIdHeader,
  ...(status === 401 ? { 'WWW-Authenticate': z.string().describe('The scheme to use: Bearer.') } : {}),
  ...([429, 503].includes(status)
    ? {
        'Retry-After': z
          .string()
          .regex(/^[0-9]+$/)
          .describe('Seconds after which to try again.'),
      }
    : {}),
});

const problemResponses = (route: Route): ZodOpenApiResponsesObject => {
  const byStatus = new Map<number, ProblemCode[]>();
  for (const code of problemsOfRoute(route)) {
    const { status } = problemKinds[code];
    // An answer of the route itself under that status says more.
    if (status in route.answers) continue;
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  return Object.fromEntries(
    [...byStatus].map(([status, codes]) => [
      String(status),
      {
        description: codes.map((code) => `\`${code}\`: ${problemKinds[code].title}.`).join(' '),
        headers: z.object(headersFor(status)),
        content: { 'application/problem+json': { schema: problem } },
      } satisfies ZodOpenApiResponseObject,
    ]),
  );
};

const answerText: Readonly<Record<number, string>> = {
  200: 'Done.',
  201: 'Granted: there is a VM.',
  202: 'Waits in the line.',
  503: 'Not ready.',
};

const answerResponses = (route: Route): ZodOpenApiResponsesObject =>
  Object.fromEntries(
    Object.entries(route.answers).map(([status, schema]) => [
      status,
      {
        description: answerText[Number(status)] ?? 'Answered.',
        headers: z.object(headersFor(0)),
        content: { [route.produces.split(';')[0] ?? '']: { schema } },
      } satisfies ZodOpenApiResponseObject,
    ]),
  );

const operationOf = (route: Route): ZodOpenApiOperationObject => ({
  operationId: operationId(route),
  summary: route.summary,
  security: route.roles.length === 0 ? [] : route.roles.map((role) => ({ [schemes[role].name]: [] })),
  ...(route.ownOnly.length === 0
    ? {}
    : { description: `With the role ${route.ownOnly.join(' or ')}: only what is its own.` }),
  requestParams: {
    path: z.object(route.params),
    ...(route.query instanceof z.ZodObject ? { query: route.query } : {}),
  },
  ...(route.body === null
    ? {}
    : {
        requestBody: {
          // No body is the empty object; where that is enough, none is needed.
          required: !route.body.safeParse({}).success,
          content: { 'application/json': { schema: route.body } },
        },
      }),
  responses: { ...answerResponses(route), ...problemResponses(route) },
});

const methodKey = { GET: 'get', POST: 'post', DELETE: 'delete' } as const;

/** The description of those routes, from the schemas that validate their input and type their answers. */
export const openApiDocument = (routes: readonly Route[]): OpenApiDocument => {
  const paths: Record<string, ZodOpenApiPathItemObject> = {};
  for (const route of routes) {
    const path = documentPath(route.path);
    paths[path] = { ...paths[path], [methodKey[route.method]]: operationOf(route) };
  }
  return createDocument(
    {
      openapi: '3.1.1',
      info: {
        title: 'VM Pool',
        version,
        license: { name: 'Apache 2.0', identifier: 'Apache-2.0' },
        description:
          'Leases of cloud VMs for jobs. All errors are problem details (RFC 9457). Any request may also be answered ' +
          'with 405 (`method-not-allowed`), or before it is read with 400, 408 (too slow) or 431 (headers too large). ' +
          'New fields may come in answers and new problems in refusals; what is here stays as it is in version 1.',
      },
      servers: [{ url: '/' }],
      paths,
      components: {
        securitySchemes: Object.fromEntries(
          Object.values(schemes).map(({ name, description }) => [
            name,
            { type: 'http', scheme: 'bearer', description },
          ]),
        ),
      },
    },
    {
      override: ({ jsonSchema, io }) => {
        // A client has to bear fields that a later version adds.
        if (io === 'output' && jsonSchema.additionalProperties === false)
          delete jsonSchema.additionalProperties;
      },
    },
  );
};
