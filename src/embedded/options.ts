import { z } from 'zod';

/** A constant time, or one drawn evenly from a range. Milliseconds. */
export const rangeSchema = z.union([
  z.number().nonnegative(),
  z
    .strictObject({ min: z.number().nonnegative(), max: z.number().nonnegative() })
    .refine((range) => range.min <= range.max, {
      message: 'min must not be above max',
    }),
]);
export type Range = z.infer<typeof rangeSchema>;

export function drawFrom(range: Range, random: () => number): number {
  return typeof range === 'number' ? range : range.min + (range.max - range.min) * random();
}

/** How long things take, in milliseconds. */
export const timingSchema = z.strictObject({
  /** From the order of a server to ACTIVE. */
  buildMs: rangeSchema.default(1500),
  /** From ACTIVE to SSH answering. */
  sshMs: rangeSchema.default(500),
  /** From the order to delete to the server being gone. */
  deleteMs: rangeSchema.default(500),
  /** What every API call waits before it is looked at. */
  latencyMs: rangeSchema.default(0),
});
export type Timing = z.infer<typeof timingSchema>;

/** Quotas of a project; -1 is unlimited. */
export const quotasSchema = z.strictObject({
  instances: z.int().default(20),
  cores: z.int().default(80),
  /** MiB. */
  ram: z.int().default(163840),
  key_pairs: z.int().default(100),
  server_groups: z.int().default(10),
  server_group_members: z.int().default(100),
  metadata_items: z.int().default(128),
  network: z.int().default(100),
  subnet: z.int().default(100),
  port: z.int().default(500),
  floatingip: z.int().default(50),
  security_group: z.int().default(50),
  security_group_rule: z.int().default(500),
  router: z.int().default(10),
  volumes: z.int().default(50),
  /** GiB of all volumes together. */
  gigabytes: z.int().default(2000),
});
export type Quotas = z.infer<typeof quotasSchema>;

const flavorSchema = z.strictObject({
  id: z.string(),
  name: z.string(),
  vcpus: z.int().positive(),
  /** MiB. */
  ram: z.int().positive(),
  /** GiB. */
  disk: z.int().nonnegative(),
  extraSpecs: z.record(z.string(), z.string()).default({}),
});
export type Flavor = z.infer<typeof flavorSchema>;

const microversion = z
  .string()
  .regex(/^2\.[1-9]\d?$/, 'must be a Nova microversion such as 2.79')
  .transform((text) => 200 + Number(text.slice(2)));

export const embeddedOptionsSchema = z.strictObject({
  /** Folder for console logs and the sandboxes' mount points. Made if absent; one cloud owns it. */
  state: z.string().min(1),
  /** Where to listen; port 0 takes a free one. */
  listen: z
    .string()
    .regex(/^(127\.\d+\.\d+\.\d+|localhost):\d+$/, 'must be HOST:PORT on a loopback address')
    .default('127.0.0.1:0'),
  /** `overlay`: servers are sandboxes with SSH. `none`: servers become ACTIVE and nothing answers. */
  sandbox: z.enum(['overlay', 'none']).default('overlay'),
  /** Loopback network of the servers' addresses; clouds side by side need different ones. */
  subnet: z
    .string()
    .regex(/^127\.\d+\.\d+\.0\/(1[0-9]|2[0-4])$/, 'must be a loopback network such as 127.77.0.0/16')
    .default('127.77.0.0/16'),
  sshPort: z.int().min(1).max(65535).default(22),
  /** Space of a server's disk in memory, MiB, whatever its flavor says. */
  diskMiB: z.int().min(16).default(1024),
  timing: timingSchema.prefault({}),
  quotas: quotasSchema.prefault({}),
  tokenLifetimeS: z.number().positive().default(3600),
  /** Guards the control API; drawn at random if absent. */
  controlToken: z.string().min(8).optional(),
  password: z.string().min(1).default('secret'),
  flavors: z
    .array(flavorSchema)
    .min(1)
    .default([
      { id: '1', name: 'small', vcpus: 1, ram: 2048, disk: 10, extraSpecs: {} },
      { id: '2', name: 'medium', vcpus: 2, ram: 4096, disk: 20, extraSpecs: {} },
      { id: '3', name: 'large', vcpus: 4, ram: 8192, disk: 40, extraSpecs: {} },
    ]),
  images: z.array(z.string().min(1)).min(1).default(['debian-vm', 'debian-vm-2']),
  availabilityZones: z.array(z.string().min(1)).min(1).default(['nova']),
  /** Microversions that Nova speaks. */
  microversions: z
    .strictObject({ min: microversion.prefault('2.1'), max: microversion.prefault('2.90') })
    .prefault({}),
  /** Regions of the catalog. They lead to the same servers. */
  regions: z
    .array(z.string().regex(/^[A-Za-z0-9._-]+$/, 'must be a word'))
    .min(1)
    .default(['RegionOne']),
  /** Each region and interface has paths of its own in the catalog, so that the journal tells which was taken. */
  doors: z.boolean().default(false),
  /** Path before that of every service, as behind a proxy: `/cloud`. */
  basePath: z
    .string()
    .regex(/^(\/[A-Za-z0-9._-]+)*$/, 'must be empty or a path without a slash at its end')
    .default(''),
  /** Certificate and key, PEM: HTTPS is spoken then. */
  tls: z.strictObject({ cert: z.string().min(1), key: z.string().min(1) }).optional(),
  /** More absolute paths that no server may see. */
  masked: z.array(z.string().startsWith('/')).default([]),
});
export type EmbeddedOptions = z.input<typeof embeddedOptionsSchema>;
export type CloudSettings = z.output<typeof embeddedOptionsSchema>;

export function parseOptions(options: EmbeddedOptions): CloudSettings {
  const parsed = embeddedOptionsSchema.safeParse(options);
  if (parsed.success) return parsed.data;
  throw new Error(`the embedded cloud's options are wrong:\n${z.prettifyError(parsed.error)}`);
}
