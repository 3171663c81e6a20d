/** The shapes that come with classes, the pools of one service. Version 1, as `api.ts`. */
import { z } from 'zod';

/** As Torque names a node's properties. */
export const feature = z
  .string()
  .max(64)
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, 'the name of a property: letters, digits, dot, dash, underscore');

export const poolName = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,31}$/, 'a lower case letter, then letters, digits, dashes (32 at most)');

/** Of routes that can be asked of one pool alone. */
export const poolQuery = z.strictObject({
  pool: poolName.optional().describe('Only of this pool, where the service has several.'),
});
export type PoolQuery = z.output<typeof poolQuery>;

export const ofPool = z.string().optional().describe('Whose it is, where the service has several pools.');

export const shapeView = z.object({
  min: z.int(),
  max: z.int(),
  spare: z.int(),
  generation: z.string(),
  flavor: z.string(),
  image: z.string(),
});

export const countsView = z.object({
  free: z.int(),
  busy: z.int(),
  unusable: z.int(),
  waiting: z.int(),
  leases: z.int(),
});

/** One pool among several, and which jobs its class takes. */
export const poolSummary = z
  .object({
    name: z.string(),
    shape: shapeView.nullable(),
    counts: countsView,
    paused: z.boolean(),
    problems: z.int().describe('How many; they are among those of all.'),
    takes: z
      .object({
        queues: z.array(z.string()).nullable().describe('Null: jobs of every queue.'),
        workers: z.array(z.string()).optional().describe('Absent: jobs of every worker.'),
        features: z.array(z.string()),
        reserved: z.boolean().describe('Only jobs that ask for one of the features.'),
        processors: z.int().nullable().describe('Most on one VM; null while it is not known.'),
        memory: z.int().nullable().describe('Bytes, most on one VM; null while it is not known.'),
      })
      .describe('What a job may ask for to go there.'),
  })
  .meta({ id: 'PoolSummary' });
export type PoolSummary = z.infer<typeof poolSummary>;
