import http from 'node:http';
import https from 'node:https';
import { createSecureContext } from 'node:tls';
import type { Auth } from './credentials.js';

export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
  /** For the whole exchange, from the first byte sent to the last one received. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

export interface HttpAnswer {
  readonly status: number;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
}

/** No answer came: no connection, broken in the middle, too slow, too big. `message` says which. */
export class TransportError extends Error {
  constructor(
    message: string,
    /** Node's code or the certificate's fault: ECONNREFUSED, DEPTH_ZERO_SELF_SIGNED_CERT... */
    readonly code: string,
  ) {
    super(message);
    this.name = 'TransportError';
  }
}

/** One HTTP exchange. Rejects with `TransportError`, or with the signal's reason when that fires. */
export interface Transport {
  send(request: HttpRequest): Promise<HttpAnswer>;
  close(): void;
}

/** A page of a thousand servers with full metadata stays below 8 MiB. */
const maxAnswerBytes = 64 * 1024 * 1024;

/** Node's codes for a certificate that is not accepted. */
export const certificateFault = /CERT|SIGNATURE|SELF_SIGNED|UNABLE_TO_|ALTNAME/;

function describeFailure(error: Error & { code?: string }, host: string): TransportError {
  const code = error.code ?? 'ERROR';
  if (code === 'TOO_SLOW' || code === 'TOO_BIG') return new TransportError(error.message, code);
  if (certificateFault.test(code)) {
    return new TransportError(
      `the certificate of ${host} is not trusted (${code}): name its authority in OS_CACERT (cacert in clouds.yaml)`,
      code,
    );
  }
  switch (code) {
    case 'ECONNREFUSED':
      return new TransportError(`${host} refused the connection: is the service running there?`, code);
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new TransportError(`the name of ${host} cannot be resolved (${code})`, code);
    default:
      return new TransportError(`the connection to ${host} failed (${code})`, code);
  }
}

/**
 * Node's own HTTP client with kept connections; the caller closes it. No redirect is followed: OpenStack's
 * APIs answer without, and a redirect would carry the token elsewhere.
 */
export function createTransport(tls: Auth['tls'], maxSockets = 8): Transport {
  const plain = new http.Agent({ keepAlive: true, maxSockets });
  const secure = new https.Agent({
    keepAlive: true,
    maxSockets,
    rejectUnauthorized: tls.verify,
    // Made once: reading a system's whole bundle anew for each connection would cost more than the call.
    secureContext: createSecureContext({
      ...(tls.ca === null ? {} : { ca: tls.ca }),
      ...(tls.client === null ? {} : { cert: tls.client.cert, key: tls.client.key }),
    }),
  });

  function send(request: HttpRequest): Promise<HttpAnswer> {
    const url = new URL(request.url);
    const isSecure = url.protocol === 'https:';
    return new Promise((resolve, reject) => {
      if (request.signal.aborted) {
        reject(asError(request.signal.reason));
        return;
      }
      const outgoing = (isSecure ? https : http).request(url, {
        method: request.method,
        agent: isSecure ? secure : plain,
        headers: {
          ...request.headers,
          ...(request.body === null ? {} : { 'content-length': String(Buffer.byteLength(request.body)) }),
        },
      });
      const stop = (code: string, message: string) => {
        outgoing.destroy(Object.assign(new Error(message), { code }));
      };
      const timer = setTimeout(() => {
        stop('TOO_SLOW', `${url.host} gave no whole answer within ${request.timeoutMs / 1000} s`);
      }, request.timeoutMs);
      const onAbort = () => outgoing.destroy();
      request.signal.addEventListener('abort', onAbort, { once: true });
      const done = () => {
        clearTimeout(timer);
        request.signal.removeEventListener('abort', onAbort);
      };
      const fail = (error: Error) => {
        done();
        reject(request.signal.aborted ? asError(request.signal.reason) : describeFailure(error, url.host));
      };
      outgoing.on('error', fail);
      outgoing.on('response', (incoming) => {
        const chunks: Buffer[] = [];
        let size = 0;
        incoming.on('data', (chunk: Buffer) => {
          size += chunk.length;
          if (size > maxAnswerBytes) stop('TOO_BIG', `${url.host} sent more than ${maxAnswerBytes} bytes`);
          else chunks.push(chunk);
        });
        // Destroying the request in the middle of an answer shows here, not on the request.
        incoming.on('error', (error) => fail(outgoing.errored ?? error));
        incoming.on('aborted', () => {
          fail(outgoing.errored ?? Object.assign(new Error('cut off'), { code: 'CUT_OFF' }));
        });
        incoming.on('end', () => {
          if (!incoming.complete) return;
          done();
          resolve({
            status: incoming.statusCode ?? 0,
            headers: plainHeaders(incoming.headers),
            text: Buffer.concat(chunks).toString('utf8'),
          });
        });
      });
      outgoing.end(request.body ?? undefined);
    });
  }

  return {
    send,
    close() {
      plain.destroy();
      secure.destroy();
    },
  };
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}

function plainHeaders(headers: http.IncomingHttpHeaders): Record<string, string> {
  const result: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) result[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  return result;
}
