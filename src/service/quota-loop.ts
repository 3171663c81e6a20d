import type { Cloud } from '../cloud/port.js';
import type { BookKeeper } from './book-keeper.js';
import type { Clock } from './clock.js';
import type { Log } from './log.js';
import type { Loop } from './loops.js';
import { startLoop } from './loops.js';

/** How often it is looked whether a reading is due, which costs nothing. */
const lookEveryMs = 5_000;
/** A reading is three calls: seldom while all is well, more often while it holds the pool back. */
const quietEveryMs = 4 * 60_000;
const tightEveryMs = 30_000;

/** Reads the project's quota, so that creates that it would refuse are not even tried, and people see it coming. */
export function watchQuota(keeper: BookKeeper, cloud: Cloud, clock: Clock, log: Log): Loop {
  let flavor: { readonly id: string; readonly vcpus: number; readonly ramMiB: number } | null = null;
  let triedAt: number | null = null;
  return startLoop(clock, log, 'quota', async (signal) => {
    const state = keeper.durable();
    const { shape } = state.book;
    if (shape === null) return lookEveryMs;
    const now = clock.now();
    const every = state.sight.heldBack === null ? quietEveryMs : tightEveryMs;
    if (triedAt !== null && now - triedAt < every) return lookEveryMs;
    triedAt = now;
    try {
      const wanted = shape.spec.pinned?.flavor ?? shape.spec.flavor;
      if (flavor?.id !== wanted) {
        const found = await cloud.flavor(wanted, signal);
        if (!found.found) return lookEveryMs;
        flavor = { ...found.value, id: wanted };
      }
      const quota = await cloud.quota(signal);
      const { vcpus, ramMiB } = flavor;
      await keeper.dispatch({ type: 'quota', quota, flavor: { vcpus, ramMiB } });
    } catch (error) {
      // The listings tell of a cloud that is not well; without a reading the cloud's own refusals count.
      if (!signal.aborted) log.warn({ err: error }, 'the quota could not be read; tried again later');
    }
    return lookEveryMs;
  });
}
