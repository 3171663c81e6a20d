import type { EventView } from '../http/api.js';
import { UnreachableError, type Client } from '../http/client.js';
import { sleep } from '../sleep.js';

/** Milliseconds between two looks. */
const everyMs = 1_000;

/**
 * Tells each event once, the last ones first of all, until the signal fires. A service that is away for a while, as in
 * a restart, is waited for and told of once; the numbers of its events begin anew with it.
 */
export const followEvents = async (
  client: Pick<Client, 'events'>,
  tell: (events: readonly EventView[]) => void,
  warn: (text: string) => void,
  signal: AbortSignal,
  pauseMs = everyMs,
): Promise<void> => {
  let after = 0;
  let isAway = false;
  let isFirst = true;
  while (!signal.aborted) {
    try {
      const events = await client.events(after, signal);
      if (isAway) warn('The service answers again.');
      isAway = false;
      after = events.at(-1)?.id ?? after;
      tell(events);
    } catch (error) {
      if (signal.aborted) return;
      // Who cannot reach it at all has given a wrong address.
      if (!(error instanceof UnreachableError) || isFirst) throw error;
      if (!isAway) warn(`${error.message}; tried again until it answers.`);
      isAway = true;
    }
    isFirst = false;
    await sleep(pauseMs, signal);
  }
};
