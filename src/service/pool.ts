import { randomBytes } from 'node:crypto';
import type { ServiceInput } from '../../stacks/services/plan.js';
import type { Cloud } from '../cloud/port.js';
import type { Engine } from '../engine/port.js';
import { poolFigures } from '../ganglia/figures.js';
import { sendFigures, type PoolFigures } from '../ganglia/sender.js';
import type { Guest } from '../guest/port.js';
import type { Book, Context, Member, Note } from '../pool/book.js';
import { censusOf } from '../pool/census.js';
import { standingIn, type PoolStanding } from '../pool/elsewhere.js';
import { serviceInput, type Followed, type FollowedFrom } from '../pool/followed.js';
import type { LeaseKey, MemberName, Shape } from '../pool/model.js';
import { meteredCloud, meteredEngine, meteredGuest, meteredStore } from '../metrics/metered.js';
import { PoolMetrics } from '../metrics/pool-metrics.js';
import type { Policy } from '../pool/policy.js';
import { countsOf } from '../pool/views.js';
import { bringsWork } from '../pool/work.js';
import type { History, Store } from '../store/port.js';
import { BookKeeper } from './book-keeper.js';
import type { Clock } from './clock.js';
import { configOrders } from './config-orders.js';
import { Executor } from './executor.js';
import { startFollowers } from './followers.js';
import type { Log } from './log.js';
import type { Loop, ParsedShape, WatchPeriods } from './loops.js';
import { adoptOnce, lookForCells, publishSummaries, startLoop, watchCloud } from './loops.js';
import { jobLineOf, lineOf, type AccountLine, type UsageJournal } from '../usage/journal.js';
import { summed } from '../usage/sum.js';
import type { PoolService } from './port.js';
import { createPoolService, type ServiceParts } from './pool-service.js';
import { releaseLostAddresses } from './address-loop.js';
import { watchQuota } from './quota-loop.js';
import { Recent } from './recent.js';
import { resolveShape } from './resolve-shape.js';
import { SiteAddressBook } from './site-addresses.js';

/** What can change while the service runs. */
export interface Settings {
  readonly policy: Policy;
  /** Workers that the configuration names. */
  readonly workers: readonly string[];
  readonly watch: WatchPeriods;
  readonly adoptEveryMs: number;
  readonly maxCells: number;
}

export interface PoolParts {
  readonly book: Book;
  readonly store: Store<Book>;
  readonly history: History;
  readonly readHistory: ServiceParts['history'];
  /** The account of ended leases. */
  readonly usage: UsageJournal;
  readonly engine: Engine;
  readonly cloud: Cloud;
  readonly guest: Guest;
  readonly hostKeyPolicy: 'console' | 'first-sight';
  readonly parseOutputs: (outputs: unknown) => ParsedShape;
  readonly clock: Clock;
  readonly log: Log;
  readonly version: string;
  readonly capabilitySecret: Buffer;
  readonly settings: Settings;
  /** Also tell the figures of this process: for the service itself, once in a process. */
  readonly processMetrics?: boolean;
  /** Is told of every decision, after the history. */
  readonly onNote?: (note: Note) => void;
  /** What the site's services are told instead of this pool's own part: that of all pools of the service. */
  readonly followed?: (from: FollowedFrom) => ServiceInput | null;
  /** The figures that Ganglia is told instead of this pool's own: those of all pools of the service. */
  readonly figures?: () => readonly PoolFigures[];
}

/** What a pool has for the jobs of its class. */
export interface Flavor {
  readonly processors: number;
  /** Bytes. */
  readonly memory: number;
}

export interface RunningPool {
  readonly service: PoolService;
  /** The pool's figures as Prometheus reads them. */
  metrics(): Promise<string>;
  /** Why the pool cannot serve at the moment, or null. */
  notReady(): string | null;
  /** Of the adopted shape; null before one was adopted. */
  flavor(): Flavor | null;
  /** How an attempt stands to what this pool holds of its job, when it is to have its VM of another pool. */
  standing(key: LeaseKey): PoolStanding;
  /** Leases that ended from `since` on and before `until`, oldest first. */
  usageLines(since: number, until: number, signal: AbortSignal): AsyncIterable<AccountLine>;
  /** This pool's VMs as the site's services are told of them, and its `max`; null while they are not known. */
  followed(from: FollowedFrom): Pick<Followed, 'input' | 'max'> | null;
  /** This pool's figures as Ganglia is told them. */
  figures(): PoolFigures;
  /** Takes over changed settings at once, without touching leases. */
  configure(settings: Settings): void;
  /** Ends every wait and all work, then closes what it was given (store last). */
  stop(): Promise<void>;
}

