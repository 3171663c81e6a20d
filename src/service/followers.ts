import type { FollowedFrom, ServiceInput } from '../../stacks/services/plan.js';
import {
  followedFrom,
  followsMembers,
  followsSlots,
  serviceStackName,
  type Services,
  type ServiceSettings,
} from '../../stacks/services/registry.js';
import type { Engine } from '../engine/port.js';
import type { ServiceView } from '../http/api.js';
import type { Clock } from './clock.js';
import type { Log } from './log.js';
import { startLoop, type Loop } from './loops.js';

/** Changes are gathered until the list has been still for so long, but at most for `gatherAtMostMs`. */
const stillMs = 1_000;
const gatherAtMostMs = 5_000;
const pollMs = 500;
const firstRetryMs = 5_000;
const longestRetryMs = 300_000;
/** Without any change a service's host is looked at so often: what was changed there by hand is mended. */
const verifyEveryMs = 15 * 60_000;

export interface FollowerParts {
  readonly engine: Engine;
  readonly pool: string;
  readonly clock: Clock;
  readonly log: Log;
  /** What the services are told now; null while it is not known. */
  readonly input: (from: FollowedFrom) => ServiceInput | null;
}

/** One service: a lane of its own. */
interface Lane {
  settings: ServiceSettings | null;
  loop: Loop | null;
  done: { readonly text: string; readonly members: readonly string[]; readonly at: number } | null;
  pending: string;
  changedAt: number;
  stillSince: number;
  failures: number;
  notBefore: number;
  running: boolean;
  error: string | null;
  /** The last document that was looked at, so that a large pool that rests is not written out twice a second. */
  seen: { readonly settings: ServiceSettings; readonly from: ServiceInput; readonly text: string } | null;
  /** Since when the service is behind; null when it is not. */
  behindSince: number | null;
}

/** Everything that the services of the site which follow the nodes need of the pool's service. */
export interface Followers {
  /** Takes over what the pool's stack says: new services begin, changed ones are brought up anew, others are removed. */
  adopt(services: Services): Promise<void>;
  views(): ServiceView[];
  /** The settings as they were adopted. */
  services(): Services;
  stop(): Promise<void>;
}

