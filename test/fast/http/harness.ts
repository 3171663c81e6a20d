import { createHash } from 'node:crypto';
import { createServer as createNetServer } from 'node:net';
import { request, type Agent } from 'node:http';
import {
  createHttpServer,
  type HttpConfig,
  type HttpServer,
  type HttpServerOptions,
} from '../../../src/http/server.js';
import type { Log } from '../../../src/service/log.js';
import { assertDescribed } from './conforms.js';
import { FakePool } from './fake-service.js';

export const tokens = {
  worker: 'worker-token-of-node1-xxxxxxxx',
  worker2: 'worker-token-of-node2-xxxxxxxx',
  operator: 'operator-token-xxxxxxxxxxxxxxx',
  viewer: 'viewer-token-xxxxxxxxxxxxxxxxx',
};
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

export const httpConfig = (limits: Partial<HttpConfig['limits']> = {}): HttpConfig => ({
  listen: { host: '127.0.0.1', port: 0 },
  auth: {
    tokens: [
      { name: 'n1', role: 'worker', worker: 'node1', sha256: sha256(tokens.worker) },
      { name: 'n2', role: 'worker', worker: 'node2', sha256: sha256(tokens.worker2) },
      { name: 'admin', role: 'operator', worker: null, sha256: sha256(tokens.operator) },
      { name: 'eyes', role: 'viewer', worker: null, sha256: sha256(tokens.viewer) },
    ],
  },
  limits: { bodyBytes: 65_536, failedAuthPerMinute: 1000, maxWait: 60_000, connections: 200, ...limits },
});

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  readonly json: Record<string, unknown>;
}

export interface Running {
  readonly server: HttpServer;
  readonly pool: FakePool;
  readonly port: number;
  readonly url: string;
  readonly logged: string[];
  readonly send: (method: string, path: string, more?: Sending) => Promise<Answer>;
}

export interface Sending {
  readonly token?: string | undefined;
  readonly body?: unknown;
  /** Sent as it is instead of `body`. */
  readonly raw?: string | Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** Otherwise a connection for this call alone. */
  readonly agent?: Agent;
  /** Answers that come before there is a route, and so stand in no document. */
  readonly unrouted?: readonly number[];
}

const logInto = (lines: string[]): Log => {
  const write = (fields: object, message: string): void => {
    lines.push(`${JSON.stringify(fields)} ${message}`);
  };
  return { debug: write, info: write, warn: write, error: write };
};

/**
 * The server with an in-memory pool behind it, on a free loopback port. The test closes it. Each answer that `send`
 * gets is compared with the OpenAPI document.
 */
export const start = async (options: Partial<HttpServerOptions> = {}): Promise<Running> => {
  const pool = new FakePool();
  const logged: string[] = [];
  const server = createHttpServer({
    config: httpConfig(),
    service: pool,
    clock: { now: () => performance.now() },
    log: logInto(logged),
    ...options,
  });
  const { port, url } = await server.listen();
  return { server, pool, port, url, logged, send: (...call) => send(port, ...call) };
};

/** Calls the server on this port; the answer is compared with the OpenAPI document. */
export const send = (port: number, method: string, path: string, more: Sending = {}): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const body = more.raw ?? (more.body === undefined ? undefined : JSON.stringify(more.body));
    const outgoing = request(
      {
        port,
        host: '127.0.0.1',
        method,
        path,
        agent: more.agent ?? false,
        headers: {
          ...(more.token === undefined ? {} : { Authorization: `Bearer ${more.token}` }),
          ...(body === undefined
            ? {}
            : { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) }),
          ...more.headers,
        },
        ...(more.signal === undefined ? {} : { signal: more.signal }),
      },
      (message) => {
        let text = '';
        message.setEncoding('utf8');
        message.on('data', (chunk: string) => {
          text += chunk;
        });
        message.on('error', reject);
        message.on('end', () => {
          const { statusCode: status = 0, headers } = message;
          try {
            if (more.unrouted?.includes(status) !== true)
              assertDescribed(method, path, { status, headers, text });
            const isJson = String(headers['content-type']).includes('json');
            const json = isJson && text !== '' ? (JSON.parse(text) as Record<string, unknown>) : {};
            resolve({ status, headers, text, json });
          } catch (error) {
            reject(error instanceof Error ? error : new Error(String(error)));
          }
        });
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body);
  });

export const ask = (job = '1.server', start_ = 1): Record<string, unknown> => ({
  job,
  attempt: { start: start_, boot: 'b-1', pid: 10, ticks: 100 },
  user: {
    name: 'ann',
    uid: 1001,
    gid: 1001,
    groups: [{ name: 'ann', gid: 1001 }],
    home: '/home/ann',
    shell: '/bin/bash',
  },
  publicKey: 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA job',
});

/** Waits until something holds; fails after some seconds instead of hanging. */
export const eventually = async (holds: () => boolean): Promise<void> => {
  for (let turn = 0; turn < 500; turn += 1) {
    if (holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error('never came true');
};

/** A port on which nobody listens. */
export const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const probe = createNetServer().listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => {
        resolve(typeof address === 'object' && address !== null ? address.port : 0);
      });
    });
  });
