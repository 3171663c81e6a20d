import type { EventView, TrendPoint } from '../../http/api.js';
import type { MemberDetail } from '../../http/detail-api.js';
import type { RunningUsage } from '../model.js';
import { SseParser } from '../sse.js';
import type { StatusMessage } from '../status-patch.js';

/** The service refused; `message` says why in its words. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
    this.name = 'Refused';
  }
}

export interface Heard {
  readonly status: (message: StatusMessage) => void;
  readonly event: (event: EventView) => void;
}

/** The stream is opened anew after this time, milliseconds: a token that was taken back ends with it. */
const streamSeconds = 3_600;
/** A stream that has said nothing for so long is dead: the service sends something every few seconds. */
const silenceMs = 30_000;

/** The service's API with one token. */
export class Api {
  constructor(private readonly token: string) {}

  private async call(path: string, init: RequestInit = {}): Promise<Response> {
    const response = await fetch(path, {
      ...init,
      cache: 'no-store',
      credentials: 'omit',
      headers: { ...(init.headers ?? {}), Authorization: `Bearer ${this.token}` },
    });
    if (response.ok) return response;
    const problem = (await response.json().catch(() => ({}))) as { detail?: unknown };
    const detail = typeof problem.detail === 'string' ? problem.detail : `status ${String(response.status)}`;
    throw new Refused(response.status, detail);
  }

  async trend(signal: AbortSignal): Promise<readonly TrendPoint[]> {
    const answer = (await (await this.call('/v1/trend', { signal })).json()) as { points: TrendPoint[] };
    return answer.points;
  }

  async usageOn(member: string): Promise<RunningUsage | null> {
    const response = await this.call(`/v1/members/${encodeURIComponent(member)}`, {
      signal: AbortSignal.timeout(30_000),
    });
    return ((await response.json()) as MemberDetail).lease?.usage ?? null;
  }

  async order(member: string, order: string, reason: string): Promise<string> {
    const response = await this.call(`/v1/members/${encodeURIComponent(member)}/${order}`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(reason === '' ? {} : { reason }),
      signal: AbortSignal.timeout(30_000),
    });
    return ((await response.json()) as { detail: string }).detail;
  }

  /** Tells what the service sends until the stream ends, or breaks (rejects). */
  async watch(heard: Heard, signal: AbortSignal): Promise<void> {
    const silence = new AbortController();
    let timer = 0;
    const alive = (): void => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        silence.abort(new Error('the service has fallen silent'));
      }, silenceMs);
    };
    alive();
    try {
      const response = await this.call(`/v1/watch?for=${String(streamSeconds)}`, {
        signal: AbortSignal.any([signal, silence.signal]),
      });
      const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
      const parser = new SseParser();
      while (reader !== undefined) {
        const { done, value } = await reader.read();
        if (done) return;
        alive();
        for (const { event, data } of parser.push(value)) {
          if (event === 'status') heard.status(JSON.parse(data) as StatusMessage);
          else if (event === 'event') heard.event(JSON.parse(data) as EventView);
        }
      }
    } finally {
      clearTimeout(timer);
    }
  }
}
