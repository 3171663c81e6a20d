import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import { z } from 'zod';
import type { ServerOrder } from './control-routes.js';
import type { FaultEffect, FaultOrder } from './faults.js';
import type { JournalEntry } from './journal.js';
import type { Quotas, Timing } from './options.js';

const faultSchema = z.object({ id: z.string(), struck: z.number() });
const callSchema = z.object({
  at: z.number(),
  service: z.string(),
  method: z.string(),
  path: z.string(),
  status: z.number(),
  durationMs: z.number(),
  door: z.string(),
  user: z.string().nullable(),
  project: z.string().nullable(),
  auth: z.string().nullable(),
});
const serverSchema = z.object({
  id: z.string(),
  name: z.string(),
  status: z.string(),
  vmState: z.string(),
  taskState: z.string().nullable(),
  /** Process id of the machine's init on the host, while it runs. */
  initPid: z.number().nullable(),
  /** Nova's action log, newest first. */
  actions: z.array(z.string()),
});
export type ServerSummary = z.infer<typeof serverSchema>;

/**
 * The control API of an embedded cloud (docs/reference/embedded-cloud.md): orders times, quotas and faults, and tells
 * what was called. Every method rejects with the API's own message if the order is not understood.
 */
export class CloudControl {
  constructor(
    readonly url: string,
    readonly token: string,
    /** Authority of its certificate, PEM, where it speaks HTTPS. */
    readonly ca?: string,
  ) {}

  async #call(method: string, path: string, body?: unknown): Promise<unknown> {
    const { status, text } = await this.#exchange(method, path, body);
    if (status < 200 || status > 299)
      throw new Error(`${method} ${this.url}${path} was answered ${status}: ${text}`);
    return text === '' ? undefined : JSON.parse(text);
  }

  #exchange(method: string, path: string, body: unknown): Promise<{ status: number; text: string }> {
    const url = new URL(`${this.url}${path}`);
    const options = {
      method,
      headers: { 'X-Control-Token': this.token, 'Content-Type': 'application/json' },
      signal: AbortSignal.timeout(30_000),
      agent: false,
    } as const;
    return new Promise((resolve, reject) => {
      const answered = (response: IncomingMessage): void => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => (text += chunk));
        response.on('error', reject);
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
      };
      const request =
        url.protocol === 'https:'
          ? https.request(url, { ...options, ...(this.ca !== undefined && { ca: this.ca }) }, answered)
          : http.request(url, options, answered);
      request.on('error', reject);
      request.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  async setTiming(timing: Partial<Timing>): Promise<void> {
    await this.#call('PUT', '/timing', timing);
  }

  /** Changes quotas of one project, or of all that have none of their own. */
  async setQuotas(quotas: Partial<Quotas>, project?: string): Promise<void> {
    await this.#call('PUT', '/quotas', { quotas, ...(project !== undefined && { project }) });
  }

  /** Orders a fault; returns its id, for clearing it. */
  async fault(
    effect: FaultOrder['effect'],
    limits: { times?: number; server?: string } = {},
  ): Promise<string> {
    return faultSchema.parse(await this.#call('POST', '/faults', { effect, ...limits })).id;
  }

  /** The faults in force and how often each has struck. */
  async faults(): Promise<{ id: string; struck: number }[]> {
    return z.object({ faults: z.array(faultSchema) }).parse(await this.#call('GET', '/faults')).faults;
  }

  /** Clears one fault, or all. */
  async clear(id?: string): Promise<void> {
    await this.#call('DELETE', id === undefined ? '/faults' : `/faults/${id}`);
  }

  /** Cuts every call off for a time: `reset` closes connections, `refuse` does not listen (nor does this API then). */
  async takeDown(ms: number, mode: 'reset' | 'refuse' = 'reset'): Promise<void> {
    await this.#call('POST', '/down', { mode, ms });
  }

  /** API calls so far, oldest first. `path` is a pattern with `*`, below the service: `/v2.1/servers`. */
  async calls(filter: { method?: string; service?: string; path?: string } = {}): Promise<JournalEntry[]> {
    const answer = await this.#call('GET', `/journal?${new URLSearchParams(filter).toString()}`);
    return z.object({ calls: z.array(callSchema) }).parse(answer).calls;
  }

  async clearCalls(): Promise<void> {
    await this.#call('DELETE', '/journal');
  }

  /** Every server of every project, whatever listing faults are in force. */
  async servers(): Promise<ServerSummary[]> {
    return z.object({ servers: z.array(serverSchema) }).parse(await this.#call('GET', '/servers')).servers;
  }

  /** Carries out an order on one server, by id or name. */
  async order(server: string, order: ServerOrder): Promise<ServerSummary> {
    return serverSchema.parse(await this.#call('POST', `/servers/${encodeURIComponent(server)}`, order));
  }

  /** Deletes a server behind the back of its owner. */
  async deleteServer(server: string): Promise<void> {
    await this.#call('DELETE', `/servers/${encodeURIComponent(server)}`);
  }

  async revokeTokens(): Promise<void> {
    await this.#call('POST', '/tokens/revoke');
  }

  async setTokenLifetime(seconds: number): Promise<void> {
    await this.#call('PUT', '/tokens/lifetime', { seconds });
  }

  async createApplicationCredential(wanted: {
    name: string;
    user?: string;
    project?: string;
    unrestricted?: boolean;
  }): Promise<{ id: string; secret: string }> {
    return z
      .object({ id: z.string(), secret: z.string() })
      .parse(await this.#call('POST', '/application-credentials', wanted));
  }

  /** Signs a user in to project demo: a token, and whose it is. */
  async signIn(user: string): Promise<{ token: string; userId: string; projectId: string }> {
    return z
      .object({ token: z.string(), userId: z.string(), projectId: z.string() })
      .parse(await this.#call('POST', '/tokens', { user }));
  }

  async isValid(token: string): Promise<boolean> {
    return z.object({ valid: z.boolean() }).parse(await this.#call('POST', '/tokens/valid', { token })).valid;
  }

  /** Changes the status of an image, by id or name. */
  async setImage(image: string, status: 'active' | 'deactivated' | 'deleted'): Promise<void> {
    await this.#call('PUT', `/images/${encodeURIComponent(image)}`, { status });
  }
}

export type { FaultEffect, FaultOrder, ServerOrder };
