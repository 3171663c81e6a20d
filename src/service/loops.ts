import type { Services } from '../../stacks/services/registry.js';
import { CloudError } from '../cloud/port.js';
import type { Cloud, Listing } from '../cloud/port.js';
import type { Engine, PublishedMember } from '../engine/port.js';
import type { State } from '../pool/book.js';
import { censusOf } from '../pool/census.js';
import { isUnusable, membersOf } from '../pool/book.js';
import { disturbanceOf, longestRestMs } from '../pool/observe.js';
import type { Millis, Shape } from '../pool/model.js';
import type { BookKeeper } from './book-keeper.js';
import type { Clock } from './clock.js';
import type { Log } from './log.js';
import type { Answer } from './port.js';

/** Something that goes on until it is stopped. */
export interface Loop {
  /** Runs the next round now. */
  kick(): void;
  stop(): Promise<void>;
}

/** Runs `round` for ever; each round says after how many milliseconds the next one follows. */
export function startLoop(
  clock: Clock,
  log: Log,
  name: string,
  round: (signal: AbortSignal) => Promise<number>,
): Loop {
  const stop = new AbortController();
  let wake = new AbortController();
  const run = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      let pause = 5_000;
      wake = new AbortController();
      try {
        pause = await round(stop.signal);
      } catch (error) {
        if (!stop.signal.aborted)
          log.error({ err: error, loop: name }, 'a round failed in an unforeseen way');
      }
      if (!stop.signal.aborted) await clock.sleep(pause, wake.signal);
    }
  };
  const done = run();
  return {
    kick: () => wake.abort(),
    stop: async () => {
      stop.abort();
      wake.abort();
      await done;
    },
  };
}

/** Is anything under way that a listing would show? Then the cloud is read often. */
function expectsNews(s: State): boolean {
  if (Object.keys(s.sight.unlisted).length > 0 || Object.keys(s.book.strays).length > 0) return true;
  return membersOf(s.book).some(
    (m) =>
      m.state.kind === 'Unusable' &&
      (m.state.reason === 'building' ||
        m.state.reason === 'deleting' ||
        m.state.reason === 'lost' ||
        (m.state.reason === 'unreachable' && m.server !== null && disturbanceOf(m.server.status) !== null)),
  );
}

/** A request waits for a server that is being made: the next look comes after this part of what that has taken so far. */
const awaitedPart = 0.05;
/** Nova is asked no more often than this whoever waits. */
const awaitedLeastMs = 250;

/**
 * Milliseconds until the cloud is read again. Where a request waits for a server to become ACTIVE, the delay is to be
 * small beside the time that the server takes: a quick cloud is asked often, for seconds, and a slow one twice as often
 * as when nobody waits.
 */
export function listingPeriod(s: State, { busyMs, quietMs }: WatchPeriods, now: Millis): Millis {
  if (!expectsNews(s)) return quietMs;
  if (s.book.requests.size === 0) return busyMs;
  const awaited = membersOf(s.book).filter((m) => isUnusable(m, 'building') && m.server?.status !== 'ACTIVE');
  if (awaited.length === 0) return busyMs;
  const since = Math.max(...awaited.map((m) => m.bornAt));
  return Math.min(busyMs, Math.max(awaitedLeastMs, Math.min(busyMs / 2, awaitedPart * (now - since))));
}

export interface WatchPeriods {
  readonly busyMs: number;
  readonly quietMs: number;
}

/** While something is expected, a listing of everything comes so often; those between show only what has changed. */
const everythingEveryMs = 10_000;
/** A cloud that takes long to answer is not asked all the time: after a listing it has so many times as long for itself. */
const restOfListing = 4;
/** At most, because what took long may have been this machine. */
const longestRestOfChangesMs = 10_000;
const longestRestOfEverythingMs = 60_000;

/** While all VMs are well and nothing is expected, everything is listed every so many quiet periods. */
const everythingEveryQuiet = 10;

/** Jobs may wait for a cloud that is down. One that refuses us is not pressed: some lock an account that keeps trying. */
const longestPauseMs = (error: unknown): Millis =>
  error instanceof CloudError && error.kind === 'unavailable' ? 15_000 : 60_000;

/**
 * One listing a period; the period is short only while something is expected. What the listings of changes miss, the next
 * one of everything finds: nothing depends on them but speed.
 */
export function watchCloud(
  keeper: BookKeeper,
  cloud: Cloud,
  clock: Clock,
  log: Log,
  periods: () => WatchPeriods,
  onListing: (listing: Listing) => void = () => undefined,
): Loop {
  let failures = 0;
  let everythingAt: number | null = null;
  const tookMs = { everything: 0, changes: 0 };
  return startLoop(clock, log, 'cloud', async (signal) => {
    try {
      const now = clock.now();
      const state = keeper.durable();
      const isWell = censusOf(state.book).unusable.length === 0 && !expectsNews(state);
      const wellMs = isWell ? everythingEveryQuiet * periods().quietMs : 0;
      const restMs = Math.min(longestRestOfEverythingMs, (1 + restOfListing) * tookMs.everything);
      const due = everythingAt === null || now - everythingAt >= Math.max(everythingEveryMs, wellMs, restMs);
      const listing = due ? await cloud.listOurs(signal) : await cloud.listChanged(signal);
      tookMs[due ? 'everything' : 'changes'] = clock.now() - now;
      failures = 0;
      if (listing.complete) everythingAt = now;
      onListing(listing);
      await keeper.dispatch({ type: 'listed', servers: listing.servers, complete: listing.complete });
    } catch (error) {
      failures += 1;
      const why = error instanceof Error ? error.message : String(error);
      const restMs = error instanceof CloudError ? error.retryAfterMs : null;
      if (!signal.aborted) await keeper.dispatch({ type: 'cloudFailed', why, restMs });
      const own = Math.min(longestPauseMs(error), periods().busyMs * 2 ** Math.min(failures, 6));
      // One that asks for a longer pause is asked again after this all the same.
      return Math.max(own, Math.min(restMs ?? 0, longestRestMs));
    }
    const restMs = Math.min(longestRestOfChangesMs, restOfListing * tookMs.changes);
    return Math.max(restMs, listingPeriod(keeper.durable(), periods(), clock.now()));
  });
}

