import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { escapeHtml } from '../../../src/http/document-page.js';
import { documentPath, openApiDocument, operationId } from '../../../src/http/openapi.js';
import { routes } from '../../../src/http/routes.js';
import { assertDescribed, compared } from './conforms.js';
import { ask, start, tokens, type Running } from './harness.js';

let running: Running;
beforeAll(async () => {
  running = await start();
});
afterAll(() => running.server.close(1000));

interface Operation {
  readonly operationId: string;
  readonly security: readonly object[];
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly schema: object }[];
  readonly requestBody?: { readonly required: boolean };
  readonly responses: Readonly<Record<string, { readonly content: object; readonly headers: object }>>;
}
interface Document {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: {
    readonly schemas: Readonly<Record<string, { readonly properties: Readonly<Record<string, unknown>> }>>;
    readonly securitySchemes: Readonly<Record<string, object>>;
  };
}
const fetched = async (): Promise<Document> =>
  (await running.send('GET', '/v1/openapi.json')).json as unknown as Document;

describe('the OpenAPI document', () => {
  it('has every route with its parameters, security and answers, and no other', async () => {
    const { openapi, paths, components } = await fetched();
    expect(openapi).toMatch(/^3\.1\./);
    const operations = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    expect(operations.sort()).toEqual(routes.map((r) => `${r.method} ${documentPath(r.path)}`).sort());
    for (const route of routes) {
      const operation = paths[documentPath(route.path)]?.[route.method.toLowerCase()];
      expect(operation?.security).toHaveLength(route.roles.length);
      for (const scheme of operation?.security.flatMap((one) => Object.keys(one)) ?? []) {
        expect(components.securitySchemes).toHaveProperty(scheme);
      }
      const named = operation?.parameters?.filter((at) => at.in === 'path').map((at) => at.name) ?? [];
      expect(named).toEqual(Object.keys(route.params));
      expect(operation?.requestBody !== undefined).toBe(route.body !== null);
      expect(Object.keys(operation?.responses ?? {})).toEqual(
        expect.arrayContaining([...Object.keys(route.answers), '400', '500']),
      );
      for (const answer of Object.values(operation?.responses ?? {})) {
        expect(Object.keys(answer.headers)).toContain('X-Request-Id');
      }
    }
    const ids = routes.map(operationId);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('tells the limits that validate', async () => {
    const { components, paths } = await fetched();
    const { LeaseRequest, Attempt, ReleaseRequest } = components.schemas;
    expect(LeaseRequest?.properties['job']).toMatchObject({ minLength: 1, maxLength: 255 });
    expect(Attempt?.properties['start']).toMatchObject({ minimum: 0, maximum: 1_000_000 });
    expect(ReleaseRequest?.properties['reason']).toMatchObject({ maxLength: 1024, default: 'job ended' });
    const bodies = Object.values(paths).flatMap((methods) =>
      Object.values(methods).flatMap(({ requestBody }) => requestBody ?? []),
    );
    expect(bodies.map(({ required }) => required).sort()).toEqual([
      ...Array<boolean>(6).fill(false),
      ...Array<boolean>(5).fill(true),
    ]);
  });

  it('has no pattern that means something else without JavaScript flags', () => {
    const patterns: string[] = [];
    JSON.stringify(openApiDocument(routes), (key, value: unknown) => {
      if (key === 'pattern' && typeof value === 'string') patterns.push(value);
      return value;
    });
    expect(patterns.length).toBeGreaterThan(5);
    // \d and \w mean other characters in other engines, and some know no \0.
    for (const pattern of patterns) expect(pattern).not.toMatch(/\\[dw0]/);
  });

  it('is open to everyone, like the page that shows it, which needs no script and no other address', async () => {
    const page = await running.send('GET', '/v1/docs');
    expect(page.headers['content-type']).toBe('text/html; charset=utf-8');
    for (const route of routes) expect(page.text).toContain(escapeHtml(documentPath(route.path)));
    expect(page.text).not.toMatch(/<script|https?:\/\/|<link/i);
  });
});

describe('the comparison with the document, which every test of the API makes', () => {
  it('finds an answer that is not described', async () => {
    const good = await running.send('POST', '/v1/leases', { token: tokens.worker, body: ask('compare') });
    const said = (change: object): (() => void) => {
      const body = { ...good.json, ...change };
      return () => {
        assertDescribed('POST', '/v1/leases', { ...good, text: JSON.stringify(body) });
      };
    };
    expect(said({})).not.toThrow();
    expect(said({ extra: 1 })).toThrow(/additional propert/);
    expect(said({ ready: 'yes' })).toThrow(/boolean/);
    expect(() => {
      assertDescribed('POST', '/v1/leases', { ...good, status: 418 });
    }).toThrow('not in the document');
    expect(() => {
      assertDescribed('POST', '/v1/leases', {
        ...good,
        headers: { ...good.headers, 'content-type': 'text/html' },
      });
    }).toThrow('another type');
    expect(() => {
      assertDescribed('POST', '/v1/nowhere', { ...good, status: 200 });
    }).toThrow('not refused');
    expect(compared.get('POST /v1/leases 202')).toBeGreaterThan(0);
  });
});
