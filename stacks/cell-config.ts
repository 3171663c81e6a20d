import { z } from 'zod';
import type { CellName, InstallationId, MemberName, MemberSpec } from '../src/pool/model.js';
import { structuredValueOf, valueOf, type Parsed, type RawConfig } from './raw-config.js';
import { memberSpecSchema } from './shape.js';

/** A member of a cell with its pinned spec, as the service wrote it. */
export interface ListedMember {
  readonly name: MemberName;
  readonly generation: string;
  readonly spec: MemberSpec;
}

/** What a cell's config says. Only the service writes it. */
export interface CellConfig {
  readonly installation: InstallationId;
  readonly pool: string;
  readonly cell: CellName;
  /** Limit of a create and of a delete, in seconds. */
  readonly timeoutSeconds: number;
  readonly members: readonly ListedMember[];
}

const memberSchema = z.strictObject({
  name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'is no member name'),
  generation: z.string().min(1),
  spec: memberSpecSchema,
});

/**
 * How often the provider tries again: after a 429 with Retry-After, which it then waits for, and where a connection
 * broke. It has no such number unless told, and none of its environment: one 429, or one connection cut in the minutes
 * in which it waits for a server, fails the create and leaves a server that no stack knows. A POST whose answer is lost
 * is sent again only where another connection is open to the same place, by which Go's HTTP client gets its body anew;
 * on a new connection it is used up (provider 1.54, tried). What was made twice is a stray, or a lost address.
 */
const providerRetries = '5';

/** The same as a key-value map for a cell's config file: of each member exactly what the program reads. */
export const cellConfigValues = (config: CellConfig): Readonly<Record<string, unknown>> => ({
  'openstack:maxRetries': providerRetries,
  'vmpool:kind': 'cell',
  'vmpool:installation': config.installation,
  'vmpool:pool': config.pool,
  'vmpool:cell': config.cell,
  'vmpool:timeoutSeconds': String(config.timeoutSeconds),
  'vmpool:members': config.members.map(({ name, generation, spec }) => ({ name, generation, spec })),
});

/** Reads a cell's config. A missing member list is an error and never means zero members. Pure. */
export const parseCellConfig = (raw: RawConfig): Parsed<CellConfig> => {
  const errors: string[] = [];
  const required = (key: string): string => {
    const value = valueOf(raw, key) ?? '';
    if (value === '') {
      errors.push(`vmpool:${key}: is not set; the service writes a cell's config, see \`vmpool env\``);
    }
    return value;
  };
  const members = (): readonly ListedMember[] => {
    const found = structuredValueOf(raw, 'members');
    if (found.kind === 'missing') {
      errors.push(
        'vmpool:members: this cell has no member list. A missing list never means zero members: use the config ' +
          'file that the service wrote (`vmpool env` prints its path); an empty cell says [] explicitly',
      );
      return [];
    }
    const list = z.array(memberSchema).safeParse(found.kind === 'value' ? found.value : undefined);
    if (!list.success) {
      errors.push(`vmpool:members: cannot be read: ${z.prettifyError(list.error).replaceAll('\n', ' ')}`);
      return [];
    }
    const names = list.data.map((member) => member.name);
    const twice = names.find((name, at) => names.indexOf(name) !== at);
    if (twice !== undefined) {
      errors.push(`vmpool:members: names ${twice} twice`);
    }
    return list.data.map((member) => ({ ...member, name: member.name as MemberName }));
  };
  const seconds = valueOf(raw, 'timeoutSeconds') ?? '';
  if (!/^[1-9]\d{0,6}$/.test(seconds)) {
    errors.push(`vmpool:timeoutSeconds: "${seconds}" is not a number of seconds`);
  }
  const config: CellConfig = {
    installation: required('installation') as InstallationId,
    pool: required('pool'),
    cell: required('cell') as CellName,
    timeoutSeconds: Number(seconds),
    members: members(),
  };
  return errors.length > 0 ? { ok: false, errors } : { ok: true, value: config };
};
