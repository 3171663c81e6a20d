import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer, Server as TlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { SecureContextOptions } from 'node:tls';
import { HttpMetrics } from '../metrics/http-metrics.js';
import { figuresTogether } from '../metrics/together.js';
import type { Log } from '../service/log.js';
import type { PoolService } from '../service/port.js';
import { createApp } from './app.js';
import type { KnownToken } from './authenticate.js';
import { FailedAuthLimit } from './failed-auth-limit.js';
import { routes } from './routes.js';

/** The part of the configuration that the server reads. */
export interface HttpConfig {
  readonly listen: {
    readonly host: string;
    readonly port: number;
    readonly tls?:
      { readonly cert: string; readonly key: string; readonly clientCa?: string | undefined } | undefined;
  };
  readonly auth: { readonly tokens: readonly KnownToken[] };
  readonly limits: {
    readonly bodyBytes: number;
    readonly failedAuthPerMinute: number;
    /** Milliseconds. */
    readonly maxWait: number;
    readonly connections: number;
  };
}

/** Limits on slow clients, milliseconds. None of them counts the time of a long poll, but for `silenceMs`. */
export interface HttpTimeouts {
  readonly headersMs: number;
  readonly requestMs: number;
  readonly keepAliveMs: number;
  readonly checkEveryMs: number;
  /** Beyond the longest long poll: no byte in either direction, as when a client never reads its answer. */
  readonly silenceMs: number;
}

const usualTimeouts: HttpTimeouts = {
  headersMs: 10_000,
  requestMs: 30_000,
  keepAliveMs: 75_000,
  checkEveryMs: 2_000,
  silenceMs: 60_000,
};

/** Node's own, of connections that the kernel has taken and the service not yet. */
const usualBacklog = 511;

/** Requests of one connection that may wait for their answers. Clients of today wait for each before the next. */
const mostUnanswered = 4;

export interface HttpServerOptions {
  readonly config: HttpConfig;
  readonly service: PoolService;
  /** For the windows of the limit on failed authentication. */
  readonly clock: { now(): number };
  readonly log: Log;
  /** Null when the service can take requests, else why not; told by /readyz. */
  readonly notReady?: () => string | null;
  /** The pool's figures for Prometheus; those of the HTTP side stand beside them. */
  readonly metrics?: () => Promise<string>;
  readonly newRequestId?: () => string;
  readonly timeouts?: HttpTimeouts;
}

export interface HttpServer {
  /** @throws system errors of the socket (`EADDRINUSE`), and of the TLS files */
  listen(): Promise<{ readonly url: string; readonly port: number }>;
  /** Takes over tokens, `maxWait` and the content of the TLS files. When it throws, nothing has changed. */
  reload(config: HttpConfig): void;
  /**
   * Takes no more connections, answers those that wait with what is so now, lets requests under way end for
   * `graceMs`, then cuts. Idempotent.
   */
  close(graceMs: number): Promise<void>;
}

const tlsOptions = (tls: NonNullable<HttpConfig['listen']['tls']>): SecureContextOptions => ({
  cert: readFileSync(tls.cert),
  key: readFileSync(tls.key),
  minVersion: 'TLSv1.2',
  ...(tls.clientCa === undefined ? {} : { ca: readFileSync(tls.clientCa) }),
});

/** Answers of the HTTP parser, before there is a request: problems like all others. */
const refuseMalformed = (error: Error & { code?: string }, socket: Socket): void => {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const [status, title] =
    error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
      ? [408, 'Request Timeout']
      : error.code === 'HPE_HEADER_OVERFLOW'
        ? [431, 'Request Header Fields Too Large']
        : [400, 'Bad Request'];
  const body = JSON.stringify({
    type: 'about:blank',
    title,
    status,
    detail: 'The request is not well-formed HTTP, or came too slowly.',
  });
  socket.end(
    `HTTP/1.1 ${String(status)} ${title}\r\nConnection: close\r\nContent-Type: application/problem+json\r\n` +
      `Content-Length: ${String(Buffer.byteLength(body))}\r\n\r\n${body}`,
  );
};

/**
 * Ends connections whose requests run ahead of their answers, without answering these. A client that sends requests
 * without end and reads nothing would have the service make and keep answers far larger than what it sends.
 */