export type ParsedShape =
  | { readonly ok: true; readonly shape: Shape; readonly services?: Services | null }
  | { readonly ok: false; readonly why: string };

/** Reads the pool stack's outputs and adopts the shape, or says on the status why not. */
export async function adoptOnce(
  keeper: BookKeeper,
  engine: Engine,
  parse: (outputs: unknown) => ParsedShape,
  resolve: (shape: Shape, signal: AbortSignal) => Promise<ParsedShape>,
  signal: AbortSignal,
  /** Of the services that follow the nodes; not called by a stack that says nothing of them. */
  onServices: (services: Services) => Promise<void> = () => Promise.resolve(),
): Promise<Answer<{ detail: string }>> {
  const refuse = async (why: string): Promise<Answer<{ detail: string }>> => {
    await keeper.dispatch({ type: 'adoptFailed', why });
    return { kind: 'refused', code: 'conflict', detail: why };
  };
  let outputs: unknown;
  try {
    outputs = await engine.poolOutputs(signal);
  } catch (error) {
    return refuse(`the pool stack cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (outputs === null)
    return refuse(
      'the pool stack has never been brought up: run vmpool apply with its file, or pulumi up on it',
    );
  const parsed = parse(outputs);
  if (!parsed.ok) return refuse(parsed.why);
  const resolved = await resolve(parsed.shape, signal);
  if (!resolved.ok) return refuse(resolved.why);
  await keeper.dispatch({ type: 'adopt', shape: resolved.shape });
  if (parsed.services !== null && parsed.services !== undefined) {
    try {
      await onServices(parsed.services);
    } catch (error) {
      return refuse(
        `the services cannot be taken over: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  }
  const { min, max, spare, generation } = resolved.shape;
  return {
    kind: 'done',
    value: { detail: `adopted: min ${min}, max ${max}, spare ${spare}, generation ${generation}` },
  };
}

const lookForCellsEveryMs = 3_600_000;
const lookAgainMs = 10_000;

/** Tells the core which cells the engine has. What is missing in the book after a loss is found at the start. */
export function lookForCells(keeper: BookKeeper, engine: Engine, clock: Clock, log: Log): Loop {
  return startLoop(clock, log, 'cells', async (signal) => {
    try {
      await keeper.dispatch({ type: 'cellsFound', cells: await engine.cells(signal) });
      return lookForCellsEveryMs;
    } catch (error) {
      if (!signal.aborted) log.warn({ err: error }, 'the stacks of cells could not be listed; tried again');
      return lookAgainMs;
    }
  });
}

function published(s: State): PublishedMember[] {
  return membersOf(s.book)
    .toSorted((a, b) => a.seq - b.seq)
    .map((m) => ({
      name: m.name,
      cell: m.cell,
      id: m.server?.id ?? null,
      generation: m.generation,
      addresses: m.endpoint === null ? {} : { [m.spec.sshNetwork]: [m.endpoint.host] },
      state: m.state.kind === 'Unusable' ? `Unusable (${m.state.reason})` : 'usable',
    }));
}

const settleMs = 10_000;
const publishAtLeastMs = 60_000;

/**
 * Publishes the members' list for `pulumi preview` on the pool stack: when it has been still for a while, or has
 * waited long enough. Free and Busy are one word there: leases come and go too fast for a stack.
 */
export function publishSummaries(keeper: BookKeeper, engine: Engine, clock: Clock, log: Log): Loop {
  let last = '';
  let pending = '';
  /** Those that `last` was made from: most of the time they are the same ones still. */
  let known: State['book']['members'] | null = null;
  let stillSince = 0;
  let changedAt = 0;
  return startLoop(clock, log, 'summary', async (signal) => {
    const state = keeper.durable();
    if (state.book.members === known) return 2_000;
    const members = published(state);
    const text = JSON.stringify(members);
    const now = clock.now();
    if (text === last) {
      known = state.book.members;
      return 2_000;
    }
    if (text !== pending) {
      if (pending === last) changedAt = now;
      pending = text;
      stillSince = now;
    }
    if (now - stillSince < settleMs && now - changedAt < publishAtLeastMs) return 2_000;
    try {
      await engine.publishSummary(members, signal);
      last = text;
      pending = text;
    } catch (error) {
      if (!signal.aborted)
        log.warn({ err: error }, 'the summary stack could not be written; tried again later');
      return 30_000;
    }
    return 2_000;
  });
}
