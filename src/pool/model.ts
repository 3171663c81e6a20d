/**
 * The words of the pool as plain data. Everything here is JSON: it is what the store keeps.
 *
 * Times are milliseconds of pool time (see `src/service/clock.ts`): wall-clock time that never runs
 * backwards, not even across a restart.
 */

declare const brand: unique symbol;
type Branded<B extends string> = string & { readonly [brand]: B };

/** `<pool>-<sequence>-<random>`, also the server's name. Never used twice. */
export type MemberName = Branded<'MemberName'>;
/** Name of one small Pulumi stack's share of the pool, `c001`. The stack is `<pool>-<cell>`. */
export type CellName = Branded<'CellName'>;
/** Hash of worker, job and attempt: a request and the lease that it becomes have the same id. */
export type LeaseId = Branded<'LeaseId'>;
/** Nova's UUID of a server. */
export type ServerId = Branded<'ServerId'>;
/** UUID of one installed service; a server whose metadata carries it is ours. */
export type InstallationId = Branded<'InstallationId'>;

export type Millis = number;

/**
 * One start of a job. Ordered by Torque's start count; starts with the same count are told apart by the
 * worker's boot, the starter's pid and its start time in clock ticks, never by clocks.
 */
export interface Attempt {
  readonly start: number;
  readonly boot: string;
  readonly pid: number;
  readonly ticks: number;
}

export interface LeaseKey {
  readonly worker: string;
  readonly job: string;
  readonly attempt: Attempt;
}

/** The job's owner as the worker knows it. */
export interface JobUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  /** All groups, the primary one included. */
  readonly groups: readonly { readonly name: string; readonly gid: number }[];
  readonly home: string;
  readonly shell: string;
}

/**
 * What the names in a spec stood for when the service adopted it. The pool stack publishes names; from adoption on
 * the ids count, and the names stay for people.
 */
export interface PinnedIds {
  readonly flavor: string;
  readonly image: string;
  /** One for each of the spec's networks, with the name under which Nova lists its addresses. */
  readonly networks: readonly { readonly id: string; readonly name: string }[];
  /** Whether this cloud takes tags when a server is made. */
  readonly tags: boolean;
}

/** What a member is made of, fixed from the day it is decided to the day it is gone. */
export interface MemberSpec {
  readonly flavor: string;
  readonly image: string;
  /** Names or ids, in the order in which the server gets its interfaces. */
  readonly networks: readonly string[];
  /** Which of `networks` carries the address used for SSH. */
  readonly sshNetwork: string;
  /** Which of `networks` carries the address given to the site's services. */
  readonly siteNetwork: string;
  readonly securityGroups: readonly string[];
  readonly availabilityZones: readonly string[];
  /** Rendered user data; the pool's public admin key is in it. Never a secret. */
  readonly userData: string;
  /** The site's own metadata; the pool's identity is added to it. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly configDrive: boolean;
  /** Size of the boot volume in GiB; null boots from the image. */
  readonly bootVolumeGiB: number | null;
  readonly floatingIpPool: string | null;
  /** One server group for each cell; null for none. */
  readonly serverGroupPolicy: 'soft-anti-affinity' | 'anti-affinity' | 'soft-affinity' | 'affinity' | null;
  /** Absent in what the pool stack publishes, and for members whose spec is not known. */
  readonly pinned?: PinnedIds | undefined;
}

/** The pool's shape as the pool stack publishes it. */
export interface Shape {
  readonly min: number;
  readonly max: number;
  /** Free VMs kept ready beyond demand. */
  readonly spare: number;
  /** A member older than this is retired when Free; null for never. */
  readonly maxAgeMs: Millis | null;
  readonly spec: MemberSpec;
  /** Short hash of `spec`: members with another generation are rolled. */
  readonly generation: string;
}

export type UnusableReason =
  'building' | 'unreachable' | 'error' | 'scrubbing' | 'held' | 'deleting' | 'lost';

export type VmState =
  | { readonly kind: 'Free'; readonly since: Millis }
  | { readonly kind: 'Busy'; readonly since: Millis; readonly lease: LeaseId }
  | {
      readonly kind: 'Unusable';
      readonly reason: UnusableReason;
      readonly since: Millis;
      /** In plain words: what happened and what comes next. */
      readonly detail: string;
    };

/** Where the service and the worker reach a server by SSH. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** A host key as in a known_hosts line: type, blank, base64. */
export type HostKey = string;
