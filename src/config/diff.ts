import { isDeepStrictEqual } from 'node:util';
import type { Config } from './load.js';

/** Keys (top level, or one below) whose change takes effect on reload; the rest needs a restart. */
const changeable: readonly string[] = [
  'auth.tokens',
  'policy',
  'engine.maxParallel',
  'engine.adoptEvery',
  'limits.maxWait',
  'limits.stopGrace',
  'logging',
  'listen.tls',
];

export interface ConfigDiff {
  /** Changed keys that take effect at once, such as `policy.bootLimitMs`. */
  readonly applied: readonly string[];
  /** Changed keys that are used only after a restart. */
  readonly needsRestart: readonly string[];
}

/** What a reload changes. Pure; `auth.tokens` counts as one key, so that nothing of a token is shown. */
export const diffConfig = (before: Config, after: Config): ConfigDiff => {
  const keys = changedKeys(before, after);
  const isChangeable = (key: string): boolean =>
    changeable.some((prefix) => key === prefix || key.startsWith(`${prefix}.`));
  return { applied: keys.filter(isChangeable), needsRestart: keys.filter((key) => !isChangeable(key)) };
};

/**
 * The configuration that a running service uses after a reload: the new values of what can change, the old
 * ones of what cannot.
 */
export const mergeReload = (running: Config, loaded: Config): Config => {
  const { tls: _, ...listen } = running.listen;
  // TLS cannot be switched on or off under an open socket: only its files can change.
  const tls = running.listen.tls === undefined ? undefined : (loaded.listen.tls ?? running.listen.tls);
  const { maxParallel: __, ...engine } = running.engine;
  const { maxParallel, adoptEvery } = loaded.engine;
  return {
    ...running,
    auth: loaded.auth,
    policy: loaded.policy,
    engine: { ...engine, adoptEvery, ...(maxParallel === undefined ? {} : { maxParallel }) },
    logging: loaded.logging,
    limits: { ...running.limits, maxWait: loaded.limits.maxWait, stopGrace: loaded.limits.stopGrace },
    listen: tls === undefined ? listen : { ...listen, tls },
  };
};

const isSection = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const changedKeys = (before: object, after: object): readonly string[] => {
  const [left, right] = [new Map(Object.entries(before)), new Map(Object.entries(after))];
  return [...new Set([...left.keys(), ...right.keys()])].sort().flatMap((key) => {
    const a: unknown = left.get(key);
    const b: unknown = right.get(key);
    if (isDeepStrictEqual(a, b)) return [];
    return isSection(a) && isSection(b) ? changedKeys(a, b).map((below) => `${key}.${below}`) : [key];
  });
};
