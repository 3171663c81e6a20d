import type { LeaseView } from '../../http/api.js';
import type { Note } from '../../pool/book.js';
import { summed } from '../../usage/sum.js';
import type { AccountLine } from '../../usage/journal.js';
import type { Clock } from '../clock.js';
import type { Answer, PoolService, Refusal } from '../port.js';
import { Recent } from '../recent.js';
import { offerOf, type ClassedPool } from './classed-pool.js';
import { RequestRouter } from './request.js';
import { statusTogether } from './status.js';

export interface ClassedService extends PoolService {
  /** What a pool decides: becomes one of the events of all. */
  told(note: Note): void;
  /** Lets go of the pools. */
  close(): void;
}

type Done = Answer<{ detail: string }>;

/**
 * Several pools behind one service: a request goes to the pool of its class, what has an id or a name to the pool that
 * has it, and what is of a worker or of no pool in particular to all of them. One pool's failure is told, after the
 * others have done their part.
 */
export function createClassedService(classes: readonly ClassedPool[], clock: Clock): ClassedService {
  const [main] = classes;
  if (main === undefined) throw new Error('there is no class');
  const services = new Map(classes.map(({ rule, pool }) => [rule.pool, pool.service]));
  const each = [...services.values()];
  const router = new RequestRouter(classes);
  const recent = new Recent();
  const named = (pool: string, view: LeaseView): LeaseView => ({ ...view, pool });

  /** The pool where that id lives, or else one that remembers it, with what it says of it. */
  const homeOf = (
    id: string,
  ): { readonly pool: string; readonly service: PoolService; readonly view: LeaseView } | null => {
    const knowing = [...services].flatMap(([pool, service]) => {
      const view = service.lease(id);
      return view === null ? [] : [{ pool, service, view }];
    });
    return knowing.find(({ view }) => view.state !== 'ended') ?? knowing[0] ?? null;
  };
  const lease = (id: string): LeaseView | null => {
    const home = homeOf(id);
    return home === null ? null : named(home.pool, home.view);
  };
  const ownerOf = (member: string): readonly [string, PoolService] | null =>
    [...services].find(([, service]) => service.member(member) !== null) ?? null;
  const order = async (member: string, give: (service: PoolService) => Promise<Done>): Promise<Done> =>
    give(ownerOf(member)?.[1] ?? main.pool.service);
  const status = () =>
    statusTogether(classes.map((one) => ({ offer: offerOf(one), status: one.pool.service.status() })));

  const count = (): void => {
    const now = clock.now();
    if (recent.isDue(now)) recent.counted(now, status().counts);
  };
  const unwatch = each.map((service) => service.watch(count));

  return {
    request: async (worker, body) => {
      const answer = await router.route(worker, body);
      if (answer.kind !== 'done') return answer;
      return { kind: 'done', value: lease(answer.value.id) ?? answer.value };
    },
    lease,
    waitFor: async (id, until, ms, signal, asOwner) => {
      const home = homeOf(id);
      const view = (await home?.service.waitFor(id, until, ms, signal, asOwner)) ?? null;
      return view === null || home === null ? null : named(home.pool, view);
    },
    release: async (worker, body) => {
      const answers = await everywhere(each, (service) => service.release(worker, body));
      return (
        answers.find((answer) => answer.kind !== 'done' || answer.value.outcome === 'ended') ?? answers[0]
      );
    },
    releaseById: (id, reason) => (homeOf(id)?.service ?? main.pool.service).releaseById(id, reason),
    sync: async (worker, body) => {
      const answers = await everywhere(each, (service) => service.sync(worker, body));
      const refused = answers.find((answer) => answer.kind === 'refused');
      if (refused !== undefined) return refused;
      const ended = answers.flatMap((answer) => (answer.kind === 'done' ? answer.value.ended : []));
      return { kind: 'done', value: { ended } };
    },
    node: (worker) => {
      // One node stands for all classes of its jobs: it is out of service when none of them can have one.
      const own = classes.filter(({ rule }) => rule.workers?.includes(worker) ?? true);
      if (own.length === 0)
        return { ok: false, detail: `no class takes jobs of ${worker} (classes[].workers of the service)` };
      const verdicts = own.map(({ rule, pool }) => ({ pool: rule.pool, ...pool.service.node(worker) }));
      if (verdicts.some(({ ok }) => ok)) return { ok: true, detail: '' };
      return { ok: false, detail: verdicts.map(({ pool, detail }) => `${pool}: ${detail}`).join('; ') };
    },
    status,
    watch: (callback) => {
      const ends = each.map((service) => service.watch(callback));
      return () => {
        for (const end of ends) end();
      };
    },
    events: (after) => recent.events(after),
    trend: () => recent.trend(),
    member: (name) => {
      const [pool, owner] = ownerOf(name) ?? [];
      const found = owner?.member(name) ?? null;
      if (found === null || pool === undefined) return null;
      return {
        ...found,
        member: { ...found.member, pool },
        lease: found.lease === null ? null : named(pool, found.lease),
      };
    },
    console: (name, signal) => (ownerOf(name)?.[1] ?? main.pool.service).console(name, signal),
    history: async (query, signal) => {
      const entries = await Promise.all(each.map((service) => service.history(query, signal)));
      return entries.flat().toSorted(byTime).slice(-query.most);
    },
    plan: () => {
      const plans = [...services].map(([pool, service]) => ({ pool, plan: service.plan() }));
      return {
        now: new Date(clock.now()).toISOString(),
        pools: plans.flatMap(({ plan }) => plan.pools),
        cells: plans.flatMap(({ pool, plan }) => plan.cells.map((cell) => ({ ...cell, pool }))),
        strays: plans.flatMap(({ pool, plan }) => plan.strays.map((stray) => ({ ...stray, pool }))),
      };
    },
    usage: (wish, signal) =>
      summed(chained(classes.map(({ pool }) => pool.usageLines(wish.since, wish.until, signal))), wish),

    hold: (member, reason, limitMs, by) =>
      order(member, (service) => service.hold(member, reason, limitMs, by)),
    drain: (member, reason, by) => order(member, (service) => service.drain(member, reason, by)),
    kill: (member, reason, by) => order(member, (service) => service.kill(member, reason, by)),
    unhold: (member, by) => order(member, (service) => service.unhold(member, by)),
    retire: (member, reason, by) => order(member, (service) => service.retire(member, reason, by)),
    pause: (reason, forMs, by) => together(services, (service) => service.pause(reason, forMs, by)),
    resume: (by) => together(services, (service) => service.resume(by)),
    adopt: () => together(services, (service) => service.adopt()),
    changeConfig: () => Promise.resolve(ambiguous(services)),
    capability: (id) => main.pool.service.capability(id),
    only: (pool) => services.get(pool) ?? null,

    told: (note) => recent.told(note),
    close: () => {
      for (const end of unwatch) end();
    },
  };
}

