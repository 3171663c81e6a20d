import type { StatusView } from '../../http/api.js';
import type { PoolSummary } from '../../http/class-api.js';
import type { ClassOffer } from '../../pool/classes.js';

/** One pool's status and what its class offers. */
export interface ClassStatus {
  readonly offer: ClassOffer;
  readonly status: StatusView;
}

type Shape = NonNullable<StatusView['shape']>;

const sumOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);
const joined = (values: readonly string[]): string => [...new Set(values)].join(', ');

/** The status of all classes as one: numbers summed up, lists one after the other, each entry with its pool. Pure. */
export function statusTogether(all: readonly ClassStatus[]): StatusView {
  const [first] = all;
  if (first === undefined) throw new Error('there is no class');
  const each = all.map(({ status }) => status);
  const tagged = <T>(list: (status: StatusView) => readonly T[]): (T & { pool: string })[] =>
    each.flatMap((status) => list(status).map((entry) => ({ ...entry, pool: status.pool })));
  return {
    pool: joined(each.map(({ pool }) => pool)),
    pools: all.map(summaryOf),
    installation: first.status.installation,
    version: first.status.version,
    now: first.status.now,
    shape: shapeTogether(each.flatMap(({ shape }) => shape ?? [])),
    counts: countsTogether(each),
    paused: pausedTogether(each),
    problems: each.flatMap(({ pool, problems }) => problems.map((problem) => `${pool}: ${problem}`)),
    breaker: breakerTogether(each),
    quota: quotaTogether(each),
    members: tagged(({ members }) => members),
    requests: tagged(({ requests }) => requests),
    leases: tagged(({ leases }) => leases),
    cells: tagged(({ cells }) => cells),
    workers: workersTogether(each),
    services: tagged(({ services }) => services),
  };
}

function summaryOf({ offer, status }: ClassStatus): PoolSummary {
  const { pool, shape, counts, paused, problems } = status;
  const { queues, workers, features, reserved, processors, memory } = offer;
  return {
    ...{ name: pool, shape, counts, paused: paused !== null, problems: problems.length },
    takes: {
      queues: queues === null ? null : [...queues],
      ...(workers === null ? {} : { workers: [...workers] }),
      features: [...features],
      reserved,
      processors,
      memory,
    },
  };
}

function shapeTogether(shapes: readonly Shape[]): StatusView['shape'] {
  if (shapes.length === 0) return null;
  return {
    min: sumOf(shapes.map(({ min }) => min)),
    max: sumOf(shapes.map(({ max }) => max)),
    spare: sumOf(shapes.map(({ spare }) => spare)),
    generation: joined(shapes.map(({ generation }) => generation)),
    flavor: joined(shapes.map(({ flavor }) => flavor)),
    image: joined(shapes.map(({ image }) => image)),
  };
}

function countsTogether(each: readonly StatusView[]): StatusView['counts'] {
  const sum = (what: keyof StatusView['counts']): number => sumOf(each.map(({ counts }) => counts[what]));
  return {
    free: sum('free'),
    busy: sum('busy'),
    unusable: sum('unusable'),
    waiting: sum('waiting'),
    leases: sum('leases'),
  };
}

/** While some are paused, the reason says which. */
function pausedTogether(each: readonly StatusView[]): StatusView['paused'] {
  const paused = each.flatMap(({ pool, paused: pause }) => (pause === null ? [] : [{ pool, ...pause }]));
  const [first] = paused;
  if (first === undefined) return null;
  const { pool: _, ...pause } = first;
  if (paused.length === each.length) return pause;
  return { ...pause, why: `only ${joined(paused.map(({ pool }) => pool))}: ${pause.why}` };
}

/** The worst one, with its pool. */
function breakerTogether(each: readonly StatusView[]): StatusView['breaker'] {
  const worst = each.toSorted(
    (a, b) => Number(b.breaker.open) - Number(a.breaker.open) || b.breaker.failures - a.breaker.failures,
  )[0];
  if (worst === undefined) throw new Error('there is no class');
  const { breaker, pool } = worst;
  return breaker.why === null ? breaker : { ...breaker, why: `${pool}: ${breaker.why}` };
}

/** The project has one quota; what one VM more takes is that of the class that takes most. */
function quotaTogether(each: readonly StatusView[]): StatusView['quota'] {
  const quotas = each.flatMap(({ quota }) => quota ?? []);
  const newest = quotas.toSorted((a, b) => (a.at < b.at ? 1 : -1))[0];
  if (newest === undefined) return null;
  const perVm = (what: string): number =>
    Math.max(
      ...quotas.flatMap(({ lines }) => lines.filter((line) => line.what === what).map((l) => l.perVm)),
    );
  return { at: newest.at, lines: newest.lines.map((line) => ({ ...line, perVm: perVm(line.what) })) };
}

/** A listing of a worker reaches every pool: the pool that heard last of it the longest ago counts. */
function workersTogether(each: readonly StatusView[]): StatusView['workers'] {
  const all = new Map<string, StatusView['workers'][number]>();
  for (const worker of each.flatMap(({ workers }) => workers)) {
    const known = all.get(worker.name);
    if (known === undefined || (worker.lastSync ?? '') < (known.lastSync ?? '')) all.set(worker.name, worker);
  }
  return [...all.values()];
}
