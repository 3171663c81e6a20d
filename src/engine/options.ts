import { z } from 'zod';

/** How the engine reaches Pulumi, the backend and the cloud. */
export const engineOptionsSchema = z.object({
  /** Where the product is installed: `Pulumi.yaml` and `dist/` are there. */
  repoRoot: z.string().min(1),
  /** The service's state directory; the engine keeps to `<stateDir>/engine`. */
  stateDir: z.string().min(1),
  pool: z.string().regex(/^[a-z0-9][a-z0-9-]{0,40}$/, 'is no pool name'),
  /** UUID of this installation; it is in every server's metadata. */
  installation: z.string().min(1),
  pulumi: z.object({
    /** Path of the CLI. */
    bin: z.string().min(1),
    /** PULUMI_HOME, with the plugins. */
    home: z.string().min(1),
  }),
  /** Any Pulumi backend, `file:///var/lib/vmpool/pulumi` for one. */
  backendUrl: z.string().min(1),
  /** File with the passphrase of the stacks' secrets; readable by the service only. */
  passphraseFile: z.string().min(1),
  /** OS_* variables, or OS_CLOUD and OS_CLIENT_CONFIG_FILE: the only way of credentials to the provider. */
  cloudEnv: z.record(z.string(), z.string()),
  /** Cells that may be updated side by side. */
  maxParallel: z.int().positive(),
  /** Limit of a create and of a delete, in milliseconds: the pool's boot limit. */
  createTimeoutMs: z.int().positive(),
  /** How long orphans of a killed engine may take to end by themselves, in milliseconds. */
  orphanGraceMs: z.int().nonnegative().default(15_000),
});

export type EngineOptions = z.output<typeof engineOptionsSchema>;
export type EngineOptionsInput = z.input<typeof engineOptionsSchema>;

/** The Pulumi project's name as in `Pulumi.yaml`: part of every URN. */
export const projectName = 'vmpool';

export const cellStackName = (pool: string, cell: string): string => `${pool}-${cell}`;

/** The cell of the pool to which a stack belongs, null for any other stack. */
export const cellOfStack = (pool: string, stack: string): string | null =>
  stack.startsWith(`${pool}-`) ? (/^c\d+$/.exec(stack.slice(pool.length + 1))?.[0] ?? null) : null;
