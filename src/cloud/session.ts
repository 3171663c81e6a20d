import { z } from 'zod';
import { firstOfSignals, untilAborted } from './abort.js';
import { CloudError, type CloudErrorKind } from './port.js';
import type { CallCounter } from './calls.js';
import { outcomeOf } from './calls.js';
import { apiBase, catalogShape, chooseEndpoint, chooseMicroversion, versionDocument } from './catalog.js';
import type { Catalog, Service } from './catalog.js';
import type { CloudClock } from './clock.js';
import type { Auth } from './credentials.js';
import { failureOf, unreadable } from './failure.js';
import type { Redact } from './failure.js';
import { isPassing, pauseBeforeRetry, retryAfterMs } from './retry.js';
import type { RetryPolicy } from './retry.js';
import { certificateFault, TransportError } from './transport.js';
import type { HttpAnswer, Transport } from './transport.js';

/** What a pino logger takes, as far as it is used here. */
export interface CloudLog {
  debug(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export interface Call {
  /** In words, for errors: "list the servers". */
  readonly what: string;
  readonly service: Service;
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** Below the API's version, beginning with a slash; query included. */
  readonly path: string;
  readonly body?: unknown;
  /** Statuses that are an answer and no failure, beyond 2xx. */
  readonly accept?: readonly number[];
  readonly timeoutMs?: number;
  /** True for an order that must not be given twice: tried again only where it surely did not arrive. */
  readonly once?: boolean;
}

export interface SessionParts {
  readonly auth: Auth;
  readonly transport: Transport;
  readonly clock: CloudClock;
  readonly log: CloudLog;
  readonly counter: CallCounter;
  readonly retry: RetryPolicy;
  readonly redact: Redact;
  readonly userAgent: string;
}

export interface Token {
  readonly id: string;
  readonly projectId: string | null;
  readonly projectName: string | null;
  readonly userName: string | null;
  readonly catalog: Catalog;
  /** Local time from which the token is renewed before use; infinity for a token that cannot be. */
  readonly renewAt: number;
}

/**
 * Nova's microversion asked for, where it is spoken: from 2.21 on the action log of a deleted server can
 * still be read, 2.26 adds tags. Nothing here needs a newer one; what is missing in an old cloud is missed
 * without harm.
 */
export const wantedMicroversion = '2.26';

interface Microversions {
  readonly asked: string | null;
  readonly min: string;
  readonly max: string;
}
const none: Microversions = { asked: null, min: '', max: '' };

const defaultTimeoutMs = 20_000;
/** A service that asks for a longer pause is asked again after this: a date far off is more likely a mistake. */
const longestGateMs = 600_000;
/** A token is renewed so long before its end, or at three quarters of a shorter life. */
const renewBeforeEndMs = 120_000;

const tokenShape = z.object({
  token: z.object({
    expires_at: z.string().nullish(),
    issued_at: z.string().nullish(),
    project: z.object({ id: z.string(), name: z.string().optional() }).nullish(),
    user: z.object({ name: z.string().optional() }).nullish(),
    catalog: catalogShape.default([]),
  }),
});

const versionShape = z.object({
  id: z.string(),
  version: z.string().nullish(),
  min_version: z.string().nullish(),
});

const keystoneVersionsShape = z.object({
  versions: z.object({
    values: z.array(
      z.object({
        id: z.string(),
        status: z.string().default(''),
        links: z.array(z.object({ rel: z.string(), href: z.string() })).default([]),
      }),
    ),
  }),
});

/**
 * One authenticated connection to a cloud: token, catalog, endpoints, retries. A token is fetched when first
 * needed, before it ends and after a 401, by one call for all who wait.
 */
export class Session {
  readonly #parts: SessionParts;
  readonly #closing = new AbortController();
  #token: Token | null = null;
  #signingIn: Promise<Token> | null = null;
  #microversion: Promise<Microversions> | null = null;
  /** By service: until when it asked for no more calls. */
  readonly #pausedUntil = new Map<string, number>();

  constructor(parts: SessionParts) {
    this.#parts = parts;
  }

  close(): void {
    this.#closing.abort(new CloudError('unavailable', 'the connection to the cloud was closed'));
    this.#parts.transport.close();
  }

  /** The present token, fetched or renewed if need be. */
  async token(signal: AbortSignal): Promise<Token> {
    if (this.#token !== null && this.#parts.clock.now() < this.#token.renewAt) return this.#token;
    this.#signingIn ??= this.#signIn(this.#closing.signal).finally(() => {
      this.#signingIn = null;
    });
    return untilAborted(this.#signingIn, signal);
  }

  async endpoint(service: Service, signal: AbortSignal): Promise<string> {
    const { catalog } = await this.token(signal);
    const { region, interface: wanted } = this.#parts.auth;
    const choice = chooseEndpoint(catalog, service, region, wanted);
    if (!choice.found) throw new CloudError('bad-answer', `no way to the ${service} service: ${choice.why}`);
    return apiBase(service, choice.url);
  }

  /** The microversion that Nova is asked for; null when it has none. */
  async microversion(signal: AbortSignal): Promise<string | null> {
    return (await this.#microversions(signal)).asked;
  }

  /** Whether Nova speaks this microversion, whatever it is asked for here. */
  async speaks(microversion: string, signal: AbortSignal): Promise<boolean> {
    const { min, max } = await this.#microversions(signal);
    return chooseMicroversion(microversion, min, max) === microversion;
  }

  async #microversions(signal: AbortSignal): Promise<Microversions> {
    const endpoint = await this.endpoint('compute', signal);
    if (this.#microversion === null) {
      const discovery = this.#discover(endpoint);
      this.#microversion = discovery;
      discovery.catch(() => {
        if (this.#microversion === discovery) this.#microversion = null;
      });
    }
    return untilAborted(this.#microversion, signal);
  }

  /**
   * One call, tried again where that can help. Resolves with 2xx and the
   * accepted statuses; throws `CloudError`, or the signal's reason.
   */
  async call(call: Call, signal: AbortSignal): Promise<HttpAnswer> {
    const either = firstOfSignals(signal, this.#closing.signal);
    try {
      return await this.#callUntil(call, either.signal);
    } finally {
      either.release();
    }
  }

  async #callUntil(call: Call, signal: AbortSignal): Promise<HttpAnswer> {
    const microversion = call.service === 'compute' ? await this.microversion(signal) : null;
    for (let renewed = false; ; renewed = true) {
      const token = await this.token(signal);
      const url = `${await this.endpoint(call.service, signal)}${call.path}`;
      const answer = await this.#exchange(call, url, token.id, microversion, signal);
      if ((answer.status >= 200 && answer.status < 300) || call.accept?.includes(answer.status) === true) {
        return answer;
      }
      if (answer.status === 401 && !renewed && !this.#parts.auth.passThrough) {
        // Revoked or ended early (a changed password, a restarted Keystone): fetch another, once.
        if (this.#token === token) this.#token = null;
        continue;
      }
      throw this.#failure(call.what, answer);
    }
  }

  /** As `call`, with the answer's JSON checked against a shape. */
  async read<T>(call: Call, shape: z.ZodType<T>, signal: AbortSignal): Promise<T> {
    const answer = await this.call(call, signal);
    return this.#parse(call.what, answer.text, shape);
  }

  /** As `read`, with the time that the cloud's own clock showed, null where the answer does not say. */
  async readDated<T>(
    call: Call,
    shape: z.ZodType<T>,
    signal: AbortSignal,
  ): Promise<{ readonly body: T; readonly dateMs: number | null }> {
    const answer = await this.call(call, signal);
    const date = Date.parse(answer.headers['date'] ?? '');
    return { body: this.#parse(call.what, answer.text, shape), dateMs: Number.isNaN(date) ? null : date };
  }

  #parse<T>(what: string, text: string, shape: z.ZodType<T>): T {
    let json: unknown;
    try {
      json = JSON.parse(text);
    } catch {
      throw unreadable(what, 'the answer is not JSON');
    }
    const parsed = shape.safeParse(json);
    if (parsed.success) return parsed.data;
    const issue = parsed.error.issues[0];
    throw unreadable(
      what,
      `the answer lacks what it must have (${issue?.path.join('.') ?? ''}: ${issue?.code ?? ''})`,
    );
  }

  #failure(what: string, answer: HttpAnswer, known?: CloudErrorKind): CloudError {
    return failureOf(what, answer, this.#parts.clock.now(), this.#parts.redact, known);
  }

  async #exchange(
    call: Call,
    url: string,
    token: string,
    microversion: string | null,
    signal: AbortSignal,
  ): Promise<HttpAnswer> {
    const headers: Record<string, string> = { 'x-auth-token': token };
    if (microversion !== null) {
      headers['openstack-api-version'] = `compute ${microversion}`;
      // The name before 2.27; newer Novas read both.
      headers['x-openstack-nova-api-version'] = microversion;
    }
    return this.#send({ ...call, url, headers }, signal);
  }

  /** Sends with bounded retries: no answer, too many requests, a service that is not well. */
  async #send(
    request: {
      readonly what: string;
      readonly service: string;
      readonly method: 'GET' | 'POST' | 'DELETE';
      readonly url: string;
      readonly headers: Readonly<Record<string, string>>;
      readonly body?: unknown;
      readonly timeoutMs?: number;
      readonly accept?: readonly number[];
      readonly once?: boolean;
    },
    signal: AbortSignal,
  ): Promise<HttpAnswer> {
    const { transport, clock, counter, retry, redact, log, userAgent } = this.#parts;
    for (let tries = 1; ; tries += 1) {
      let failure: CloudError;
      await this.#respectPause(request.what, request.service, signal);
      try {
        const answer = await transport.send({
          method: request.method,
          url: request.url,
          headers: {
            accept: 'application/json',
            'user-agent': userAgent,
            ...request.headers,
            ...(request.body === undefined ? {} : { 'content-type': 'application/json' }),
          },
          body: request.body === undefined ? null : JSON.stringify(request.body),
          timeoutMs: request.timeoutMs ?? defaultTimeoutMs,
          signal,
        });
        counter.add(request.service, request.method, outcomeOf(answer.status));
        if (!isPassing(answer.status) || request.accept?.includes(answer.status) === true) return answer;
        failure = this.#failure(request.what, answer);
        if (failure.kind === 'quota' || (request.once === true && answer.status >= 500)) throw failure;
        const asked = retryAfterMs(answer.headers['retry-after'], clock.now());
        if (asked !== null)
          this.#pausedUntil.set(request.service, clock.now() + Math.min(asked, longestGateMs));
        await this.#pauseOrThrow(failure, tries, asked, signal);
      } catch (error) {
        if (!(error instanceof TransportError)) throw error;
        counter.add(request.service, request.method, 'no-answer');
        failure = new CloudError('unavailable', redact(`could not ${request.what}: ${error.message}`));
        // A certificate is no better the second time.
        if (certificateFault.test(error.code)) throw failure;
        if (request.once === true && error.code !== 'ECONNREFUSED') throw failure;
        await this.#pauseOrThrow(failure, tries, null, signal);
      }
      log.debug({ tries, limit: retry.maxTries, reason: failure.message }, 'calling the cloud again');
    }
  }

  /** What one call was told to wait for, all calls to that service wait for; a long pause is an error at once. */
  async #respectPause(what: string, service: string, signal: AbortSignal): Promise<void> {
    const { clock, retry } = this.#parts;
    const restMs = (this.#pausedUntil.get(service) ?? 0) - clock.now();
    if (restMs <= 0) return;
    if (restMs > retry.longestRetryAfterMs) {
      throw new CloudError(
        'rate-limited',
        `could not ${what}: the ${service} service asked for a pause, of which ${Math.ceil(restMs / 1000)} s are left; nothing is sent to it until then`,
        restMs,
      );
    }
    await clock.sleep(restMs, signal);
  }

  async #pauseOrThrow(failure: CloudError, tries: number, asked: number | null, signal: AbortSignal) {
    const { clock, retry } = this.#parts;
    const pause = pauseBeforeRetry(retry, tries, asked, clock.random());
    if (pause === null) throw failure;
    await clock.sleep(pause, signal);
  }

  async #discover(endpoint: string): Promise<Microversions> {
    const what = "read Nova's version";
    const answer = await this.#send(
      { what, service: 'compute', method: 'GET', url: versionDocument(endpoint), headers: {} },
      this.#closing.signal,
    );
    // A cloud that hides its version document is spoken to in the base version.
    if (answer.status >= 300) return none;
    const shape = z.union([
      z.object({ version: versionShape }).transform((body) => body.version),
      z
        .object({ versions: z.array(versionShape) })
        .transform(
          (body) => body.versions.find((version) => version.id.startsWith('v2.1')) ?? { id: '', version: '' },
        ),
    ]);
    let json: unknown;
    try {
      json = JSON.parse(answer.text);
    } catch {
      return none;
    }
    const parsed = shape.safeParse(json);
    if (!parsed.success) return none;
    const { version, min_version } = parsed.data;
    const [min, max] = [min_version ?? '', version ?? ''];
    return { asked: chooseMicroversion(wantedMicroversion, min, max), min, max };
  }

