import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { MemberSpec, PinnedIds, Shape } from '../src/pool/model.js';

export const serverGroupPolicies = [
  'soft-anti-affinity',
  'anti-affinity',
  'soft-affinity',
  'affinity',
] as const;

/** A member's pinned spec as it stands in a cell's config and in the pool stack's outputs. */
export const memberSpecSchema = z.strictObject({
  flavor: z.string().min(1),
  image: z.string().min(1),
  networks: z.array(z.string().min(1)).min(1),
  sshNetwork: z.string().min(1),
  siteNetwork: z.string().min(1),
  securityGroups: z.array(z.string().min(1)),
  availabilityZones: z.array(z.string().min(1)),
  userData: z.string(),
  metadata: z.record(z.string(), z.string()),
  configDrive: z.boolean(),
  bootVolumeGiB: z.int().positive().nullable(),
  floatingIpPool: z.string().min(1).nullable(),
  serverGroupPolicy: z.enum(serverGroupPolicies).nullable(),
  pinned: z
    .strictObject({
      flavor: z.string().min(1),
      image: z.string().min(1),
      networks: z.array(z.strictObject({ id: z.string().min(1), name: z.string() })),
      tags: z.boolean(),
    })
    .optional(),
}) satisfies z.ZodType<MemberSpec>;

export const shapeSchema = z.strictObject({
  min: z.int().nonnegative(),
  max: z.int().positive(),
  spare: z.int().nonnegative(),
  maxAgeMs: z.int().positive().nullable(),
  spec: memberSpecSchema,
  generation: z.string().min(1),
}) satisfies z.ZodType<Shape>;

/**
 * Short hash of a spec: two specs have the same generation exactly if they are equal, whatever the order of
 * their keys. Twelve hexadecimal digits: a pool sees a few hundred generations in its life, not millions.
 */
export const generationOf = (spec: MemberSpec): string =>
  createHash('sha256').update(canonicalJson(spec)).digest('hex').slice(0, 12);

/**
 * The generation of members whose names were resolved: the pool stack's, then a hash of the ids. So an operator sees
 * which publication a VM is of, and a new image under an old name is a new generation all the same.
 */
export const pinnedGeneration = (published: string, { flavor, image, networks }: PinnedIds): string => {
  const ids = canonicalJson({ flavor, image, networks: networks.map(({ id }) => id) });
  return `${published}-${createHash('sha256').update(ids).digest('hex').slice(0, 6)}`;
};

/** JSON with the keys of every object in order: the order of lists matters (networks), that of keys does not. */
const canonicalJson = (value: unknown): string => {
  if (Array.isArray(value)) {
    return `[${value.map(canonicalJson).join(',')}]`;
  }
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
      .map(([key, item]) => `${JSON.stringify(key)}:${canonicalJson(item)}`);
    return `{${entries.join(',')}}`;
  }
  return JSON.stringify(value);
};
