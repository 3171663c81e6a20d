import type { Millis } from './model.js';

/** The site's rules for the life of VMs and leases: service configuration, not stack config. */
export interface Policy {
  /** What becomes of a VM after a job: cleaned and verified, rebuilt from its image, or retired. */
  readonly reuse: 'scrub' | 'rebuild' | 'never';
  /** From the decision to Free; longer than this and the member is terminated. */
  readonly bootLimitMs: Millis;
  /** A VM that answered before and does not now. */
  readonly unreachableLimitMs: Millis;
  /** A VM that the cloud reports in ERROR or stopped by someone else. */
  readonly errorLimitMs: Millis;
  readonly scrubLimitMs: Millis;
  /** A held VM is terminated after this; null holds it until an operator decides. */
  readonly heldLimitMs: Millis | null;
  /** Deleting through the engine takes longer than this: deleted through Nova, after a second look. */
  readonly deleteFallbackMs: Millis;
  /** Period of the probe of Free and Busy VMs. */
  readonly probeEveryMs: Millis;
  /** Period of the check of unusable VMs. */
  readonly recheckEveryMs: Millis;
  /** A Free VM beyond what is wanted goes after this idle time. */
  readonly idleBeforeShrinkMs: Millis;
  /** Members of an old generation replaced at a time. */
  readonly maxSurge: number;
  /** Members that are put into one Pulumi stack. A server group's default quota is 10. */
  readonly cellSize: number;
  /** The same where so many are to be made at once that cells of `cellSize` would wait for each other. */
  readonly bulkCellSize: number;
  /** A request whose worker has not asked for it for so long is dropped. */
  readonly requestIdleLimitMs: Millis;
  /** A lease older than this is an alarm; null for none. */
  readonly leaseAlarmMs: Millis | null;
  /** A lease older than this is ended; null never ends one. */
  readonly leaseLimitMs: Millis | null;
  /** Pause after a failed create, doubled with each further one up to the maximum. */
  readonly backoffBaseMs: Millis;
  readonly backoffMaxMs: Millis;
  /** Failed creates in a row after which the pool says that it is broken (node check ERROR when nothing is Free). */
  readonly breakerAfter: number;
  /** How long the end of an attempt is remembered, so that its late calls are refused. */
  readonly rememberEndedMs: Millis;
}

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;

export const defaultPolicy: Policy = {
  reuse: 'scrub',
  bootLimitMs: 10 * minute,
  unreachableLimitMs: 10 * minute,
  errorLimitMs: minute,
  scrubLimitMs: 5 * minute,
  heldLimitMs: null,
  deleteFallbackMs: 5 * minute,
  probeEveryMs: minute,
  recheckEveryMs: 10 * second,
  idleBeforeShrinkMs: 5 * minute,
  maxSurge: 1,
  cellSize: 8,
  bulkCellSize: 32,
  requestIdleLimitMs: 10 * minute,
  leaseAlarmMs: null,
  leaseLimitMs: null,
  backoffBaseMs: 5 * second,
  backoffMaxMs: 10 * minute,
  breakerAfter: 3,
  rememberEndedMs: 7 * 24 * hour,
};
