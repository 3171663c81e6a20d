/** The shapes of the account of ended leases. Version 1, as `api.ts`. */
import { z } from 'zod';
import { jobEnds, type JobEnd } from '../pool/measured.js';
import { userName } from './api.js';
import { poolQuery } from './class-api.js';

export const usageGroups = ['user', 'queue', 'day', 'month', 'flavor', 'vm', 'job'] as const;
export const usageGroup = z.enum(usageGroups);
export type UsageGroup = z.infer<typeof usageGroup>;

const time = (what: string) =>
  z
    .string()
    .regex(
      /^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,3})?)?(Z|[+-][0-9]{2}:[0-9]{2}))?$/,
      'a date (2026-11-28), or a date with a time and its zone (2026-11-28T12:00Z)',
    )
    .refine((text) => !Number.isNaN(Date.parse(text)), 'there is no such day or time')
    .transform((text) => Date.parse(text))
    .describe(`${what}; a date alone begins at 00:00 UTC.`);

const groupList = new RegExp(`^(${usageGroups.join('|')})(,(${usageGroups.join('|')})){0,3}$`);

export const usageQuery = poolQuery.extend({
  since: time('Leases that ended from then on, otherwise from 30 days before `until` on').optional(),
  until: time('Leases that ended before, otherwise until now').optional(),
  by: z
    .string()
    .regex(groupList, `one to four of ${usageGroups.join(', ')}, with commas`)
    .transform((text) => [...new Set(text.split(','))] as UsageGroup[])
    .prefault('user')
    .describe(
      `What is summed up: one to four of ${usageGroups.join(', ')}. Days and months are those of the end, in UTC.`,
    ),
  user: userName.optional().describe('Only of this user.'),
  queue: z.string().max(255).optional().describe('Only of this queue.'),
});

const sums = {
  leases: z.int(),
  vmSeconds: z.number().describe('For which a VM was leased.'),
  processorSeconds: z.number().describe('The same times the processors that the jobs had asked for.'),
  waitSeconds: z.number().describe('From requests to grants.'),
  longestWaitSeconds: z.number(),
  measured: z.int().describe('Leases of which it is known what their jobs used on the VM.'),
  cpuSeconds: z.number().describe('User and system time that those jobs used.'),
  jobProcessorSeconds: z
    .number()
    .describe('For which those jobs ran, times the processors that they had asked for.'),
  mostMemoryBytes: z.number().describe('The most that one of them used.'),
  ends: z
    .object(Object.fromEntries(jobEnds.map((end) => [end, z.int()])) as Record<JobEnd, z.ZodInt>)
    .describe('How the jobs ended. Leases that ended before this was kept are in none.'),
};

export const usageView = z
  .object({
    since: z.string(),
    until: z.string(),
    by: z.array(usageGroup),
    rows: z
      .array(z.object({ keys: z.array(z.string()).describe('In the order of `by`.'), ...sums }))
      .describe('The largest use first; by day and month in their order. Leases count where they ended.'),
    total: z.object({ keys: z.array(z.string()), ...sums }),
    isCut: z.boolean().describe('There were more rows than an answer holds; the total has all.'),
  })
  .meta({ id: 'Usage' });
export type UsageView = z.infer<typeof usageView>;
