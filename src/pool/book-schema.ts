import { z } from 'zod';
import type { Book } from './book.js';
import { limitNames } from './measured.js';
import { Table } from '../table.js';

/** The stored form of the book: what a file must look like to be believed. */

const millis = z.number();
const table = <S extends z.ZodType>(entry: S) =>
  z.record(z.string(), entry).transform((entries) => Table.of(entries));
const attempt = z.strictObject({ start: z.int(), boot: z.string(), pid: z.int(), ticks: z.int() });
const key = z.strictObject({ worker: z.string(), job: z.string(), attempt });
const user = z.strictObject({
  name: z.string(),
  uid: z.int(),
  gid: z.int(),
  groups: z.array(z.strictObject({ name: z.string(), gid: z.int() })),
  home: z.string(),
  shell: z.string(),
});
const spec = z.strictObject({
  flavor: z.string(),
  image: z.string(),
  networks: z.array(z.string()),
  sshNetwork: z.string(),
  siteNetwork: z.string(),
  securityGroups: z.array(z.string()),
  availabilityZones: z.array(z.string()),
  userData: z.string(),
  metadata: z.record(z.string(), z.string()),
  configDrive: z.boolean(),
  bootVolumeGiB: z.number().nullable(),
  floatingIpPool: z.string().nullable(),
  serverGroupPolicy: z.enum(['soft-anti-affinity', 'anti-affinity', 'soft-affinity', 'affinity']).nullable(),
  pinned: z
    .strictObject({
      flavor: z.string(),
      image: z.string(),
      networks: z.array(z.strictObject({ id: z.string(), name: z.string() })),
      tags: z.boolean(),
    })
    .optional(),
});
const reason = z.enum(['building', 'unreachable', 'error', 'scrubbing', 'held', 'deleting', 'lost']);
const state = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('Free'), since: millis }),
  z.strictObject({ kind: z.literal('Busy'), since: millis, lease: z.string() }),
  z.strictObject({ kind: z.literal('Unusable'), reason, since: millis, detail: z.string() }),
]);
const hold = {
  kind: z.enum(['operator', 'drain', 'unknown', 'restored', 'foreign-marker', 'copy-back']),
  why: z.string(),
  at: millis,
  limitMs: millis.optional(),
};
const tenantEnd = z.strictObject({
  at: millis,
  user: z.string(),
  queue: z.string(),
  processors: z.int(),
  flavor: z.string(),
  grantedAt: millis,
  ready: z.boolean(),
  lost: z.boolean(),
  exit: z.int().nullable(),
});
const limits = z.strictObject(
  Object.fromEntries(limitNames.map((name) => [name, z.number().positive().optional()])),
);
const member = z.strictObject({
  name: z.string(),
  cell: z.string(),
  seq: z.int(),
  bornAt: millis,
  made: z
    .strictObject({ reason: z.enum(['request', 'minimum', 'spare', 'roll', 'found']), detail: z.string() })
    .optional(),
  diskSince: millis.optional(),
  generation: z.string(),
  spec,
  state,
  engine: z.enum(['planned', 'managed', 'stateless', 'dropped', 'adopted']),
  server: z.strictObject({ id: z.string(), status: z.string() }).nullable(),
  endpoint: z.strictObject({ host: z.string(), port: z.int() }).nullable(),
  hostKeys: z.array(z.string()),
  bootId: z.string().nullable(),
  tenant: z
    .strictObject({
      lease: z.string(),
      worker: z.string(),
      job: z.string(),
      ended: tenantEnd.optional(),
    })
    .nullable(),
  retire: z.string().nullable(),
  hold: z.strictObject({ ...hold, before: z.strictObject(hold).optional() }).nullable(),
});
const request = z.strictObject({
  id: z.string(),
  key,
  user,
  publicKey: z.string(),
  processors: z.int(),
  queue: z.string(),
  jobName: z.string(),
  limits: limits.optional(),
  maxWaitMs: millis.optional(),
  seq: z.int(),
  askedAt: millis,
});
const lease = z.strictObject({ request, member: z.string(), grantedAt: millis, ready: z.boolean() });
const ended = z.strictObject({
  worker: z.string(),
  job: z.string(),
  start: z.int(),
  attempts: z.array(z.strictObject({ attempt, id: z.string() })),
  at: millis,
  detail: z.string(),
});

const bookShape = z
  .strictObject({
    installation: z.uuid(),
    pool: z.string(),
    at: millis,
    seq: z.int(),
    shape: z
      .strictObject({
        min: z.int(),
        max: z.int(),
        spare: z.int(),
        maxAgeMs: z.number().nullable(),
        spec,
        generation: z.string(),
      })
      .nullable(),
    members: table(member),
    requests: table(request),
    leases: table(lease),
    ended: table(ended),
    cells: z.array(z.string()),
    breaker: z.strictObject({
      failures: z.int(),
      lastFailureAt: millis,
      until: millis,
      why: z.string().nullable(),
    }),
    workers: z.record(z.string(), z.strictObject({ syncedAt: millis, jobs: z.array(z.string()) })),
    retired: table(millis),
    strays: z.record(z.string(), z.strictObject({ server: z.string(), name: z.string(), firstSeen: millis })),
    paused: z.strictObject({ why: z.string(), since: millis, until: millis }).optional(),
  })
  .superRefine((book, issues) => {
    for (const [id, l] of book.leases.entries()) {
      const m = book.members.get(l.member);
      if (m?.state.kind !== 'Busy' || m.state.lease !== id) {
        issues.addIssue({
          code: 'custom',
          path: ['leases', id],
          message: `its VM ${l.member} is not Busy with it`,
        });
      }
      if (book.requests.get(id) !== undefined) {
        issues.addIssue({ code: 'custom', path: ['leases', id], message: 'is a waiting request as well' });
      }
    }
    for (const m of book.members.values()) {
      if (m.state.kind === 'Busy' && book.leases.get(m.state.lease) === undefined) {
        issues.addIssue({
          code: 'custom',
          path: ['members', m.name],
          message: 'is Busy with a lease that is not there',
        });
      }
    }
  });

/** Branded ids are strings on disk; the cross-checks above make the rest of the type true. */
export const bookSchema = bookShape as unknown as z.ZodType<Book>;

/**
 * How the book is stored; each change of the shape above makes a new version and adds a migration. Version 2 has the
 * same shape as 1: its snapshots have a journal beside them, which a program that knows only version 1 would not read.
 */
export const bookFormat = {
  schema: bookSchema,
  version: 2,
  migrations: { 1: (old: unknown) => old },
  journalSince: 2,
} as const;
