import { z } from 'zod';
import { routes } from './routes.js';
import type { Route } from './route.js';

interface Described {
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly default?: unknown;
  readonly anyOf?: readonly Described[];
  readonly items?: Described;
  readonly properties?: Readonly<Record<string, Described>>;
  readonly required?: readonly string[];
}

const shapeOf = (at: Described): string => {
  if (at.const !== undefined) return JSON.stringify(at.const);
  if (at.enum !== undefined) return at.enum.map((value) => JSON.stringify(value)).join(' or ');
  if (at.anyOf !== undefined) return at.anyOf.map(shapeOf).join(' or ');
  if (at.items !== undefined) return `[${shapeOf(at.items)}]`;
  if (at.properties === undefined) return [at.type ?? 'any'].flat().join(' or ');
  const fields = Object.entries(at.properties).map(
    ([name, field]) => `${name}${at.required?.includes(name) ? '' : '?'}: ${shapeOf(field)}`,
  );
  return `{ ${fields.join(', ')} }`;
};

const shape = (schema: z.ZodType, io: 'input' | 'output'): string =>
  shapeOf(z.toJSONSchema(schema, { io, unrepresentable: 'any' }) as Described);

const section = (route: Route): readonly string[] => {
  const query = shape(route.query, 'input');
  return [
    `## ${route.method} ${route.path}`,
    '',
    route.summary,
    '',
    `- For: ${route.roles.length === 0 ? 'everyone, without a token' : route.roles.join(', ')}`,
    ...(query === '{  }' ? [] : [`- Query: \`${query}\``]),
    ...(route.body === null ? [] : [`- Body: \`${shape(route.body, 'input')}\``]),
    ...Object.entries(route.answers).map(([status, schema]) => `- ${status}: \`${shape(schema, 'output')}\``),
    '',
  ];
};

/** The reference of the HTTP API as Markdown, from the table that serves it. */
export const httpReference = (): string =>
  [
    '# HTTP API, version 1',
    '',
    'JSON in and out. `Authorization: Bearer <token>`: a token of the configuration with its role (`worker`, `operator`, `viewer`), or the capability that came with a lease, good for reading and ending that lease alone. A lease of another worker looks like one that does not exist.',
    '',
    '`wait` (seconds) holds the answer back until the lease is `granted` or `ready` (everything is staged on the VM), has ended, the time is over or the service stops; the answer shows what is so then. Every call may be repeated: a lost answer loses nothing.',
    '',
    'Errors are problem details (RFC 9457) with `type: urn:vmpool:problem:<code>`: `stale-attempt`, `rival-attempt` and `conflict` (409), `unsatisfiable` (422), `not-found` (404), `forbidden` (403), `unauthorised` (401), `invalid-input` (400, with `errors` field by field), `body-too-large` (413), `unsupported-media-type` (415), `method-not-allowed` (405, with Allow), `too-many-requests` (429, failed authentications of one address), `unavailable` (503, with Retry-After), `internal-error` (500). `instance` names the request, as X-Request-Id and the log do.',
    '',
    '<!-- Generated from src/http/routes.ts; a test compares. -->',
    '',
    ...routes.flatMap(section),
  ].join('\n');
