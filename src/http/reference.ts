import { z } from 'zod';
import { kindOf, limitsOf, type Described } from './described.js';
import { openApiDocument, problemsOfRoute } from './openapi.js';
import type { Route } from './route.js';
import { routes } from './routes.js';

const cell = (text: string): string => text.replaceAll('|', '\\|');
const code = (text: string): string => (text === '' ? '' : `\`${cell(text)}\``);

const valueRow = (name: string, at: Described, required: boolean): string =>
  `| \`${name}\`${required ? '' : ' (optional)'} | ${code(kindOf(at))} | ${limitsOf(at).map(code).join(', ')} | ${cell(at.description ?? '')} |`;

const fieldTable = (first: string, at: Described): readonly string[] => [
  `| ${first} | kind | limits | meaning |`,
  '| --- | --- | --- | --- |',
  ...Object.entries(at.properties ?? {}).map(([name, field]) =>
    valueRow(name, field, at.required?.includes(name) === true),
  ),
];

const described = (schema: z.ZodType): Described =>
  z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as Described;

const nameOf = (schema: z.ZodType): string => {
  const { id, description } = z.globalRegistry.get(schema) ?? {};
  return id === undefined ? (description ?? kindOf(described(schema))) : `[${id}](#${id.toLowerCase()})`;
};

const section = (route: Route): readonly string[] => {
  const parameters = described(z.object({ ...route.params }));
  const query = described(route.query);
  return [
    `## ${route.method} ${route.path}`,
    '',
    route.summary,
    '',
    `- For: ${route.roles.length === 0 ? 'everyone, without a token' : route.roles.join(', ')}`,
    ...(route.body === null ? [] : [`- Body: ${nameOf(route.body)}`]),
    ...Object.entries(route.answers).map(([status, schema]) => `- ${status}: ${nameOf(schema)}`),
    `- Problems: ${problemsOfRoute(route).map(code).join(', ')}`,
    '',
    ...(Object.keys(route.params).length === 0 ? [] : [...fieldTable('in the path', parameters), '']),
    ...(Object.keys(query.properties ?? {}).length === 0 ? [] : [...fieldTable('query', query), '']),
  ];
};

/** The reference of the HTTP API as Markdown, from the table that serves it. */
export const httpReference = (): string => {
  const schemas = (openApiDocument(routes).components?.schemas ?? {}) as Readonly<Record<string, Described>>;
  return [
    '# HTTP API, version 1',
    '',
    'JSON in and out. `Authorization: Bearer <token>`: a token of the configuration with its role (`worker`, `operator`, `viewer`), or the capability that came with a lease, good for reading and ending that lease alone. A lease of another worker looks like one that does not exist.',
    '',
    'The service describes all this itself: `/v1/openapi.json` is an OpenAPI 3.1 document, `/v1/docs` the same as a page that needs no internet. Both are made from the schemas that validate, and are open to everyone: they say nothing that the sources do not. Within version 1 nothing that is described goes away or changes its meaning; answers may get new fields, which clients have to ignore.',
    '',
    '`wait` (seconds) holds the answer back until the lease is `granted` or `ready` (everything is staged on the VM), has ended, the time is over or the service stops; the answer shows what is so then. Every call may be repeated: a lost answer loses nothing.',
    '',
    'Errors are problem details (RFC 9457) with `type: urn:vmpool:problem:<code>`: `stale-attempt`, `rival-attempt` and `conflict` (409), `unsatisfiable` and `no-class-fits` (422), `not-found` (404), `forbidden` (403), `unauthorised` (401), `invalid-input` (400, with `errors` field by field), `inconsistent-input` (422: well-formed values that make no sense together), `body-too-large` (413), `unsupported-media-type` (415), `method-not-allowed` (405, with Allow), `too-many-requests` (429, failed authentications of one address), `unavailable` (503, with Retry-After), `internal-error` (500). `instance` names the request, as X-Request-Id and the log do.',
    '',
    '<!-- Generated from src/http/routes.ts; a test compares. -->',
    '',
    ...routes.flatMap(section),
    '# Shapes',
    '',
    ...Object.entries(schemas).flatMap(([name, at]) => [`## ${name}`, '', ...fieldTable('field', at), '']),
  ].join('\n');
};
