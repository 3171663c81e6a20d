import type { EventView, StatusView } from '../http/api.js';
import { UnreachableError, type Client } from '../http/client.js';
import { sleep } from '../sleep.js';
import type { Frame } from './screens/top.js';

/** Events that a screen may want. */
const keptEvents = 50;

/**
 * Tells how the pool is, again and again, until the signal fires. A service that is away for a while is waited for: the
 * last status stays, with what is wrong. Rejects when it cannot be reached at the first time, or refuses.
 */
export const watchPool = async (
  client: Pick<Client, 'status' | 'events'>,
  tell: (frame: Frame) => void,
  everyMs: number,
  signal: AbortSignal,
): Promise<void> => {
  let status: StatusView | null = null;
  let events: readonly EventView[] = [];
  while (!signal.aborted) {
    let trouble: string | null = null;
    try {
      const now: StatusView = await client.status(signal);
      const last = events.at(-1)?.id ?? 0;
      const more = await client.events(last, signal);
      status = now;
      // A service that was started again tells all of its own: its numbers begin anew.
      const anew = more.some(({ id }) => id <= last);
      events = [...(anew ? [] : events), ...more].slice(-keptEvents);
    } catch (error) {
      if (signal.aborted) return;
      if (status === null || !(error instanceof UnreachableError)) throw error;
      trouble = error.message;
    }
    if (status !== null) tell({ status, events, trouble });
    await sleep(everyMs, signal);
  }
};