/** How often time alone is looked at: deadlines, paces and backoffs. */
const tickMs = 250;
const quietTickMs = 2_000;
/** On a stop, updates of cells get this long to end by themselves, then everything else that long to be ended. */
const stopCellsMs = 30_000;
const stopLimitMs = 10_000;

/** Of a console that an operator looks at. */
const consoleLines = 1_000;
const consoleLimitMs = 20_000;

/** Characters of a failed boot's console log that go into the history. */
const consoleKept = 16_384;

const suffixLetters = 'abcdefghijkmnpqrstuvwxyz23456789';

/** Four letters and digits without look-alikes: with the sequence number, a name that is never used twice. */
function randomSuffix(): string {
  return [...randomBytes(4)].map((b) => suffixLetters[b % suffixLetters.length] as string).join('');
}

/** Puts the parts together and sets them going. */
export function startPool(parts: PoolParts): RunningPool {
  const { clock, log, history } = parts;
  let settings = parts.settings;
  const metrics: PoolMetrics = new PoolMetrics(parts.book.pool, () => ({
    state: keeper.durable(),
    now: clock.now(),
    breakerAfter: settings.policy.breakerAfter,
    storeProblem: keeper.storeProblem(),
  }));
  if (parts.processMetrics === true) metrics.withProcess();
  const store = meteredStore(parts.store, metrics);
  const engine = meteredEngine(parts.engine, metrics);
  const cloud = meteredCloud(parts.cloud, metrics);
  const guest = meteredGuest(parts.guest, metrics);
  const context = (): Context => ({
    now: clock.now(),
    suffix: randomSuffix,
    policy: settings.policy,
    workers: settings.workers,
  });
  const recent = new Recent();
  const onNotes = (notes: readonly Note[]): void => {
    for (const n of notes) {
      history.append({ ...n });
      const used = lineOf(n) ?? jobLineOf(n);
      if (used !== null) parts.usage.append(used);
      metrics.told(n);
      recent.told(n);
      parts.onNote?.(n);
      const { kind, member: vm, lease, job, user, by, decision, reason, failure } = n;
      log.info({ event: kind, vm, lease, job, user, by, decision, reason, failure }, n.detail);
    }
  };
  const keeper = new BookKeeper(parts.book, store, context, onNotes, log);
  const executor = new Executor({
    keeper,
    engine,
    cloud,
    guest,
    hostKeyPolicy: parts.hostKeyPolicy,
    context,
    clock,
    log,
    maxCells: () => settings.maxCells,
    onConsole: (member, text) => {
      const tail = text.trimEnd().slice(-consoleKept);
      history.append({ at: clock.now(), kind: 'console', member, detail: tail });
      log.warn(
        { event: 'console', vm: member, console: tail.split('\n').slice(-5) },
        'a VM did not come up; the end of its console log',
      );
    },
  });
  let known = parts.book.members;
  let seen = keeper.durable();
  keeper.watch(() => {
    const state = keeper.durable();
    if (bringsWork(seen, state)) executor.kick();
    seen = state;
    if (recent.isDue(clock.now())) recent.counted(clock.now(), countsOf(state.book));
    // The connection and the baseline of a VM end with it.
    const now = state.book.members;
    const changes = now.changesFrom(known);
    known = now;
    for (const { key: name, after } of changes) {
      if (after !== undefined) continue;
      told.delete(name);
      sites.forget(name);
      guest.forget(name as MemberName).catch((error: unknown) => {
        log.warn({ err: error, vm: name }, 'what was kept of a VM that is gone could not be removed');
      });
    }
  });

  /** Of the adopted shape; a refused shape changes nothing. */
  let flavor: Flavor | null = null;
  let proposed: Flavor | null = null;
  const resolve = async (shape: Shape, signal: AbortSignal): Promise<ParsedShape> => {
    const resolved = await resolveShape(cloud, shape, signal);
    if (resolved.ok) proposed = { processors: resolved.processors, memory: resolved.memory };
    return resolved;
  };
  const stopping = new AbortController();
  const sites = new SiteAddressBook();
  const told = new Set<string>();
  /** Each service asks twice a second; most of the time nothing has changed. */
  const inputs: Partial<
    Record<
      FollowedFrom,
      { readonly book: Book; readonly sights: number; readonly input: ServiceInput | null }
    >
  > = {};
  const followedHere = (from: FollowedFrom): ServiceInput | null => {
    const state = keeper.durable();
    const before = inputs[from];
    if (before?.book === state.book && before.sights === sites.revision) return before.input;
    const acquaintance = {
      known: told,
      addressesOf: (member: Member) => sites.addressesOf(member),
      complete: sites.complete,
    };
    const input = serviceInput(state, acquaintance, from);
    if (from === 'first-free') for (const { name } of input?.members ?? []) told.add(name);
    inputs[from] = { book: state.book, sights: sites.revision, input };
    return input;
  };
  const followers = startFollowers({
    engine,
    pool: parts.book.pool,
    clock,
    log,
    input: parts.followed ?? followedHere,
  });
  const figuresHere = (): PoolFigures => ({
    pool: parts.book.pool,
    figures: poolFigures(keeper.durable(), clock.now()),
  });
  const adopt = async (signal: AbortSignal): ReturnType<PoolService['adopt']> => {
    try {
      const answer = await adoptOnce(keeper, engine, parts.parseOutputs, resolve, signal, (services) =>
        followers.adopt(services),
      );
      if (answer.kind === 'done') flavor = proposed;
      return answer;
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      await keeper.dispatch({ type: 'adoptFailed', why });
      return { kind: 'refused', code: 'unavailable', detail: why };
    }
  };

  const loops: Loop[] = [];
  const watcher = watchCloud(
    keeper,
    cloud,
    clock,
    log,
    () => settings.watch,
    (listing) => sites.take(listing),
  );
  loops.push(
    watcher,
    startLoop(clock, log, 'adopt', async (signal) => {
      const answer = await adopt(signal);
      // A pool without a shape does nothing at all: look again soon.
      return answer.kind === 'done' ? settings.adoptEveryMs : Math.min(settings.adoptEveryMs, 5_000);
    }),
    startLoop(clock, log, 'tick', async () => {
      await keeper.dispatch({ type: 'tick' }).catch(() => undefined);
      executor.kick();
      const { book } = keeper.durable();
      const calm =
        book.requests.size === 0 &&
        censusOf(book).unusable.length === 0 &&
        book.leases.values().every((l) => l.ready);
      return calm ? quietTickMs : tickMs;
    }),
    lookForCells(keeper, engine, clock, log),
    publishSummaries(keeper, engine, clock, log),
    sendFigures({
      ...{ clock, log, services: () => followers.services() },
      figures: parts.figures ?? (() => [figuresHere()]),
    }),
    watchQuota(keeper, cloud, clock, log),
    releaseLostAddresses(keeper, cloud, clock, log),
  );
  // The listing that shows a new server should not have to wait for a quiet period to end.
  let busy = false;
  const unwatch = keeper.watch(() => {
    const now = censusOf(keeper.durable().book).unusable.length > 0;
    if (now && !busy) watcher.kick();
    busy = now;
  });

  const service = createPoolService({
    keeper,
    context,
    version: parts.version,
    recent,
    capabilitySecret: parts.capabilitySecret,
    adopt: () => adopt(AbortSignal.any([stopping.signal, AbortSignal.timeout(60_000)])),
    changeConfig: configOrders({
      ...{ engine, cloud, adopt, stopping: stopping.signal },
      book: () => keeper.durable().book,
      now: () => clock.now(),
      tell: (note) => onNotes([note]),
    }),
    flavorProcessors: () => flavor?.processors ?? null,
    services: () => followers.views(),
    consoleLog: (server, signal) =>
      cloud.consoleLog(server, consoleLines, AbortSignal.any([signal, AbortSignal.timeout(consoleLimitMs)])),
    history: parts.readHistory,
    usage: (wish, signal) => summed(parts.usage.read(wish.since, wish.until, signal), wish),
  });

  return {
    service,
    metrics: () => metrics.text(),
    notReady: () => {
      const problem = keeper.storeProblem();
      if (problem !== null) return `the store refuses to commit: ${problem}`;
      return keeper.durable().book.shape === null ? 'the pool has no shape yet' : null;
    },
    flavor: () => flavor,
    standing: (key) => standingIn(keeper.durable(), key, clock.now()),
    usageLines: (since, until, signal) => parts.usage.read(since, until, signal),
    followed: (from) => {
      const input = followedHere(from);
      return input === null ? null : { input, max: keeper.durable().book.shape?.max ?? 0 };
    },
    figures: figuresHere,
    configure: (next) => {
      settings = next;
      executor.kick();
    },
    stop: async () => {
      stopping.abort();
      unwatch();
      await Promise.all([...loops.map((loop) => loop.stop()), followers.stop()]);
      await executor.stop(stopCellsMs, stopLimitMs);
      // Each owner closes what it has, also when another could not; the store goes last: it is the ownership.
      for (const part of [engine, guest, parts.usage, history, store]) {
        await part.close().catch((error: unknown) => {
          log.error({ err: error }, 'a part could not be closed in order');
        });
      }
    },
  };
}
