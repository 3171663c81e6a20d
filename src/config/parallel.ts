import { totalmem } from 'node:os';
import type { Config } from './load.js';
import { poolsOf } from './of-pool.js';

const mebibyte = 1024 * 1024;
/** A `pulumi` and its provider while they bring up a cell, measured. */
const cellBytes = 200 * mebibyte;
const [fewest, most] = [4, 32];

/**
 * How many cells are brought up at the same time where the configuration does not say: as many as half of the memory
 * carries, shared by the pools of the service. Nearly all of a run is waiting for the cloud; with few of them, requests
 * that come one by one wait for the end of another's boot.
 */
export const usualParallel = (memoryBytes: number, pools: number): number =>
  Math.max(fewest, Math.min(most, Math.floor(memoryBytes / 2 / cellBytes / pools)));

/** Of each pool that a configuration is for. */
export const cellsAtOnce = (config: Config): number =>
  config.engine.maxParallel ?? usualParallel(memoryHere(), poolsOf(config).length);

/** Bytes of memory that this process may have: the machine's, or the limit of its cgroup. */
export const memoryHere = (): number => {
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem();
};
