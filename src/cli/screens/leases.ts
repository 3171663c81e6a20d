import type { LeaseView, StatusView } from '../../http/api.js';
import { mib } from '../../pool/measured.js';
import { fitted } from '../fitted.js';
import { age, howLong } from '../table.js';
import { harmlessLine, type Paint } from '../terminal.js';
import { poolCell, poolColumn } from './pools.js';

const at = (time: string | null): number => (time === null ? 0 : Date.parse(time));

/** Leases: those whose VM is not ready yet first, then the oldest. */
export const leasesText = (
  leases: readonly LeaseView[],
  nowMs: number,
  paint: Paint,
  width: number,
): string => {
  const pool = poolColumn(leases);
  return fitted(
    [
      { title: 'JOB', least: 10 },
      { title: 'USER', least: 6 },
      { title: 'QUEUE', least: 6, drop: 3 },
      { title: 'WORKER', least: 8, drop: 2 },
      ...pool,
      { title: 'VM' },
      { title: 'STATE' },
      { title: 'FOR', align: 'right' },
      { title: 'WAITED', align: 'right', drop: 1 },
      { title: 'LEASE', drop: 4 },
    ],
    [...leases]
      .sort((a, b) => Number(a.ready) - Number(b.ready) || at(a.grantedAt) - at(b.grantedAt))
      .map((lease) => [
        lease.job,
        lease.user ?? '-',
        lease.queue === undefined || lease.queue === '' ? '-' : harmlessLine(lease.queue),
        lease.worker,
        ...poolCell(pool, lease),
        lease.vm?.member ?? '-',
        lease.ready ? paint('blue', 'running') : paint('yellow', 'staging'),
        age(nowMs - at(lease.grantedAt)),
        howLong(at(lease.grantedAt) - at(lease.askedAt)),
        lease.id,
      ]),
    paint,
    width,
  );
};

/** `12 min of 1.0 h`: how long it has waited, and may. */
export const waitWords = ({ askedAt, maxWaitSeconds }: LeaseView, nowMs: number): string => {
  const waited = howLong(nowMs - at(askedAt));
  return maxWaitSeconds === undefined ? waited : `${waited} of ${howLong(maxWaitSeconds * 1000)}`;
};

/** Who waits, the next to be served first. */
export const requestsText = (
  requests: readonly LeaseView[],
  nowMs: number,
  paint: Paint,
  width: number,
): string => {
  const pool = poolColumn(requests);
  // Only where a worker says it.
  const atMost = requests.some((r) => r.maxWaitSeconds !== undefined)
    ? [{ title: 'AT MOST', align: 'right', drop: 1 } as const]
    : [];
  return fitted(
    [
      { title: 'PLACE', align: 'right' },
      ...pool,
      { title: 'JOB', least: 10 },
      { title: 'USER', least: 6 },
      { title: 'QUEUE', least: 6, drop: 3 },
      { title: 'WORKER', least: 8, drop: 2 },
      { title: 'WAITS', align: 'right' },
      ...atMost,
      { title: 'FOR', least: 16 },
    ],
    [...requests]
      .sort((a, b) => (a.position ?? 0) - (b.position ?? 0))
      .map((request) => [
        String(request.position ?? '-'),
        ...poolCell(pool, request),
        request.job,
        request.user ?? '-',
        request.queue === undefined || request.queue === '' ? '-' : harmlessLine(request.queue),
        request.worker,
        age(nowMs - at(request.askedAt)),
        ...atMost.map(() =>
          request.maxWaitSeconds === undefined ? '-' : age(request.maxWaitSeconds * 1000),
        ),
        harmlessLine(request.detail),
      ]),
    paint,
    width,
  );
};

/** `12.3 s of CPU time in 40 s, 130 MiB at most, as of 25 s ago`. */
export const usedSoFar = (usage: NonNullable<LeaseView['usage']>, nowMs: number): string => {
  const { cpuSeconds, wallSeconds, memoryBytes } = usage;
  const memory = `${mib(memoryBytes)} at most`;
  const time = `${howLong(cpuSeconds * 1000)} of CPU time in ${howLong(wallSeconds * 1000)}`;
  return `${time}, ${memory}, as of ${age(nowMs - at(usage.at))} ago`;
};

/** In a line why there is nothing to show. */
export const noRequests = ({ counts }: StatusView): string =>
  `No request waits; ${String(counts.free)} VMs are Free.`;
