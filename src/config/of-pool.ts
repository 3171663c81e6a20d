import { join } from 'node:path';
import type { Config } from './load.js';

/** Names of all pools that a configuration is for, in the order of its classes. */
export const poolsOf = ({ pool, classes }: Pick<Config, 'pool' | 'classes'>): readonly string[] =>
  classes.length === 0 ? [pool] : classes.map((each) => each.pool);

/**
 * The configuration of one of the pools, as if it were the only one. The pool that `pool` names has the state directory
 * itself, so that a pool with a history becomes one of several classes and back without a move; each of the others has
 * one below it. They share the backend of stacks, the secret behind capabilities, the tokens and the policy.
 */
export const configOfPool = (config: Config, pool: string): Config =>
  pool === config.pool ? config : { ...config, pool, stateDir: stateDirOfPool(config.stateDir, pool) };

export const stateDirOfPool = (stateDir: string, pool: string): string => join(stateDir, 'pools', pool);
