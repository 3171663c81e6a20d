import type { LeaseView, MemberView, ServiceView, StatusView } from '../http/api.js';
import { waitWords } from './screens/leases.js';
import { poolCell, poolColumn, poolsText } from './screens/pools.js';
import { count, howLong, table } from './table.js';
import { harmlessLine, type Paint } from './terminal.js';

/** The status for people: the pool in a line, problems first, then VMs, then who waits. */
export const statusText = (status: StatusView, paint: Paint): string => {
  const now = Date.parse(status.now);
  const parts = [headOf(status, paint)];
  if (status.pools !== undefined) parts.push(poolsText(status.pools, paint));
  if (status.problems.length > 0) {
    parts.push(
      [
        paint('red', `${count(status.problems.length, 'problem')}:`),
        ...status.problems.map((problem) => `  ${paint('red', '•')} ${harmlessLine(problem)}`),
      ].join('\n'),
    );
  }
  if (status.quota !== null && status.quota.lines.length > 0)
    parts.push(quotaLine(status.quota.lines, paint));
  parts.push(status.members.length === 0 ? 'There are no VMs.' : membersTable(status.members, now, paint));
  if (status.requests.length > 0) parts.push(waitingTable(status.requests, now, paint));
  if (status.services.length > 0) parts.push(servicesTable(status.services, now, paint));
  return parts.join('\n\n');
};

const headOf = ({ pool, shape, counts }: StatusView, paint: Paint): string => {
  const vms = [
    paint('green', `${String(counts.free)} Free`),
    paint('blue', `${String(counts.busy)} Busy`),
    counts.unusable === 0 ? '0 Unusable' : paint('yellow', `${String(counts.unusable)} Unusable`),
  ].join(', ');
  const waiting =
    counts.waiting === 0 ? 'no request waits' : `${count(counts.waiting, 'request waits', 'requests wait')}`;
  const line = `${paint('bold', `Pool ${pool}`)}: ${vms}; ${waiting}`;
  return shape === null
    ? `${line}\nNo shape yet.`
    : `${line}\nmin ${String(shape.min)}, max ${String(shape.max)}, spare ${String(shape.spare)}; flavor ${shape.flavor}, image ${shape.image}, generation ${shape.generation}`;
};

/** Used and limit of each quota; red where not one VM more fits. */
const quotaLine = (lines: NonNullable<StatusView['quota']>['lines'], paint: Paint): string =>
  `Quota: ${lines
    .map(({ what, used, limit, perVm }) => {
      const text = `${String(used)} of ${limit === null ? 'unlimited' : String(limit)} ${what}`;
      return limit !== null && used + perVm > limit ? paint('red', text) : text;
    })
    .join(', ')}`;

export const stateOf = (member: MemberView): string =>
  member.reason === null ? member.state : `${member.state}: ${member.reason}`;

export const paintState = (member: MemberView, paint: Paint): string => {
  switch (member.state) {
    case 'Free':
      return paint('green', stateOf(member));
    case 'Busy':
      return paint('blue', stateOf(member));
    case 'Unusable':
      return paint(
        member.reason === 'building' || member.reason === 'scrubbing' || member.reason === 'deleting'
          ? 'yellow'
          : 'red',
        stateOf(member),
      );
  }
};

const remarks = (member: MemberView): string =>
  [
    member.detail,
    member.retiring === null ? '' : `to be retired: ${member.retiring}`,
    member.current ? '' : `old generation ${member.generation}`,
  ]
    .filter((text) => text !== '')
    .map(harmlessLine)
    .join('; ');

const membersTable = (members: readonly MemberView[], now: number, paint: Paint): string => {
  const pool = poolColumn(members);
  return table(
    [
      { title: 'VM' },
      ...pool,
      { title: 'STATE' },
      { title: 'SINCE', align: 'right' },
      { title: 'AGE', align: 'right' },
      { title: 'JOB' },
      { title: 'USER' },
      { title: 'ADDRESS' },
      { title: 'CELL' },
      { title: 'REMARKS', most: 100 },
    ],
    members.map((member) => [
      member.name,
      ...poolCell(pool, member),
      paintState(member, paint),
      howLong(now - Date.parse(member.since)),
      howLong(now - Date.parse(member.bornAt)),
      member.job?.id ?? '-',
      member.job?.user ?? '-',
      member.address ?? '-',
      member.cell,
      remarks(member),
    ]),
    paint,
  );
};

const servicesTable = (services: readonly ServiceView[], now: number, paint: Paint): string => {
  const pool = poolColumn(services);
  return table(
    [
      { title: 'SERVICE' },
      ...pool,
      { title: 'TYPE' },
      { title: 'VMS', align: 'right' },
      { title: 'STATE' },
      { title: 'BEHIND', align: 'right' },
      { title: 'REMARKS', most: 100 },
    ],
    services.map((service) => [
      service.name,
      ...poolCell(pool, service),
      service.type,
      String(service.hosts),
      service.upToDate
        ? paint('green', 'up to date')
        : paint(service.lastError === null ? 'yellow' : 'red', service.running ? 'being updated' : 'behind'),
      service.behindSince === null ? '-' : howLong(now - Date.parse(service.behindSince)),
      [
        service.toAdd === 0 ? '' : `${String(service.toAdd)} to add`,
        service.toRemove === 0 ? '' : `${String(service.toRemove)} to remove`,
        harmlessLine(service.lastError ?? ''),
      ]
        .filter((text) => text !== '')
        .join('; '),
    ]),
    paint,
  );
};

const waitingTable = (requests: readonly LeaseView[], now: number, paint: Paint): string => {
  const pool = poolColumn(requests);
  return table(
    [
      { title: 'PLACE', align: 'right' },
      ...pool,
      { title: 'JOB' },
      { title: 'WORKER' },
      { title: 'WAITS', align: 'right' },
      { title: 'FOR', most: 100 },
    ],
    requests.map((request) => [
      String(request.position ?? '-'),
      ...poolCell(pool, request),
      request.job,
      request.worker,
      waitWords(request, now),
      harmlessLine(request.detail),
    ]),
    paint,
  );
};
