import { parsePoolConfig, type PoolConfig } from '../../stacks/pool-config.js';
import type { Parsed } from '../../stacks/raw-config.js';
import type { PoolConfigInForce, StackConfig } from '../engine/port.js';
import { effectiveConfig, rawOf } from '../engine/stack-config.js';
import type { ConfigAnswer } from '../http/config-api.js';

/** What an operator orders of the pool stack's config. */
export type ConfigChange =
  | { readonly kind: 'scale'; readonly sizes: Readonly<Record<string, number>> }
  | { readonly kind: 'apply'; readonly config: StackConfig; readonly overwrite: boolean };

export interface ConfigWish {
  readonly change: ConfigChange;
  /** Name of the operator's token. */
  readonly who: string;
  readonly reason: string;
  readonly dryRun: boolean;
}

type Next =
  { readonly ok: true; readonly config: StackConfig } | { readonly ok: false; readonly why: string };

/** The config that is to be brought up, or why there is none. Pure. */
export const nextConfig = (inForce: PoolConfigInForce | null, change: ConfigChange): Next => {
  if (change.kind === 'apply') {
    const taken = change.overwrite ? [] : takenBack(inForce, change.config);
    return taken.length === 0
      ? { ok: true, config: change.config }
      : {
          ok: false,
          why:
            `this takes back what an operator has set since (${inForce?.message ?? ''}): ${taken.join('; ')}. ` +
            'Write it into the file, or overwrite it (vmpool apply --overwrite)',
        };
  }
  if (inForce === null)
    return { ok: false, why: 'the pool stack has never been brought up: there is no config to change' };
  if (inForce.encrypted.length > 0)
    return {
      ok: false,
      why: `the pool stack's config has encrypted values (${inForce.encrypted.join(', ')}), which the service does not read: a pool's shape needs no secret, take them out`,
    };
  const sizes = Object.entries(change.sizes).map(([key, value]) => [`vmpool:${key}`, value]);
  return { ok: true, config: { ...inForce.config, ...(Object.fromEntries(sizes) as StackConfig) } };
};

/** The shape of a config as the Pulumi program would see it, or everything that speaks against it. Pure. */
export const shapeOf = (config: StackConfig, defaults: StackConfig): Parsed<PoolConfig> => {
  const foreign = Object.keys(config).filter((key) => !key.startsWith('vmpool:'));
  const kind = config['vmpool:kind'] ?? 'pool';
  const errors = [
    ...foreign.map((key) => `${key}: only keys that begin with vmpool: belong to a pool's config`),
    ...(kind === 'pool' ? [] : ['vmpool:kind: is "pool" or left out in a pool\'s config']),
  ];
  return errors.length > 0 ? { ok: false, errors } : parsePoolConfig(effectiveConfig(config, defaults));
};

/** What differs between two configs, defaults counting as written. Pure. */
export const changesBetween = (
  before: StackConfig,
  after: StackConfig,
  defaults: StackConfig,
): ConfigAnswer['changes'] => {
  const [from, to] = [effectiveConfig(before, defaults), effectiveConfig(after, defaults)];
  return [...new Set([...Object.keys(from), ...Object.keys(to)])]
    .filter((key) => from[key] !== to[key])
    .sort()
    .map((key) => ({ key, from: from[key] ?? null, to: to[key] ?? null }));
};

const scaled = /^vmpool scale ((?:(?:min|max|spare)=\d+ )+)\(/;

/** Sizes that scale orders have set since the stack was last brought up from a file. Pure. */
export const sizesSetByHand = (inForce: PoolConfigInForce | null): Readonly<Record<string, number>> =>
  Object.fromEntries(
    (scaled.exec(inForce?.message ?? '')?.[1] ?? '')
      .trim()
      .split(' ')
      .flatMap((word): [string, number][] => {
        const [key = '', value = ''] = word.split('=');
        return value === '' ? [] : [[key, Number(value)]];
      }),
  );

const takenBack = (inForce: PoolConfigInForce | null, config: StackConfig): string[] => {
  const next = rawOf(config);
  return Object.entries(sizesSetByHand(inForce)).flatMap(([key, value]) => {
    const wanted = next[`vmpool:${key}`] ?? '0';
    return wanted === String(value) ? [] : [`vmpool:${key} is ${String(value)}, the file says ${wanted}`];
  });
};

/** What the stack's history keeps: for a scale order every size that no file is known to have. Pure. */
export const messageOf = ({ change, who, reason }: ConfigWish, inForce: PoolConfigInForce | null): string => {
  const said = `(${who}: ${reason.replaceAll(/\s+/g, ' ')})`;
  if (change.kind === 'apply') return `vmpool apply ${said}`;
  const sizes = Object.entries({ ...sizesSetByHand(inForce), ...change.sizes });
  return `vmpool scale ${sizes.map(([key, value]) => `${key}=${String(value)}`).join(' ')} ${said}`;
};
