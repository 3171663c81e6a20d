/** The shapes of what the service is about to do in the cloud. Version 1, as `api.ts`. */
import { z } from 'zod';
import { ofPool } from './class-api.js';

export const plannedMember = z
  .object({
    vm: z
      .string()
      .nullable()
      .describe('Null: one that would be made, and gets its name when that is decided.'),
    order: z.enum(['create', 'delete']),
    by: z
      .enum(['stack', 'cloud'])
      .describe(
        "By an update of its cell's stack; or past it by the cloud's API, where the stack has it no more.",
      ),
    decided: z
      .boolean()
      .describe('False: it would be decided if changes went on now; by then it may be another, or none.'),
    why: z.string(),
  })
  .meta({ id: 'PlannedMember' });
export type PlannedMember = z.infer<typeof plannedMember>;

export const plannedCell = z
  .object({
    name: z.string(),
    pool: ofPool,
    stack: z.string().nullable().describe('Null: servers that are in no stack.'),
    running: z.boolean().describe('An update of it runs.'),
    nextTry: z.string().nullable().describe('After a failure: no update before this.'),
    lastError: z.string().nullable(),
    looks: z
      .boolean()
      .describe('The next update also finds out what the stack holds: the book does not know.'),
    members: z.array(plannedMember).describe('What is to be done there; empty: nothing.'),
  })
  .meta({ id: 'PlannedCell' });
export type PlannedCell = z.infer<typeof plannedCell>;

export const planView = z
  .object({
    now: z.string(),
    pools: z.array(
      z.object({
        name: z.string(),
        paused: z
          .object({ why: z.string(), until: z.string() })
          .nullable()
          .describe('Nothing of it is done before; null: changes are not paused.'),
        noCreates: z
          .string()
          .nullable()
          .describe('Why no VM more is made than stands here, if one is wanted.'),
      }),
    ),
    cells: z.array(plannedCell),
    strays: z
      .array(z.object({ server: z.string(), vm: z.string(), pool: ofPool, why: z.string() }))
      .describe("Servers that go by a VM's name and are not that VM: they are deleted by the cloud's API."),
  })
  .meta({ id: 'Plan' });
export type PlanView = z.infer<typeof planView>;
