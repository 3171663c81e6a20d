import type { UsageGroup, UsageView } from '../http/usage-api.js';
import { jobEnds } from '../pool/measured.js';
import { isJobLine, type AccountLine, type JobLine, type UsageLine } from './journal.js';

export interface UsageWish {
  readonly since: number;
  readonly until: number;
  readonly by: readonly UsageGroup[];
  readonly user?: string | undefined;
  readonly queue?: string | undefined;
}

type Row = UsageView['rows'][number];

/** Rows of an answer; a sum by job over years would be of millions. */
export const mostRows = 50_000;

const keyOf = (line: AccountLine, group: UsageGroup): string => {
  switch (group) {
    case 'user':
      return line.user;
    case 'queue':
      return line.queue;
    case 'flavor':
      return line.flavor;
    case 'job':
      return line.job;
    case 'vm':
      return line.vm;
    case 'day':
      return new Date(line.at).toISOString().slice(0, 10);
    case 'month':
      return new Date(line.at).toISOString().slice(0, 7);
  }
};

const empty = (keys: Row['keys']): Row => ({
  keys,
  leases: 0,
  vmSeconds: 0,
  processorSeconds: 0,
  waitSeconds: 0,
  longestWaitSeconds: 0,
  measured: 0,
  cpuSeconds: 0,
  jobProcessorSeconds: 0,
  mostMemoryBytes: 0,
  ends: Object.fromEntries(jobEnds.map((end) => [end, 0])) as Row['ends'],
});

const withJob = (row: Row, { end, measured, processors }: JobLine): Row => {
  const ends = { ...row.ends, [end]: row.ends[end] + 1 };
  if (measured === null) return { ...row, ends };
  const { cpuSeconds, wallSeconds, memoryBytes } = measured;
  return {
    ...{ ...row, ends, measured: row.measured + 1 },
    cpuSeconds: row.cpuSeconds + cpuSeconds,
    jobProcessorSeconds: row.jobProcessorSeconds + wallSeconds * processors,
    mostMemoryBytes: Math.max(row.mostMemoryBytes, memoryBytes),
  };
};

const withLease = (row: Row, { at, askedAt, grantedAt, processors }: UsageLine): Row => {
  const [held, waited] = [Math.max(0, at - grantedAt) / 1000, Math.max(0, grantedAt - askedAt) / 1000];
  return {
    ...row,
    leases: row.leases + 1,
    vmSeconds: row.vmSeconds + held,
    processorSeconds: row.processorSeconds + held * processors,
    waitSeconds: row.waitSeconds + waited,
    longestWaitSeconds: Math.max(row.longestWaitSeconds, waited),
  };
};

const added = (row: Row, line: AccountLine): Row =>
  isJobLine(line) ? withJob(row, line) : withLease(row, line);

/** Sums the lines by the groups, the largest use first; by day or month in their order. */
export const summed = async (
  lines: AsyncIterable<AccountLine> | Iterable<AccountLine>,
  { since, until, by, user, queue }: UsageWish,
): Promise<UsageView> => {
  const rows = new Map<string, Row>();
  let total = empty([]);
  let isCut = false;
  for await (const line of lines) {
    if ((user !== undefined && line.user !== user) || (queue !== undefined && line.queue !== queue)) continue;
    total = added(total, line);
    const keys = by.map((group) => keyOf(line, group));
    const key = JSON.stringify(keys);
    const row = rows.get(key) ?? (rows.size < mostRows ? empty(keys) : null);
    if (row === null) isCut = true;
    else rows.set(key, added(row, line));
  }
  const times = by.flatMap((group, at) => (group === 'day' || group === 'month' ? [at] : []));
  const order = (a: Row, b: Row): number => {
    for (const at of times) {
      const [left = '', right = ''] = [a.keys[at], b.keys[at]];
      if (left !== right) return left < right ? -1 : 1;
    }
    return b.vmSeconds - a.vmSeconds || (a.keys.join() < b.keys.join() ? -1 : 1);
  };
  return {
    since: new Date(since).toISOString(),
    until: new Date(until).toISOString(),
    by: [...by],
    rows: [...rows.values()].sort(order),
    total,
    isCut,
  };
};
