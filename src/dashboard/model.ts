import { mib } from '../pool/measured.js';
import { takesWords } from '../takes-words.js';
import type { CellView, EventView, LeaseView, MemberView, ServiceView, StatusView } from '../http/api.js';

export type RunningUsage = NonNullable<LeaseView['usage']>;

/** States that a VM is looked for by, in the order in which they matter to who looks. */
export const shownStates = ['Unusable', 'Busy', 'Free'] as const;
export type ShownState = (typeof shownStates)[number];

export interface Filter {
  /** Null shows all. */
  readonly state: ShownState | null;
  /** Part of a name, pool, job, user, cell, address or detail, in any case of letters. */
  readonly text: string;
}

const searched = (member: MemberView): string =>
  [
    member.name,
    member.pool,
    member.cell,
    member.address,
    member.reason,
    member.detail,
    member.job?.id,
    member.job?.user,
    member.job?.worker,
  ]
    .filter((part) => part !== null && part !== undefined)
    .join('\n')
    .toLowerCase();

/** The VMs to show, in the service's order. */
export function filtered(members: readonly MemberView[], { state, text }: Filter): readonly MemberView[] {
  const wanted = text.trim().toLowerCase();
  return members.filter(
    (member) =>
      (state === null || member.state === state) && (wanted === '' || searched(member).includes(wanted)),
  );
}

