import { z } from 'zod';

/**
 * The words between the pool and the services that follow its nodes. A service is a file in this directory that
 * turns a `ServiceInput` into a `HostPlan` by a pure function; everything else is done for it (README.md here).
 */

/**
 * Which VMs a kind is told of (`followedFrom` of registry.ts): those that were Free once; or all that have an address; or
 * these, and since when each has its disk.
 */
export type FollowedFrom = 'first-free' | 'address' | 'disk';

/** A member as the services see it. One that is being retired is none. */
export const serviceMemberSchema = z.strictObject({
  name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'is no member name'),
  /** Of the server in the cloud (Nova's UUID); null while it is not known. */
  serverId: z.string().nullable().default(null),
  /** On `siteNetwork`, the first one first; never empty. */
  addresses: z.array(z.string().regex(/^[0-9A-Fa-f.:]{2,45}$/, 'is no address')).min(1),
  flavor: z.string(),
  image: z.string(),
  cell: z.string(),
  /** ISO 8601, when the pool decided to have it. */
  bornAt: z.string(),
  generation: z.string(),
  /** ISO 8601, its birth or the end of its last rebuild; only for who follows the disks. */
  diskSince: z.string().optional(),
});
export type ServiceMember = z.infer<typeof serviceMemberSchema>;

/** What a service may follow. It is in the service's stack config, which only the vmpool service writes. */
export const serviceInputSchema = z.strictObject({
  pool: z.string(),
  /** All whose members these are, where they are several: the classes of one service. */
  pools: z.array(z.string()).optional(),
  /** In the order of their birth. */
  members: z.array(serviceMemberSchema),
  /**
   * Processors that each worker's node is to have: the pool's `max`, or more while more jobs than that are under
   * way there. By worker; empty unless the service asks for them (`followsSlots` in registry.ts).
   */
  slots: z.record(z.string(), z.int().nonnegative()),
});
export type ServiceInput = z.infer<typeof serviceInputSchema>;

/** A file on the service's host that is wholly ours. */
export interface HostFile {
  /**
   * Absolute; or `@state/name` for a file in our own state directory on that host. No blanks, quotes or control
   * characters.
   */
  readonly path: string;
  readonly text: string;
  /** Octal, such as `0644`. */
  readonly mode: string;
}

/**
 * What has to be true on the service's host. The hooks are shell (POSIX sh) run as the host's user, with a time
 * limit, in `/`, with nothing on stdin. They are given
 * - `VMPOOL_MODE`: `apply`, or `remove` when the stack is destroyed (then there are no new files);
 * - `VMPOOL_STAGE`: a directory with every new file under its full path (`$VMPOOL_STAGE/etc/x/y.conf`);
 * - `VMPOOL_CONFIRMED`: the same with the files that were last taken over, empty the first time;
 * - `VMPOOL_STATE`: our state directory there; `VMPOOL_WORK`: a scratch directory, gone after the run;
 * - the shell function of `sharedFunctions` in host-script.ts, after `. "$VMPOOL_WORK/functions"`.
 */
export interface HostPlan {
  readonly files: readonly HostFile[];
  /** Says no (exit code and words) to new files before any of them is in place. Null where there is no checker. */
  readonly check: string | null;
  /** Makes the running daemon take over the files that are in place, without a restart. Must be idempotent. */
  readonly reload: string;
  /** After a reload: says no when the daemon did not take them over. `$VMPOOL_WORK/began` is as old as the reload. */
  readonly confirm: string | null;
  /** Instead of `reload` when the old files are back in place. */
  readonly rollback: string | null;
  /**
   * Alone, when everything is in place and nothing has changed: says no when what is not ours keeps it from being used.
   * An update does not run it; its `check` says the same.
   */
  readonly verify?: string;
  /** For each hook, in seconds. */
  readonly hookLimitSeconds: number;
}
