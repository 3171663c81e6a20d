import { z } from 'zod';
import { defaultPolicy, type Policy } from '../pool/policy.js';
import { formatDuration, period, periodOrNever } from './quantities.js';

const time = (ms: number, text: string) => period.prefault(formatDuration(ms)).describe(text);
const timeOrNever = (ms: number | null, text: string) =>
  periodOrNever.prefault(ms === null ? 'never' : formatDuration(ms)).describe(text);
const count = (value: number, text: string) => z.int().min(1).default(value).describe(text);

const d = defaultPolicy;

/** The site's rules for the life of VMs and leases, as written in the file; defaults are those of the pool. */
export const policySettings = z
  .strictObject({
    reuse: z
      .enum(['scrub', 'rebuild', 'never'])
      .default(d.reuse)
      .describe(
        'What becomes of a VM after a job: cleaned and verified, rebuilt from its image, or retired.',
      ),
    bootLimit: time(d.bootLimitMs, 'From the decision to Free; a VM that takes longer is terminated.'),
    unreachableLimit: time(
      d.unreachableLimitMs,
      'A VM that answered before and does not now is terminated after this.',
    ),
    errorLimit: time(
      d.errorLimitMs,
      'A VM that the cloud reports in ERROR, or stopped by someone else, is terminated after this.',
    ),
    scrubLimit: time(d.scrubLimitMs, 'A scrub that takes longer ends in the termination of the VM.'),
    heldLimit: timeOrNever(d.heldLimitMs, 'A held VM is terminated after this; never waits for an operator.'),
    deleteFallback: time(
      d.deleteFallbackMs,
      'A delete through Pulumi that takes longer is done through Nova, after a second look.',
    ),
    probeEvery: time(
      d.probeEveryMs,
      'Period of the SSH probe of Free and Busy VMs. Longer where there are so many that it were more than 4 probes a second: 250 s for 1,000 VMs. Those due together are asked one after the other.',
    ),
    recheckEvery: time(d.recheckEveryMs, 'Period of the check of unusable VMs.'),
    idleBeforeShrink: time(d.idleBeforeShrinkMs, 'A Free VM that is not needed goes after this idle time.'),
    maxSurge: count(d.maxSurge, 'VMs of an old generation that are replaced at a time.'),
    cellSize: count(
      d.cellSize,
      'VMs that are put into one Pulumi stack, 10 at most where the pool has server groups (their usual quota).',
    ),
    bulkCellSize: count(
      d.bulkCellSize,
      'The same while more VMs are to be made at once than four stacks of `cellSize` hold; without effect below `cellSize`.',
    ),
    requestIdleLimit: time(
      d.requestIdleLimitMs,
      'A request for which its worker has not asked so long is dropped.',
    ),
    leaseAlarm: timeOrNever(d.leaseAlarmMs, 'A lease older than this is reported as a problem.'),
    leaseLimit: timeOrNever(d.leaseLimitMs, 'A lease older than this is ended.'),
    backoffBase: time(d.backoffBaseMs, 'Pause after a failed create, doubled with each further failure.'),
    backoffMax: time(d.backoffMaxMs, 'Longest pause after failed creates.'),
    breakerAfter: count(
      d.breakerAfter,
      'Failed creates in a row after which the pool reports itself broken.',
    ),
    rememberEnded: time(
      d.rememberEndedMs,
      'How long the end of an attempt is remembered, so that its late calls are refused.',
    ),
  })
  .refine((p) => p.backoffBase <= p.backoffMax, {
    path: ['backoffBase'],
    message: 'must not be longer than backoffMax',
  })
  .transform((p): Policy => ({
    reuse: p.reuse,
    bootLimitMs: p.bootLimit,
    unreachableLimitMs: p.unreachableLimit,
    errorLimitMs: p.errorLimit,
    scrubLimitMs: p.scrubLimit,
    heldLimitMs: p.heldLimit,
    deleteFallbackMs: p.deleteFallback,
    probeEveryMs: p.probeEvery,
    recheckEveryMs: p.recheckEvery,
    idleBeforeShrinkMs: p.idleBeforeShrink,
    maxSurge: p.maxSurge,
    cellSize: p.cellSize,
    bulkCellSize: p.bulkCellSize,
    requestIdleLimitMs: p.requestIdleLimit,
    leaseAlarmMs: p.leaseAlarm,
    leaseLimitMs: p.leaseLimit,
    backoffBaseMs: p.backoffBase,
    backoffMaxMs: p.backoffMax,
    breakerAfter: p.breakerAfter,
    rememberEndedMs: p.rememberEnded,
  }))
  .prefault({})
  .describe("The site's rules for the life of VMs and leases.");
