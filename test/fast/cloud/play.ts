import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import type { CloudClock } from '../../../src/cloud/clock.js';
import { createCloud } from '../../../src/cloud/openstack.js';
import type { CloudOptions, OpenStackCloud } from '../../../src/cloud/openstack.js';
import type { InstallationId, ServerId } from '../../../src/pool/model.js';

/** A small HTTP server that plays the parts of OpenStack that a test names. */

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

export interface Reply {
  readonly status?: number;
  readonly headers?: Record<string, string>;
  readonly json?: unknown;
  readonly text?: string;
  /** Never answers. */
  readonly silence?: boolean;
  /** Sends half of what it announced, then breaks the connection. */
  readonly cutOff?: boolean;
}

export type Route = (asked: Asked, nth: number) => Reply;

export interface PlayedCloud {
  readonly url: string;
  readonly asked: Asked[];
  /** Requests for `METHOD /path`, in order. */
  to(route: string): Asked[];
  close(): Promise<void>;
}

export const installation = '11111111-2222-4333-8444-555555555555' as InstallationId;
export const id = (text: string): ServerId => text as ServerId;

/** Routes by `METHOD /path`; what no route names is 404 in Nova's form. */
export async function play(
  routes: (url: string) => Record<string, Route>,
  tls?: { cert: string; key: string },
): Promise<PlayedCloud> {
  const asked: Asked[] = [];
  const counts = new Map<string, number>();
  let table: Record<string, Route> = {};
  const onRequest: http.RequestListener = (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const url = new URL(request.url ?? '/', 'http://here');
      const entry: Asked = {
        method: request.method ?? '',
        path: url.pathname,
        query: url.searchParams,
        headers: request.headers,
        body: Buffer.concat(chunks).toString('utf8'),
      };
      asked.push(entry);
      const name = `${entry.method} ${entry.path}`;
      const nth = (counts.get(name) ?? 0) + 1;
      counts.set(name, nth);
      const reply = table[name]?.(entry, nth) ?? {
        status: 404,
        json: { itemNotFound: { code: 404, message: `nothing at ${name}` } },
      };
      if (reply.silence === true) return;
      const text = reply.text ?? (reply.json === undefined ? '' : JSON.stringify(reply.json));
      const length = reply.cutOff === true ? text.length * 2 + 10 : Buffer.byteLength(text);
      response.writeHead(reply.status ?? 200, { 'content-length': String(length), ...reply.headers });
      response.write(text, () => {
        if (reply.cutOff === true) response.destroy();
        else response.end();
      });
    });
  };
  const server = tls === undefined ? http.createServer(onRequest) : https.createServer(tls, onRequest);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const url = `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`;
  table = routes(url);
  return {
    url,
    asked,
    to: (route) => asked.filter((entry) => `${entry.method} ${entry.path}` === route),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Keystone's answer with a catalog whose services live under paths of one address. */
export function tokenReply(
  url: string,
  options: { readonly token?: string; readonly lifeMs?: number; readonly catalog?: unknown } = {},
): Reply {
  const issued = Date.parse('2030-01-01T00:00:00Z');
  const entry = (type: string, path: string) => ({
    type,
    name: type,
    endpoints: [
      { interface: 'internal', url: `${url}/inside${path}`, region: 'One', region_id: 'One' },
      { interface: 'public', url: `${url}${path}`, region: 'One', region_id: 'One' },
    ],
  });
  return {
    status: 201,
    headers: { 'x-subject-token': options.token ?? 'token-1' },
    json: {
      token: {
        methods: ['password'],
        issued_at: new Date(issued).toISOString(),
        expires_at: new Date(issued + (options.lifeMs ?? 3_600_000)).toISOString(),
        project: { id: 'p1', name: 'demo', domain: { id: 'default', name: 'Default' } },
        user: { id: 'u1', name: 'alice', domain: { id: 'default', name: 'Default' } },
        catalog: options.catalog ?? [
          entry('compute', '/compute/v2.1'),
          entry('network', '/networking'),
          entry('image', '/image'),
          entry('volumev3', '/volume/v3/p1'),
        ],
      },
    },
  };
}

/** Keystone and Nova's version, which nearly every test needs. */
export const basics = (url: string): Record<string, Route> => ({
  'POST /v3/auth/tokens': () => tokenReply(url),
  'GET /compute/v2.1/': () => ({
    json: { version: { id: 'v2.1', version: '2.93', min_version: '2.1', status: 'CURRENT' } },
  }),
});

/** Time that passes only by sleeping, noted. */
export function tellingClock(): CloudClock & { readonly slept: number[]; advance(ms: number): void } {
  let now = Date.parse('2026-11-23T00:00:00Z');
  const slept: number[] = [];
  return {
    slept,
    now: () => now,
    advance(ms) {
      now += ms;
    },
    sleep(ms, signal) {
      signal.throwIfAborted();
      slept.push(ms);
      now += ms;
      return Promise.resolve();
    },
    random: () => 0.5,
  };
}

export const noFiles = { cwd: '/nowhere', home: '/home/nobody', read: () => null };

export const passwordEnv = (url: string): Record<string, string> => ({
  OS_AUTH_URL: `${url}/v3`,
  OS_USERNAME: 'alice',
  OS_PASSWORD: 'pa55-w0rd-that-never-shows',
  OS_PROJECT_NAME: 'demo',
  OS_REGION_NAME: 'One',
});

export function openCloud(url: string, options: Partial<CloudOptions> = {}): OpenStackCloud {
  return createCloud({
    env: passwordEnv(url),
    installation,
    clock: tellingClock(),
    files: noFiles,
    ...options,
  });
}

export const server = (name: string, metadata: Record<string, string> = {}): unknown => ({
  id: name,
  name,
  status: 'ACTIVE',
  created: '2026-11-23T10:00:00Z',
  'OS-EXT-STS:task_state': null,
  addresses: {
    net0: [{ addr: '10.0.0.7', version: 4, 'OS-EXT-IPS:type': 'fixed', 'OS-EXT-IPS-MAC:mac_addr': 'x' }],
  },
  metadata: { vmpool_installation: installation, ...metadata },
});