const byTime = (a: { readonly at: string }, b: { readonly at: string }): number =>
  a.at === b.at ? 0 : a.at < b.at ? -1 : 1;

/** All do their part before the first failure is told. */
async function everywhere<T>(
  services: readonly PoolService[],
  ask: (service: PoolService) => Promise<T>,
): Promise<[T, ...T[]]> {
  const outcomes = await Promise.allSettled(services.map(ask));
  const failed = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
  const [first, ...rest] = outcomes.flatMap((outcome) =>
    outcome.status === 'fulfilled' ? [outcome.value] : [],
  );
  if (first === undefined) throw new Error('there is no class');
  return [first, ...rest];
}

/** An order to every pool. Refused only when each refuses it: a pool that is paused already stays paused. */
async function together(
  services: ReadonlyMap<string, PoolService>,
  give: (service: PoolService) => Promise<Done>,
): Promise<Done> {
  const names = [...services.keys()];
  const answers = await everywhere([...services.values()], give);
  const detail = answers
    .map(
      (answer, at) => `${names[at] ?? ''}: ${answer.kind === 'done' ? answer.value.detail : answer.detail}`,
    )
    .join('; ');
  const [first] = answers;
  if (first.kind === 'refused' && answers.every(({ kind }) => kind === 'refused'))
    return { ...first, detail };
  return { kind: 'done', value: { detail } };
}

const ambiguous = (services: ReadonlyMap<string, PoolService>): Refusal => ({
  kind: 'refused',
  code: 'conflict',
  detail: `this service has several pools: say which one (--pool, or pool in the query): ${[...services.keys()].join(', ')}`,
});

async function* chained(sources: readonly AsyncIterable<AccountLine>[]): AsyncIterable<AccountLine> {
  for (const source of sources) yield* source;
}