/** A time span in the largest unit that says something: `40 s`, `12 min`, `3 h 20 min`, `5 d 4 h`. */
export function span(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${String(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${String(minutes)} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return both(hours, 'h', minutes % 60, 'min');
  return both(Math.floor(hours / 24), 'd', hours % 24, 'h');
}

const both = (large: number, unit: string, small: number, smaller: string): string =>
  small === 0 ? `${String(large)} ${unit}` : `${String(large)} ${unit} ${String(small)} ${smaller}`;

/** Since then, by the service's clock. Empty for no time. */
export function since(at: string | null, now: number): string {
  const then = at === null ? NaN : Date.parse(at);
  return Number.isNaN(then) ? '' : span(now - then);
}

/** How long a request has waited, and may: `12 min of 1 h`. */
export function waits({ askedAt, maxWaitSeconds }: LeaseView, now: number): string {
  const waited = since(askedAt, now);
  return maxWaitSeconds === undefined ? waited : `${waited} of ${span(maxWaitSeconds * 1000)}`;
}

/** One sentence for a tile's name, as a screen reader says it. */
export function sentence(member: MemberView, now: number): string {
  const state = member.reason === null ? member.state : `${member.state}, ${member.reason}`;
  const job = member.job === null ? '' : `, job ${member.job.id} of ${member.job.user}`;
  return `${member.name}: ${state} for ${since(member.since, now)}${job}; ${ageAndProbe(member, now)}`;
}

/** How old it is, and when it was last asked whether it answers. */
export function ageAndProbe({ bornAt, probe }: MemberView, now: number): string {
  const age = `${since(bornAt, now)} old`;
  if (probe === null) return `${age}, not probed yet`;
  const ago = `${since(probe.at, now)} ago`;
  return probe.failures === 0
    ? `${age}, probed ${ago}`
    : `${age}, ${String(probe.failures)} failed ${probe.failures === 1 ? 'probe' : 'probes'}, the last ${ago}`;
}

/** What a cell's stack is at; a failure is told also while the next update runs. */
export function cellWords({ running, lastError }: CellView): string {
  if (lastError === null) return running ? 'running' : 'converged';
  return running ? `running; the last one failed: ${lastError}` : `failed: ${lastError}`;
}

/** What a person may order for that VM now, besides looking at it. */
export function ordersFor(member: MemberView): readonly ('hold' | 'unhold' | 'drain' | 'retire')[] {
  if (member.reason === 'deleting') return [];
  if (member.reason === 'held') return ['unhold', 'retire'];
  return member.retiring === null ? ['hold', 'drain', 'retire'] : ['hold'];
}

/** Facts of one VM for its panel, in reading order. */
export function facts(
  member: MemberView,
  now: number,
  used: RunningUsage | null = null,
): readonly (readonly [string, string])[] {
  const { job, probe } = member;
  const probed = probe === null ? 'none yet' : `${since(probe.at, now)} ago`;
  const rows: [string, string | null][] = [
    ['State', member.reason === null ? member.state : `${member.state}: ${member.reason}`],
    ['For', since(member.since, now)],
    ['Detail', member.detail],
    [
      'Job',
      job === null ? null : `${job.id} of ${job.user} from ${job.worker}, for ${since(job.since, now)}`,
    ],
    ['Used so far', used === null ? null : usedSoFar(used, now)],
    [
      'Last probe',
      (probe?.failures ?? 0) === 0 ? probed : `${probed}, ${String(probe?.failures)} failed in a row`,
    ],
    ['Address', member.address],
    ['Age', since(member.bornAt, now)],
    ['Pool', member.pool ?? null],
    ['Cell', member.cell],
    ['Generation', member.current ? member.generation : `${member.generation} (not the present one)`],
    ['Server', member.serverId],
    ['Retiring', member.retiring],
  ];
  return rows.filter((row): row is [string, string] => row[1] !== null && row[1] !== '');
}

/** `2 min of CPU time in 5 min, 130 MiB at most, as of 25 s ago`. */
const usedSoFar = ({ at, cpuSeconds, wallSeconds, memoryBytes }: RunningUsage, now: number): string =>
  `${span(cpuSeconds * 1000)} of CPU time in ${span(wallSeconds * 1000)}, ${mib(memoryBytes)} at most, as of ${since(at, now)} ago`;

/** A row for each pool of a service with several: how it is, and which jobs it takes. */
export const poolRows = ({ pools = [] }: StatusView): readonly (readonly string[])[] =>
  pools.map(({ name, counts, shape, paused, takes }) => [
    name,
    `${String(counts.free)} free, ${String(counts.busy)} busy, ${String(counts.unusable)} unusable; ${String(counts.waiting)} waiting`,
    shape === null ? 'no shape yet' : `${String(shape.min)} to ${String(shape.max)}, ${shape.flavor}`,
    `${paused ? 'paused; ' : ''}${takesWords(takes)}`,
  ]);

/** How far a service of the site is behind the pool. */
export function serviceLag({ upToDate, running, behindSince }: ServiceView, now: number): string {
  if (upToDate) return 'up to date';
  const lag = since(behindSince, now);
  return `${running ? 'being updated' : 'behind'}${lag === '' ? '' : ` for ${lag}`}`;
}

/** What it lacks, why, and when it is tried again. */
export function serviceReasons({ toAdd, toRemove, lastError, nextTry }: ServiceView, now: number): string {
  const soon = nextTry === null ? null : span(Date.parse(nextTry) - now);
  return [
    toAdd === 0 ? '' : `${String(toAdd)} to add`,
    toRemove === 0 ? '' : `${String(toRemove)} to remove`,
    soon === null ? '' : `tried again in ${soon}`,
    lastError ?? '',
  ]
    .filter((text) => text !== '')
    .join('; ');
}

/** One line for people who hear the page instead of seeing it. */
export function summary({ counts, shape, problems }: StatusView): string {
  const { free, busy, unusable, waiting } = counts;
  const max = shape === null ? '' : ` of at most ${String(shape.max)}`;
  const trouble = problems.length === 0 ? 'no problem' : counted(problems.length, 'problem');
  return `${counted(free + busy + unusable, 'VM')}${max}: ${String(free)} free, ${String(busy)} busy, ${String(unusable)} unusable; ${counted(waiting, 'request')} waiting; ${trouble}`;
}

const counted = (many: number, what: string): string => `${String(many)} ${what}${many === 1 ? '' : 's'}`;

/** Events are kept in the page up to this many. */
const eventsKept = 200;

export function withEvent(events: readonly EventView[], event: EventView): readonly EventView[] {
  return [event, ...events.filter(({ id }) => id !== event.id)].slice(0, eventsKept);
}
