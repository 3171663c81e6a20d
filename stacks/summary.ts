import { z } from 'zod';
import { structuredValueOf, type Parsed, type RawConfig } from './raw-config.js';

/** A member as the service publishes it in the summary stack. */
export const publishedMemberSchema = z.strictObject({
  name: z.string(),
  cell: z.string(),
  id: z.string().nullable(),
  generation: z.string(),
  addresses: z.record(z.string(), z.array(z.string())),
  state: z.string(),
});
export type SummaryMember = z.infer<typeof publishedMemberSchema>;

const summarySchema = z.array(publishedMemberSchema);

/** Name of the stack that carries a pool's members as the service sees them. */
export const summaryStackName = (pool: string): string => `${pool}-summary`;

/** Reads the summary stack's config, which only the service writes. */
export const parseSummaryConfig = (raw: RawConfig): Parsed<readonly SummaryMember[]> => {
  const found = structuredValueOf(raw, 'members');
  if (found.kind === 'missing') {
    return { ok: false, errors: ['vmpool:members: is not set; only the service writes the summary stack'] };
  }
  const list = summarySchema.safeParse(found.kind === 'value' ? found.value : undefined);
  return list.success
    ? { ok: true, value: list.data }
    : { ok: false, errors: [`vmpool:members: cannot be read: ${z.prettifyError(list.error)}`] };
};

/** Outputs of the summary stack, read by the pool's program, as a table for people. */
export const summaryTable = (pool: string, outputs: unknown): string => {
  const found = z.object({ members: summarySchema }).safeParse(outputs);
  if (!found.success) {
    return `The summary of pool ${pool} cannot be read: it was published by another version of the service.`;
  }
  const members = found.data.members;
  if (members.length === 0) {
    return `Pool ${pool} has no members.`;
  }
  const rows = [
    ['MEMBER', 'STATE', 'CELL', 'GENERATION', 'SERVER', 'ADDRESSES'],
    ...members.map((member) => [
      member.name,
      member.state,
      member.cell,
      member.generation,
      member.id ?? '-',
      Object.entries(member.addresses)
        .map(([network, addresses]) => `${network}=${addresses.join(',')}`)
        .join(' ') || '-',
    ]),
  ];
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) =>
    row
      .map((text, column) => text.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  return [`Pool ${pool}, ${members.length} members as the service published them:`, ...lines].join('\n');
};