/** Each service in a loop of its own: none waits for another, nor anything of the pool for one. */
export function startFollowers(parts: FollowerParts): Followers {
  const { engine, clock, log, pool } = parts;
  const lanes = new Map<string, Lane>();
  let adopted: Services = {};
  let stopped = false;
  /** Stacks of services that an earlier run of this service left; null until they could be listed. */
  let foundStacks = false;

  const told = ({ type }: ServiceSettings): ServiceInput | null => parts.input(followedFrom(type));
  /** What of it is this kind's business. */
  const wanted = ({ type }: ServiceSettings, told: ServiceInput): ServiceInput => ({
    pool: told.pool,
    ...(type === 'puppet' && told.pools !== undefined ? { pools: told.pools } : {}),
    members: followsMembers(type) ? told.members : [],
    slots: followsSlots(type) ? told.slots : {},
  });

  const failed = (name: string, lane: Lane, error: unknown): number => {
    lane.failures += 1;
    const pause = Math.min(longestRetryMs, firstRetryMs * 2 ** (lane.failures - 1));
    lane.notBefore = clock.now() + pause;
    lane.error = error instanceof Error ? error.message : String(error);
    log.warn(
      { service: name, err: error, retryInMs: pause },
      'a service that follows the nodes could not be updated',
    );
    return pollMs;
  };

  const round = async (name: string, lane: Lane, signal: AbortSignal): Promise<number> => {
    const now = clock.now();
    const { settings } = lane;
    if (settings === null) {
      if (now < lane.notBefore) return pollMs;
      try {
        lane.running = true;
        await engine.removeService(name, signal);
        log.info({ service: name }, 'a service that no longer follows the nodes was taken out');
        lane.done = null;
        lane.error = null;
        lane.behindSince = null;
        if (lane.settings === null) {
          lanes.delete(name);
          void lane.loop?.stop();
        }
      } catch (error) {
        if (!signal.aborted) failed(name, lane, error);
      } finally {
        lane.running = false;
      }
      return pollMs;
    }
    const from = told(settings);
    if (from === null) return pollMs;
    const input = wanted(settings, from);
    const same = lane.seen !== null && lane.seen.from === from && lane.seen.settings === settings;
    const text = same ? (lane.seen?.text ?? '') : JSON.stringify({ settings, input });
    lane.seen = { settings, from, text };
    if (text === lane.done?.text) {
      lane.pending = text;
      if (lane.error === null && now - lane.done.at < verifyEveryMs) {
        lane.behindSince = null;
        return pollMs;
      }
    } else {
      lane.behindSince ??= now;
      if (text !== lane.pending) {
        if (lane.pending === (lane.done?.text ?? '')) lane.changedAt = now;
        lane.pending = text;
        lane.stillSince = now;
      }
      const first = lane.done === null;
      if (!first && now - lane.stillSince < stillMs && now - lane.changedAt < gatherAtMostMs) return pollMs;
    }
    if (now < lane.notBefore) return pollMs;
    const verify = lane.done === null || lane.error !== null || text === lane.done.text;
    try {
      lane.running = true;
      await engine.updateService({ service: name, settings, input, verify }, signal);
      lane.done = { text, members: input.members.map((m) => m.name), at: clock.now() };
      lane.failures = 0;
      lane.notBefore = 0;
      lane.error = null;
      lane.behindSince = null;
    } catch (error) {
      if (signal.aborted) return pollMs;
      lane.behindSince ??= now;
      return failed(name, lane, error);
    } finally {
      lane.running = false;
    }
    return pollMs;
  };

  const laneOf = (name: string): Lane => {
    const known = lanes.get(name);
    if (known !== undefined) return known;
    const lane: Lane = {
      settings: null,
      loop: null,
      done: null,
      pending: '',
      changedAt: 0,
      stillSince: 0,
      failures: 0,
      notBefore: 0,
      running: false,
      error: null,
      seen: null,
      behindSince: null,
    };
    lanes.set(name, lane);
    return lane;
  };

  const set = (name: string, settings: ServiceSettings | null): void => {
    const lane = laneOf(name);
    if (lane.loop !== null && JSON.stringify(lane.settings) === JSON.stringify(settings)) return;
    lane.settings = settings;
    // What was wrong may have been mended by the new settings.
    lane.notBefore = 0;
    lane.failures = 0;
    if (lane.loop === null)
      lane.loop = startLoop(clock, log, `service ${name}`, (signal) => round(name, lane, signal));
    else lane.loop.kick();
  };

  return {
    async adopt(services) {
      if (stopped) return;
      const names = new Set(Object.keys(services));
      if (!foundStacks) {
        const existing = await engine.listServices(AbortSignal.timeout(60_000));
        foundStacks = true;
        for (const name of existing) if (!names.has(name) && !lanes.has(name)) set(name, null);
      }
      adopted = services;
      for (const [name, settings] of Object.entries(services)) set(name, settings);
      for (const name of [...lanes.keys()]) if (!names.has(name)) set(name, null);
    },
    services: () => adopted,
    views: () =>
      [...lanes]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([name, lane]) => {
          const { settings } = lane;
          const from = settings === null ? null : told(settings);
          const now = settings === null || from === null ? null : wanted(settings, from);
          const have = new Set(lane.done?.members ?? []);
          // While it is not known who is to be there, nobody is missing.
          const want = now === null && settings !== null ? have : new Set(now?.members.map((m) => m.name));
          const toAdd = [...want].filter((member) => !have.has(member)).length;
          const toRemove = [...have].filter((member) => !want.has(member)).length;
          return {
            name,
            type: settings?.type ?? 'removed',
            stack: serviceStackName(pool, name),
            hosts: have.size,
            toAdd,
            toRemove,
            running: lane.running,
            upToDate:
              settings !== null &&
              lane.error === null &&
              lane.behindSince === null &&
              lane.done !== null &&
              toAdd + toRemove === 0,
            behindSince: lane.behindSince === null ? null : new Date(lane.behindSince).toISOString(),
            nextTry: lane.notBefore > clock.now() ? new Date(lane.notBefore).toISOString() : null,
            lastError: lane.error,
          };
        }),
    stop: async () => {
      stopped = true;
      const loops = [...lanes.values()].flatMap(({ loop }) => (loop === null ? [] : [loop]));
      await Promise.all(loops.map((loop) => loop.stop()));
    },
  };
}

/** A service that could not be updated, for the problems of the status: what is wrong and what comes next. */
export const serviceProblems = (views: readonly ServiceView[]): string[] =>
  views.flatMap(({ name, toAdd, toRemove, behindSince, nextTry, lastError }) =>
    lastError === null
      ? []
      : [
          `service ${name} is not up to date${behindSince === null ? '' : ` since ${behindSince}`} ` +
            `(${String(toAdd)} VMs to add, ${String(toRemove)} to remove${nextTry === null ? '' : `; next try at ${nextTry}`}): ${lastError}`,
        ],
  );
