import { statusPatch, type StatusMessage } from '../dashboard/status-patch.js';
import type { PoolService } from '../service/port.js';
import { sleep } from '../sleep.js';
import type { StatusView } from './api.js';

/** Milliseconds. Changes within `settle` of each other are told as one; `look` finds what no change announces. */
export interface WatchTimes {
  readonly settle: number;
  readonly look: number;
}
const usual: WatchTimes = { settle: 1_000, look: 5_000 };

/** One server-sent event: https://html.spec.whatwg.org/multipage/server-sent-events.html */
const sent = (event: 'status' | 'event', data: unknown): string =>
  `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;

const status = (message: StatusMessage): string => sent('status', message);

/**
 * The pool as server-sent events: the whole status and the last events, then what changes, until the time is over
 * or the signal fires. An idle pool sends a comment now and then, so that a dead connection is noticed.
 */
export async function* watchStream(
  service: PoolService,
  role: 'operator' | 'viewer',
  forMs: number,
  signal: AbortSignal,
  times: WatchTimes = usual,
): AsyncGenerator<string, void> {
  const end = performance.now() + forMs;
  let before: StatusView = service.status();
  let lastEvent = 0;
  const news = (): string => {
    const events = service.events(lastEvent);
    lastEvent = events.at(-1)?.id ?? lastEvent;
    return events.map((event) => sent('event', event)).join('');
  };
  const bell = new Bell(signal);
  const unwatch = service.watch(() => {
    bell.ring();
  });
  try {
    yield status({ kind: 'whole', role, status: before }) + news();
    for (;;) {
      const left = end - performance.now();
      if (left <= 0 || signal.aborted) return;
      await bell.heard(Math.min(left, times.look));
      await sleep(Math.min(times.settle, Math.max(0, end - performance.now())), signal);
      if (signal.aborted) return;
      const after = service.status();
      const patch = statusPatch(before, after);
      before = after;
      const text = (patch === null ? '' : status({ kind: 'patch', patch })) + news();
      yield text === '' ? ': nothing new\n\n' : text;
    }
  } finally {
    unwatch();
  }
}

/** Wakes one waiter at the next ring, at the end of its time or when the signal fires. */
class Bell {
  private rung = new AbortController();

  constructor(private readonly signal: AbortSignal) {}

  ring(): void {
    this.rung.abort();
  }

  async heard(ms: number): Promise<void> {
    await sleep(ms, AbortSignal.any([this.signal, this.rung.signal]));
    this.rung = new AbortController();
  }
}
