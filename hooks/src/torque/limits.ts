import { clockSeconds, resourceOf, sizeOf } from './arguments.js';
import type { JobLimits } from '../../../src/pool/measured.js';

/** A time as Torque writes it: seconds, or `[[hh:]mm:]ss`, days first where there are four; parts of a second are cut. */
export function timeLimit(text: string): number | null {
  const found = /^(\d{1,9}(?::\d{1,9}){0,3})(?:\.\d+)?$/.exec(text);
  if (found?.[1] === undefined) return null;
  const seconds = clockSeconds(found[1]);
  return seconds > 0 ? seconds : null;
}

const sizes = ['mem', 'pmem', 'vmem', 'pvmem'] as const;
const times = ['cput', 'pcput'] as const;

/**
 * The limits in a resource list as a mom hands it to its prologue: `nodes=1:ppn=2,mem=4gb,cput=01:00:00`. What is
 * unknown or cannot be read limits nothing. The first of two counts, as the list has a resource once.
 */
export function limitsOf(resources: string): JobLimits {
  const read = <N extends string>(
    names: readonly N[],
    parse: (text: string) => number | null,
  ): [N, number][] =>
    names.flatMap((name) => {
      const value = parse(resourceOf(resources, name) ?? '');
      return value === null ? [] : [[name, value]];
    });
  return Object.fromEntries([...read(sizes, sizeOf), ...read(times, timeLimit)]);
}
