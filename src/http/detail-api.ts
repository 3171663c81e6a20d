/** The shapes of the API's closer looks: one VM whole, what is written in the history. Version 1, as `api.ts`. */
import { z } from 'zod';
import { poolQuery } from './class-api.js';
import { decisions } from '../pool/reasons.js';
import { jobId, leaseView, memberName, memberView, ofDecision } from './api.js';

export const holdView = z
  .object({
    kind: z
      .enum(['operator', 'drain', 'unknown', 'restored', 'foreign-marker', 'copy-back'])
      .describe('`drain`: cleaned first. `unknown`, `restored`, `foreign-marker`: until it is explained.'),
    why: z.string(),
    at: z.string(),
    limitMs: z
      .number()
      .nullable()
      .describe('So long after it was held it is given back; null: by order only.'),
  })
  .meta({ id: 'Hold' });

export const memberDetail = z
  .object({
    member: memberView,
    spec: z
      .object({
        flavor: z.string(),
        image: z.string(),
        networks: z.array(z.string()),
        securityGroups: z.array(z.string()),
        availabilityZones: z.array(z.string()),
        bootVolumeGiB: z.number().nullable(),
        floatingIpPool: z.string().nullable(),
      })
      .describe('What it was made of; never changes.'),
    made: z
      .object({ reason: z.string().describe('In one word.'), detail: z.string() })
      .optional()
      .describe('Why it was made; absent where an earlier version made it.'),
    stack: z.string().describe('The Pulumi stack of its cell.'),
    engine: z
      .enum(['planned', 'managed', 'stateless', 'dropped', 'adopted'])
      .describe('How Pulumi holds it. `stateless`: its create was lost with a killed engine.'),
    serverStatus: z.string().nullable().describe("Nova's word, as last seen."),
    ssh: z
      .object({
        host: z.string(),
        port: z.int(),
        hostKeys: z.array(z.string()).describe('As in known_hosts lines: type, blank, base64.'),
      })
      .nullable(),
    bootId: z.string().nullable().describe("The guest's boot id at its last welcome or scrub."),
    hold: holdView.nullable(),
    lease: leaseView.nullable(),
  })
  .meta({ id: 'MemberDetail' });
export type MemberDetail = z.infer<typeof memberDetail>;

export const historyEntry = z
  .object({
    at: z.string(),
    kind: z.string(),
    detail: z.string(),
    vm: z.string().nullable(),
    lease: z.string().nullable(),
    job: z.string().nullable(),
    user: z.string().nullable(),
    from: z.string().nullable().describe('Of a change of state.'),
    to: z.string().nullable(),
    ms: z
      .number()
      .nullable()
      .describe(
        'How long that took: a grant its wait, a staging its work, a first Free its boot, an end its lease.',
      ),
    ...ofDecision,
  })
  .meta({ id: 'HistoryEntry' });
export type HistoryEntry = z.infer<typeof historyEntry>;

export const historyQuery = poolQuery.extend({
  vm: memberName.optional().describe('Only of this VM.'),
  job: jobId.optional().describe('Only of this job and its leases; `28` also finds `28.server`.'),
  decision: z
    .enum(['any', ...decisions])
    .optional()
    .describe(
      'Only decisions of that kind: what made, leased, scrubbed or ended a VM. `any` has the orders of operators (kind `order`), too.',
    ),
  most: z
    .string()
    .regex(/^[1-9][0-9]{0,3}$/, 'a number from 1 to 9999')
    .transform(Number)
    .prefault('500')
    .describe('The newest so many.'),
});
export type HistoryQuery = z.infer<typeof historyQuery>;

export const consoleView = z
  .object({ text: z.string().describe('The last lines, as the cloud gives them.') })
  .meta({ id: 'Console' });
export type ConsoleView = z.infer<typeof consoleView>;
