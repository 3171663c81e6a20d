import type { Cloud } from '../cloud/port.js';
import { lostAddresses } from '../pool/addresses.js';
import { membersOf, type State } from '../pool/book.js';
import type { BookKeeper } from './book-keeper.js';
import type { Clock } from './clock.js';
import type { Log } from './log.js';
import type { Loop } from './loops.js';
import { startLoop } from './loops.js';

/** How often it is looked whether the pool has floating IPs at all, which costs nothing. */
const idleMs = 60_000;
/** One call of the cloud each time. */
const lookEveryMs = 10 * 60_000;
/** An address that looks lost is looked at again after this. */
const confirmMs = 2 * 60_000;

const usesAddresses = ({ book }: State): boolean =>
  (book.shape?.spec.floatingIpPool ?? null) !== null ||
  membersOf(book).some(({ spec }) => spec.floatingIpPool !== null);

/**
 * Releases floating IPs that no stack knows and that no member will use: those that look lost in two listings and once
 * more by id. A pool that has never had any since the service started is not asked for them.
 */
export function releaseLostAddresses(keeper: BookKeeper, cloud: Cloud, clock: Clock, log: Log): Loop {
  let used = false;
  let suspects: ReadonlySet<string> = new Set();
  return startLoop(clock, log, 'addresses', async (signal) => {
    used ||= usesAddresses(keeper.durable());
    if (!used) return idleMs;
    try {
      const seen = await cloud.floatingIps(signal);
      const lost = lostAddresses(keeper.durable(), seen);
      for (const { id } of lost.filter((each) => suspects.has(each.id))) {
        const now = await cloud.floatingIp(id, signal);
        const others = seen.filter((each) => each.id !== id);
        if (now === null || !lostAddresses(keeper.durable(), [...others, now]).includes(now)) continue;
        await cloud.releaseFloatingIp(id, signal);
        log.warn(
          { event: 'address', vm: now.member, address: now.address },
          'released a floating IP that belonged to no stack: the answer to its allocation was lost, or the update was ended',
        );
      }
      suspects = new Set(lost.filter(({ id }) => !suspects.has(id)).map(({ id }) => id));
      return suspects.size > 0 ? confirmMs : lookEveryMs;
    } catch (error) {
      if (!signal.aborted)
        log.warn({ err: error }, 'the floating IPs could not be looked through; tried again later');
      return lookEveryMs;
    }
  });
}
