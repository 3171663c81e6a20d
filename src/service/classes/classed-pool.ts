import type { ClassSettings } from '../../config/class-settings.js';
import type { ClassOffer } from '../../pool/classes.js';
import type { RunningPool } from '../pool.js';

/** A class of VMs of the service: its rule and the pool that it is. */
export interface ClassedPool {
  readonly rule: ClassSettings;
  readonly pool: RunningPool;
}

/** What the class takes now: of a limit in the configuration and what the flavor has, the smaller counts. */
export function offerOf({ rule, pool }: ClassedPool): ClassOffer {
  const flavor = pool.flavor();
  const least = (limit: number | undefined, has: number | undefined): number | null =>
    limit === undefined ? (has ?? null) : Math.min(limit, has ?? Infinity);
  return {
    pool: rule.pool,
    queues: rule.queues ?? null,
    workers: rule.workers ?? null,
    features: rule.features,
    reserved: rule.reserved,
    processors: least(rule.processors, flavor?.processors),
    memory: least(rule.memory, flavor?.memory),
  };
}