  /** Keystone's v3 address: as given, or found in its list of versions as the provider does. */
  async #identityUrl(signal: AbortSignal): Promise<string> {
    const given = this.#parts.auth.authUrl.replace(/\/+$/, '');
    if (given.endsWith('/v3')) return given;
    const url = new URL(given);
    const match = /v[0-9.]+\/?/.exec(url.pathname);
    const base = `${url.origin}${match === null ? url.pathname : url.pathname.slice(0, match.index)}`.replace(
      /\/*$/,
      '/',
    );
    const what = "read Keystone's versions";
    const answer = await this.#send(
      { what, service: 'identity', method: 'GET', url: base, headers: {} },
      signal,
    );
    // Keystone answers 300 to this.
    if (answer.status !== 200 && answer.status !== 300) throw this.#failure(what, answer);
    const { versions } = this.#parse(what, answer.text, keystoneVersionsShape);
    const third = versions.values.find(
      (version) => version.id.startsWith('v3') && /^(current|supported|stable)$/i.test(version.status),
    );
    if (third === undefined) throw unreadable(what, `${base} offers no Keystone v3`);
    const link = third.links.find((each) => each.rel === 'self')?.href;
    return (link ?? `${base}v3`).replace(/\/+$/, '');
  }

  async #signIn(signal: AbortSignal): Promise<Token> {
    const { auth, clock, log } = this.#parts;
    const what = auth.passThrough ? 'check the given token' : 'sign in to the cloud';
    const url = `${await this.#identityUrl(signal)}/auth/tokens`;
    const askedAt = clock.now();
    const given = auth.passThrough && 'token' in auth.identity ? auth.identity.token.id : null;
    const answer = await this.#send(
      given !== null
        ? {
            what,
            service: 'identity',
            method: 'GET',
            url,
            headers: { 'x-auth-token': given, 'x-subject-token': given },
          }
        : {
            what,
            service: 'identity',
            method: 'POST',
            url,
            headers: {},
            body: {
              auth: { identity: auth.identity, ...(auth.scope === null ? {} : { scope: auth.scope }) },
            },
          },
      signal,
    );
    if (answer.status < 200 || answer.status >= 300) {
      // To a token that it does not know Keystone says 404.
      const isUnknown = answer.status === 404 && 'token' in auth.identity;
      const call = `${what} (${url}, with ${auth.source})`;
      throw this.#failure(call, answer, isUnknown ? 'unauthorised' : undefined);
    }
    const { token } = this.#parse(what, answer.text, tokenShape);
    const id = given ?? answer.headers['x-subject-token'] ?? '';
    if (id === '') throw unreadable(what, 'the answer has no token');
    this.#token = {
      id,
      projectId: token.project?.id ?? null,
      projectName: token.project?.name ?? null,
      userName: token.user?.name ?? null,
      catalog: token.catalog,
      renewAt: given !== null ? Infinity : askedAt + usableMs(token.issued_at, token.expires_at, askedAt),
    };
    log.debug({ project: this.#token.projectId }, 'signed in to the cloud');
    return this.#token;
  }

  /** Tokens to keep out of texts, besides the configured secrets. */
  liveSecrets(): readonly string[] {
    return this.#token === null ? [] : [this.#token.id];
  }
}

/** How long a token is used: by Keystone's own clock where it says both ends, so that clocks may differ. */
function usableMs(
  issuedAt: string | null | undefined,
  expiresAt: string | null | undefined,
  now: number,
): number {
  const end = Date.parse(expiresAt ?? '');
  if (Number.isNaN(end)) return Infinity;
  const begin = Date.parse(issuedAt ?? '');
  const life = Math.max(0, end - (Number.isNaN(begin) ? now : begin));
  return Math.max(life - renewBeforeEndMs, life * 0.75);
}