const refuseRunningAhead = (answer: RequestListener): RequestListener => {
  const unanswered = new WeakMap<Socket, number>();
  return (request, response) => {
    const { socket } = request;
    const count = (unanswered.get(socket) ?? 0) + 1;
    if (count > mostUnanswered || socket.destroyed) {
      socket.destroy();
      return;
    }
    unanswered.set(socket, count);
    response.once('close', () => unanswered.set(socket, (unanswered.get(socket) ?? 1) - 1));
    answer(request, response);
  };
};

/** The HTTP side of the service. Nothing listens before `listen`. */
export const createHttpServer = (options: HttpServerOptions): HttpServer => {
  const { service, log, timeouts = usualTimeouts } = options;
  let { config } = options;
  const stopping = new AbortController();
  const figures = new HttpMetrics();
  const ofThePool = options.metrics;
  const app: RequestListener = createApp({
    routes,
    service,
    log,
    bodyBytes: config.limits.bodyBytes,
    failedAuth: new FailedAuthLimit(config.limits.failedAuthPerMinute, () => options.clock.now()),
    newRequestId: options.newRequestId ?? randomUUID,
    tokens: () => config.auth.tokens,
    maxWaitMs: () => config.limits.maxWait,
    notReady: () => (stopping.signal.aborted ? 'the service is stopping' : (options.notReady?.() ?? null)),
    metrics: async () =>
      figuresTogether([...(ofThePool === undefined ? [] : [await ofThePool()]), await figures.text()]),
    onProblem: (route, code) => figures.refused(route, code),
    stopping: stopping.signal,
  });
  const limits = {
    headersTimeout: timeouts.headersMs,
    requestTimeout: timeouts.requestMs,
    keepAliveTimeout: timeouts.keepAliveMs,
    connectionsCheckingInterval: timeouts.checkEveryMs,
    maxHeaderSize: 16 * 1024,
  };
  /** All of them: those that have not ended their handshake are none of HTTP's yet. */
  const connections = new Set<Socket>();
  let server: Server | TlsServer | null = null;
  let closing: Promise<void> | null = null;

  const create = (): Server | TlsServer => {
    const { tls } = config.listen;
    const listener = refuseRunningAhead(app);
    if (tls === undefined) return createServer(limits, listener);
    const clients = tls.clientCa === undefined ? {} : { requestCert: true, rejectUnauthorized: true };
    const made = createTlsServer(
      { ...limits, ...tlsOptions(tls), ...clients, handshakeTimeout: timeouts.headersMs },
      listener,
    );
    // Node only tells of a handshake that fails or takes too long. Nothing can be answered: the answer would wait for it.
    made.on('tlsClientError', (_error, socket) => socket.destroy());
    return made;
  };

  const shut = async (graceMs: number): Promise<void> => {
    stopping.abort();
    const open = server;
    if (open?.listening !== true) return;
    const ended = once(open, 'close');
    open.close();
    open.closeIdleConnections();
    const cut = setTimeout(() => {
      log.warn({ graceMs }, 'requests were still under way at the end of the time that a stop leaves them');
      for (const socket of connections) socket.destroy();
    }, graceMs);
    await ended;
    clearTimeout(cut);
  };

  return {
    async listen() {
      server = create();
      server.maxConnections = config.limits.connections;
      server.maxHeadersCount = 64;
      server.timeout = config.limits.maxWait + timeouts.silenceMs;
      server.on('clientError', refuseMalformed);
      server.on('connection', (socket: Socket) => {
        connections.add(socket);
        socket.once('close', () => connections.delete(socket));
      });
      // Jobs start in bursts: a connection that overflows the kernel's queue is only tried again after a second.
      const { port: wanted, host: on } = config.listen;
      server.listen({ port: wanted, host: on, backlog: Math.max(usualBacklog, config.limits.connections) });
      await once(server, 'listening');
      const { port } = server.address() as AddressInfo;
      const { host, tls } = config.listen;
      const url = `${tls === undefined ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${String(port)}`;
      log.info({ url }, 'the HTTP API is served');
      return { url, port };
    },
    reload(next) {
      if (server instanceof TlsServer && next.listen.tls !== undefined) {
        server.setSecureContext(tlsOptions(next.listen.tls));
      }
      config = next;
      // For connections to come.
      if (server !== null) server.timeout = config.limits.maxWait + timeouts.silenceMs;
    },
    close(graceMs) {
      closing ??= shut(graceMs);
      return closing;
    },
  };
};
