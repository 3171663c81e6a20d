import { z } from 'zod';
import { feature, poolName } from '../http/class-api.js';
import { size } from './quantities.js';

const oneClass = z
  .strictObject({
    pool: poolName.describe(
      "The class's pool: its name, its Pulumi stack's, and the beginning of its VMs' names.",
    ),
    queues: z
      .array(z.string().min(1).max(255))
      .min(1, 'needs a queue; leave it out for every queue')
      .optional()
      .describe('Only jobs of these queues. Default: of every queue'),
    workers: z
      .array(z.string().min(1).max(255))
      .min(1, 'needs a worker; leave it out for every worker')
      .optional()
      .describe('Only jobs of these workers. Default: of every worker'),
    features: z
      .array(feature)
      .max(64)
      .default([])
      .describe(
        'Properties of a node that its VMs have. A job goes only where all that it asks for are; those of the worker node itself belong into every class.',
      ),
    reserved: z.boolean().default(false).describe('Only jobs that ask for one of `features` at least.'),
    processors: z
      .int()
      .min(1)
      .max(65_536)
      .optional()
      .describe('Most that a job may ask for on one VM. Default: what the flavor has'),
    slots: z
      .int()
      .min(1)
      .max(65_536)
      .optional()
      .describe(
        "How many of a worker's `np` one VM counts for, where the service `torque` sets that: the `ppn` of its jobs. Default: 1",
      ),
    memory: size.optional().describe('Most that a job may ask for on one VM. Default: what the flavor has'),
  })
  .superRefine(({ reserved, features }, context) => {
    if (reserved && features.length === 0)
      context.addIssue({
        code: 'custom',
        path: ['reserved'],
        message: 'nobody can ask for a class without features: name some, or leave this out',
      });
  });
export type ClassSettings = z.output<typeof oneClass>;

export const classSettings = z
  .array(oneClass)
  .max(16)
  .default([])
  .describe(
    'Classes of VMs, each a pool of its own: a job goes to the first that fits what it asks for. `pool` above is one of them. Empty: one pool, which takes every job.',
  );

/** What keeps these classes from living side by side: index and key of the entry with what is wrong. Pure. */
export const classFaults = (
  main: string,
  classes: readonly Pick<ClassSettings, 'pool'>[],
): readonly { readonly index: number | null; readonly message: string }[] => {
  if (classes.length === 0) return [];
  const names = classes.map(({ pool }) => pool);
  return [
    ...(names.includes(main)
      ? []
      : [{ index: null, message: `one of the classes must be the pool ${main} itself (pool: ${main})` }]),
    ...names.flatMap((name, index) => [
      ...(names.indexOf(name) === index ? [] : [{ index, message: `another class is named ${name}` }]),
      ...names
        .filter((other) => isStackOf(other, name))
        .map((other) => ({
          index,
          message: `is also the name of a stack of pool ${other}: choose a name that does not begin with ${other}-c and a number, ${other}-svc- or ${other}-summary`,
        })),
    ]),
  ];
};

/** Stacks of a pool: cells `<pool>-c001`, services `<pool>-svc-<name>`, its list `<pool>-summary`. */
const isStackOf = (pool: string, name: string): boolean =>
  name.startsWith(`${pool}-`) && /^(c\d+|svc-.*|summary)($|-)/.test(name.slice(pool.length + 1));
