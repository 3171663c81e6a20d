import { z } from 'zod';
import { serviceInputSchema } from '../../stacks/services/plan.js';
import { serviceName, serviceSettingsSchema } from '../../stacks/services/registry.js';
import { publishedMemberSchema } from '../../stacks/summary.js';
import { memberSpecSchema } from '../../stacks/shape.js';
import type { CellName, MemberName, ServerId } from '../pool/model.js';
import { engineOptionsSchema } from './options.js';
import {
  updateFailures,
  type CellState,
  type CellWish,
  type ConvergeResult,
  type EngineEvent,
  type PreviewResult,
  type PublishedMember,
  type UpdateFailure,
} from './port.js';

/** Messages between the service and its engine process; each request has an id that its answers carry. */

const memberName = z.string().min(1).transform((name) => name as MemberName);
const cellName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,40}$/, 'is no cell name')
  .transform((name) => name as CellName);
const serverId = z.string().min(1).transform((id) => id as ServerId);
const addresses = z.record(z.string(), z.array(z.string()));

const wishSchema: z.ZodType<CellWish> = z.object({
  cell: cellName,
  members: z.array(
    z.object({ name: memberName, generation: z.string().min(1), spec: memberSpecSchema, made: z.boolean() }),
  ),
  retire: z.array(memberName),
});

const id = z.int().nonnegative();

export const requestSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('configure'), options: engineOptionsSchema }),
  z.object({ type: z.literal('converge'), id, wish: wishSchema }),
  z.object({ type: z.literal('preview'), id, wish: wishSchema }),
  z.object({ type: z.literal('poolOutputs'), id }),
  z.object({ type: z.literal('cells'), id }),
  z.object({ type: z.literal('poolConfig'), id }),
  z.object({
    type: z.literal('updatePool'),
    id,
    wish: z.object({
      config: z.record(z.string(), z.unknown()),
      message: z.string(),
      since: z.string().nullable(),
    }),
  }),
  z.object({
    type: z.literal('publishSummary'),
    id,
    members: z.array(
      publishedMemberSchema.transform(
        (member): PublishedMember => ({
          ...member,
          name: member.name as MemberName,
          cell: member.cell as CellName,
          id: member.id as ServerId | null,
        }),
      ),
    ),
  }),
  z.object({
    type: z.literal('updateService'),
    id,
    wish: z.object({
      service: serviceName,
      settings: serviceSettingsSchema,
      input: serviceInputSchema,
      verify: z.boolean(),
    }),
  }),
  z.object({ type: z.literal('removeService'), id, service: serviceName }),
  z.object({ type: z.literal('listServices'), id }),
  z.object({ type: z.literal('abort'), id }),
  z.object({ type: z.literal('close') }),
]);
export type EngineRequest = z.output<typeof requestSchema>;

const eventSchema: z.ZodType<EngineEvent> = z.discriminatedUnion('type', [
  z.object({ type: z.literal('created'), cell: cellName, member: memberName, serverId, addresses }),
  z.object({ type: z.literal('createFailed'), cell: cellName, member: memberName, message: z.string() }),
  z.object({ type: z.literal('removed'), cell: cellName, member: memberName }),
  z.object({ type: z.literal('removeFailed'), cell: cellName, member: memberName, message: z.string() }),
  z.object({ type: z.literal('statePutBack'), cell: cellName, message: z.string() }),
]);

const stateSchema: z.ZodType<CellState> = z.object({
  instances: z.array(z.object({ member: memberName, serverId })),
  lostCreates: z.array(memberName),
  unlisted: z.array(memberName),
});

const convergeResultSchema: z.ZodType<ConvergeResult> = z.discriminatedUnion('ok', [
  z.object({ ok: z.literal(true), state: stateSchema }),
  z.object({
    ok: z.literal(false),
    state: stateSchema.nullable(),
    kind: z.enum(Object.keys(updateFailures) as [UpdateFailure, ...UpdateFailure[]]),
    message: z.string(),
  }),
]);

const previewResultSchema: z.ZodType<PreviewResult> = z.object({
  changes: z.record(z.string(), z.number()),
  text: z.string(),
});

export const answerSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('event'), id, event: eventSchema }),
  z.object({ type: z.literal('converged'), id, result: convergeResultSchema }),
  z.object({ type: z.literal('previewed'), id, result: previewResultSchema }),
  z.object({ type: z.literal('outputs'), id, outputs: z.unknown() }),
  z.object({
    type: z.literal('cells'),
    id,
    cells: z.array(z.object({ cell: cellName, instances: z.array(memberName).nullable() })),
  }),
  z.object({
    type: z.literal('poolConfig'),
    id,
    config: z
      .object({
        config: z.record(z.string(), z.unknown()),
        encrypted: z.array(z.string()),
        message: z.string(),
        at: z.string(),
      })
      .nullable(),
  }),
  z.object({ type: z.literal('published'), id }),
  z.object({ type: z.literal('services'), id, services: z.array(z.string()) }),
  z.object({ type: z.literal('failed'), id, message: z.string() }),
]);
export type EngineAnswer = z.output<typeof answerSchema>;

/** What can be told of a message that is none of these: to whom it would have belonged. */
export const headOf = (message: unknown): { readonly id: number | null; readonly type: string | null } => {
  const head = z.object({ id: id.nullable().catch(null), type: z.string().nullable().catch(null) }).safeParse(message);
  return head.success ? head.data : { id: null, type: null };
};

/** The same answer without secrets: whatever in it are words may end in a log or on a status page. */
export const redactAnswer = (answer: EngineAnswer, redact: (text: string) => string): EngineAnswer => {
  switch (answer.type) {
    case 'event':
      return 'message' in answer.event
        ? { ...answer, event: { ...answer.event, message: redact(answer.event.message) } }
        : answer;
    case 'converged':
      return answer.result.ok
        ? answer
        : { ...answer, result: { ...answer.result, message: redact(answer.result.message) } };
    case 'previewed':
      return { ...answer, result: { ...answer.result, text: redact(answer.result.text) } };
    case 'failed':
      return { ...answer, message: redact(answer.message) };
    case 'outputs':
    case 'cells':
    case 'poolConfig':
    case 'published':
    case 'services':
      return answer;
  }
};
