/** The shapes of changes of the pool stack's config through the service. Version 1, as `api.ts`. */
import { z } from 'zod';

const size = z.int().min(0).max(999_999);

const orderOptions = {
  reason: z
    .string()
    .min(1)
    .max(1024)
    .default('ordered by an operator')
    .describe("Kept in the stack's history and in the service's."),
  dryRun: z.boolean().default(false).describe('Only say what would change, and what speaks against it.'),
};

export const scaleOrder = z
  .strictObject({
    min: size.optional(),
    max: size.optional(),
    spare: size.optional(),
    ...orderOptions,
  })
  .refine(({ min, max, spare }) => min !== undefined || max !== undefined || spare !== undefined, {
    message: 'give at least one of min, max and spare',
  })
  .meta({ id: 'ScaleOrder' });
export type ScaleOrder = z.input<typeof scaleOrder>;

export const configOrder = z
  .strictObject({
    config: z
      .record(z.string().max(255), z.unknown())
      .describe('All of it, as in `Pulumi.<pool>.yaml`: keys such as `vmpool:max`, values as written there.'),
    overwrite: z
      .boolean()
      .default(false)
      .describe('Also where it takes back what an operator has set with a scale order since.'),
    ...orderOptions,
  })
  .meta({ id: 'ConfigOrder' });
export type ConfigOrder = z.input<typeof configOrder>;

export const configAnswer = z
  .object({
    applied: z.boolean().describe('The stack was brought up with it. False: a dry run, or nothing changes.'),
    detail: z.string(),
    changes: z.array(
      z.object({
        key: z.string(),
        from: z.string().nullable().describe('As text, structured values as JSON; null: not set.'),
        to: z.string().nullable(),
      }),
    ),
    warnings: z
      .array(z.string())
      .describe('What does not keep the shape from being adopted, but is to be known.'),
  })
  .meta({ id: 'ConfigAnswer' });
export type ConfigAnswer = z.infer<typeof configAnswer>;
